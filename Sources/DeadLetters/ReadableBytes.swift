/// Bytes that anyone may have sent, for a terminal.
enum ReadableBytes {
  /// Bytes that are shown, at most.
  static let limit = 4_096

  /// UTF-8 with what could mislead a terminal or break a line escaped; in place of what is beyond `limit`, how much that is.
  static func escaped(_ bytes: [UInt8], limit: Int = limit) -> String {
    var text = ""
    var count = 0
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= limit else { return text + "… (\(bytes.count) bytes)" }
      switch scalar.value {
      case 0x5C: text += "\\\\"
      case 0x0A: text += "\\n"
      case 0x0D: text += "\\r"
      case 0x09: text += "\\t"
      // Controls (C0, DEL, C1), marks and overrides of direction, separators of lines and paragraphs.
      case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069:
        text += "\\u{\(String(scalar.value, radix: 16))}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// Whether bytes are text: UTF-8, and not mostly control characters.
  static func isText(_ bytes: [UInt8]) -> Bool {
    guard String(validating: bytes, as: UTF8.self) != nil else { return false }
    let controls = bytes.count { $0 < 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }
    return controls * 10 <= bytes.count
  }

  /// As `hexdump -C`: 16 bytes a line.
  static func dump(_ bytes: [UInt8], indent: String, limit: Int = limit) -> String {
    var text = ""
    for start in stride(from: 0, to: min(bytes.count, limit), by: 16) {
      let row = bytes[start..<min(start + 16, bytes.count, limit)]
      let digits = row.map { hex(UInt($0), 2) }.joined(separator: " ")
      let characters = row.map { (0x20...0x7E).contains($0) ? String(UnicodeScalar($0)) : "." }.joined()
      text += indent + hex(UInt(start), 8) + "  " + digits + String(repeating: " ", count: 49 - digits.count)
      text += "|\(characters)|\n"
    }
    if bytes.count > limit { text += "\(indent)… (\(bytes.count) bytes; --raw writes all)\n" }
    return text
  }

  private static func hex(_ number: UInt, _ width: Int) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: max(width - digits.count, 0)) + digits
  }
}
