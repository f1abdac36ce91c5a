package import Operations
import Timestamps

/// When keys were last used, in a file beside the keys: a line for each, its id and the time. Every process that takes
/// readings adds to it; what it says may be a minute old.
package enum LastUses {
  /// Where it is for a keys file.
  package static func path(for keys: String) -> String { keys + ".used" }

  /// Reads it; empty when there is none. Lines that make no sense are left out: nothing is decided by them.
  package static func read(_ path: String) -> [String: Int64] {
    guard let bytes = try? SystemFile.read(path, limit: KeyFile.sizeLimit) else { return [:] }
    var times: [String: Int64] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let time = Array(words[1].utf8).withUnsafeBytes({ try? Timestamp.parse($0) }) else {
        continue
      }
      times[String(words[0])] = time
    }
    return times
  }

  /// Adds times to it, of which the later ones stay, and takes out what belongs to none of the keys.
  package static func merge(_ new: [String: Int64], into path: String, of keys: Set<String>) throws(SystemError) {
    let lock = try FolderLock(of: path)
    defer { lock.end() }
    let times = read(path).merging(new) { max($0, $1) }.filter { keys.contains($0.key) }
    let lines = times.sorted { $0.key < $1.key }.map { "\($0.key) \(Timestamp.text($0.value))\n" }
    try SystemFile.replace(path, with: Array(lines.joined().utf8))
  }
}
