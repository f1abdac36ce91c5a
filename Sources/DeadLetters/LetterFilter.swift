import JSON
import Operations
import Timestamps

/// Which letters are meant. Everything that is given has to hold.
package struct LetterFilter: Sendable, Equatable {
  package var reason: String?
  package var source: String?
  /// The key, or where there is none the `device` of the payload.
  package var device: String?
  /// Given up at this time or later, in milliseconds since 1970.
  package var since: Int64?
  package var place: Letter.Place?

  package init() {}

  /// Whether a letter is meant.
  /// - Parameter parser: for payloads.
  func matches(_ letter: Letter, _ parser: JSONParser) -> Bool {
    if let place, letter.place != place { return false }
    if let reason, letter.reason != reason { return false }
    if let source, letter.source != source { return false }
    if let since {
      guard let time = letter.time, time >= since else { return false }
    }
    if let device, Self.device(of: letter, parser) != Array(device.utf8) { return false }
    return true
  }

  private static func device(of letter: Letter, _ parser: JSONParser) -> [UInt8]? {
    if let key = letter.key, !key.isEmpty { return key }
    guard let value = letter.value else { return nil }
    return value.withUnsafeBytes { bytes in
      try? parser.parse(copying: bytes) { (root) -> [UInt8]? in
        guard root.kind == .object else { return nil }
        return root["device"]?.string.map { Array($0) }
      }
    }
  }

  /// Reads a moment, as RFC 3339 or as how long ago it was (`2h`); nil when it is neither.
  /// - Parameter now: milliseconds since 1970.
  package static func moment(_ text: String, now: Int64) -> Int64? {
    if let duration = SettingUnits.duration(text) { return now - Int64(clamping: Int(duration / .milliseconds(1))) }
    var text = text
    return text.withUTF8 { try? Timestamp.parse(UnsafeRawBufferPointer($0)) }
  }
}
