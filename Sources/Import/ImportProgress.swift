/// How far an import has come, and how it is shown.
package struct ImportProgress: Equatable, Sendable {
  /// The file that is being read.
  package var file = ""
  /// Bytes read of all files, as they are on the disk.
  package var bytes = 0
  /// Bytes of all files; nil where that is not known.
  package var size: Int?
  package var accepted = 0
  package var rejected = 0
  /// Readings per second, of late.
  package var rate = 0.0
  /// Bytes per second since the beginning, without those that an earlier import had read.
  package var byteRate = 0.0

  package init() {}

  /// One line: file, share, bytes, readings per second, time left.
  /// - Parameter width: characters of the bar; 0 for none.
  package func text(width: Int) -> String {
    var text = file
    if let size, size > 0 {
      let share = min(Double(bytes) / Double(size), 1)
      if width > 0 {
        let done = Int(share * Double(width))
        text += " [" + String(repeating: "#", count: done) + String(repeating: ".", count: width - done) + "]"
      }
      text += " \(Int(share * 100))% \(Self.bytes(bytes)) of \(Self.bytes(size))"
    } else {
      text += " \(Self.bytes(bytes))"
    }
    text += ", \(Int(rate)) readings/s, accepted \(accepted), rejected \(rejected)"
    if let size, byteRate >= 1, size >= bytes { text += ", \(Self.time(Double(size - bytes) / byteRate)) left" }
    return text
  }

  private static func bytes(_ count: Int) -> String {
    guard count >= 1_000 else { return "\(count) B" }
    var tenths = count / 100
    for unit in ["kB", "MB", "GB"] {
      if tenths < 10_000 || unit == "GB" { return "\(tenths / 10).\(tenths % 10) \(unit)" }
      tenths /= 1_000
    }
    return "\(count) B"
  }

  private static func time(_ seconds: Double) -> String {
    let seconds = Int(min(seconds, 359_999))
    let padded = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
    let hours = seconds >= 3_600 ? "\(seconds / 3_600):\(padded(seconds / 60 % 60))" : "\(seconds / 60)"
    return "\(hours):\(padded(seconds % 60))"
  }
}
