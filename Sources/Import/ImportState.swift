import Readings

/// How far each file of an import has come: what the state file holds.
package struct ImportState: Equatable, Sendable {
  /// A file that was begun.
  package struct Entry: Equatable, Sendable {
    /// Everything before this byte is acknowledged; of a compressed file, before it was compressed.
    package var offset = 0
    /// Lines before `offset`.
    package var line = 0
    package var accepted = 0
    package var rejected = 0
    /// What the file begins with, so that another in its place is known from it.
    package var identity: FileIdentity

    package init(identity: FileIdentity) { self.identity = identity }
  }

  /// It is none, or of a version that is not known.
  package struct Malformed: Error, Equatable {}

  /// By the file's whole name.
  package var entries: [String: Entry] = [:]
  private static let title = "sluice import 1"

  package init() {}

  /// Reads what `text` wrote.
  package init(_ text: String) throws(Malformed) {
    var lines = text.split(separator: "\n")
    guard lines.first.map(String.init) == Self.title else { throw Malformed() }
    lines.removeFirst()
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 7)
      let numbers = words.prefix(5).compactMap { Int($0) }
      guard words.count == 8, numbers.count == 5, numbers.allSatisfy({ (0...1 << 56).contains($0) }),
        let low = UInt64(words[5], radix: 16),
        let high = UInt64(words[6], radix: 16)
      else { throw Malformed() }
      var entry = Entry(identity: FileIdentity(count: numbers[4], low: low, high: high))
      (entry.offset, entry.line, entry.accepted, entry.rejected) = (numbers[0], numbers[1], numbers[2], numbers[3])
      entries[String(words[7])] = entry
    }
  }

  /// A line per file: offset, line, accepted, rejected, the identity's length and halves, and the name.
  package var text: String {
    entries.sorted { $0.key < $1.key }.reduce(into: Self.title + "\n") { text, item in
      let entry = item.value
      text += "\(entry.offset) \(entry.line) \(entry.accepted) \(entry.rejected) \(entry.identity.count) "
      text += "\(String(entry.identity.low, radix: 16)) \(String(entry.identity.high, radix: 16)) \(item.key)\n"
    }
  }
}
