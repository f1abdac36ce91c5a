/// JSON strings, which the log's text form uses for its quoted values too.
package enum QuotedText {
  /// Longer values are cut: a log line or a report stays readable, and small, whatever a peer sent.
  static let limit = 4_096

  /// Appends `text` in double quotes.
  ///
  /// Escaped are the quote and the backslash (RFC 8259, section 7), and all characters that could break a line or
  /// mislead a terminal: controls (C0, DEL, C1), line and paragraph separators, bidirectional overrides.
  package static func append(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    var written = 0
    for scalar in text.unicodeScalars {
      if written >= limit {
        bytes.append(contentsOf: "…".utf8)
        break
      }
      written += append(scalar, to: &bytes)
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// `text` in double quotes.
  package static func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    append(text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) -> Int {
    let before = bytes.count
    switch scalar.value {
    case 0x22, 0x5C: bytes += [UInt8(ascii: "\\"), UInt8(scalar.value)]
    case 0x0A: bytes.append(contentsOf: "\\n".utf8)
    case 0x0D: bytes.append(contentsOf: "\\r".utf8)
    case 0x09: bytes.append(contentsOf: "\\t".utf8)
    case 0...0x1F, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069:
      let digits = Array("0123456789abcdef".utf8)
      bytes.append(contentsOf: "\\u".utf8)
      for shift in [12, 8, 4, 0] { bytes.append(digits[Int(scalar.value >> UInt32(shift)) & 15]) }
    case 0x20...0x7E: bytes.append(UInt8(scalar.value))
    default: bytes.append(contentsOf: UTF8.encode(scalar)!)
    }
    return bytes.count - before
  }

  /// Whether a value can stand without quotes in the log's text form.
  static func isPlain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy(isPlain)
  }

  /// Letters, digits and what paths, addresses, times and numbers are made of.
  static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "_-./:@+,%#$*[]<>()".utf8.contains(byte)
    }
  }
}
