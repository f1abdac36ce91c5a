/// Reads files of `NAME=value` lines as systemd reads an EnvironmentFile (systemd.exec(5)), so that one file serves both.
///
/// Lines that are empty or begin with `#` or `;` are left out. A value may be quoted: in single quotes everything
/// stands for itself, in double quotes a backslash escapes `"`, `\`, `` ` `` and `$`; quotes may span lines. Outside of
/// quotes a backslash makes the next character ordinary, blanks at the ends are cut, and a backslash at the end of a
/// line joins it with the next.
enum EnvironmentFile {
  struct Assignment: Equatable {
    let name: String
    let value: String
    /// Counted from 1.
    let line: Int
  }

  struct Malformed: Error, Equatable {
    /// Counted from 1.
    let line: Int
    let reason: String
  }

  /// The assignments in order. Unlike systemd, which passes over it, a line without `=` is an error.
  static func parse(_ bytes: [UInt8]) throws(Malformed) -> [Assignment] {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw Malformed(line: 1, reason: "is not UTF-8 text") }
    var reader = Reader(bytes: bytes)
    var assignments: [Assignment] = []
    while let assignment = try reader.next() { assignments.append(assignment) }
    return assignments
  }

  private struct Reader {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() throws(Malformed) -> Assignment? {
      while let byte = peek {
        if byte == newline || isBlank(byte) {
          advance()
        } else if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
          while let byte = peek, byte != newline { advance() }
        } else {
          return try assignment()
        }
      }
      return nil
    }

    private mutating func assignment() throws(Malformed) -> Assignment {
      let start = line
      var name: [UInt8] = []
      while let byte = peek, byte != UInt8(ascii: "=") {
        guard byte != newline else { break }
        name.append(byte)
        advance()
      }
      guard peek == UInt8(ascii: "=") else { throw Malformed(line: start, reason: "has no =") }
      advance()
      while let last = name.last, isBlank(last) { name.removeLast() }
      let value = try value()
      return Assignment(name: String(decoding: name, as: UTF8.self), value: value, line: start)
    }

    private mutating func value() throws(Malformed) -> String {
      var value: [UInt8] = []
      /// Blanks behind this are cut.
      var kept = 0
      /// A quote opens only at the beginning or behind another quoted part.
      var mayOpenQuote = true
      while let byte = peek {
        if byte == newline { break }
        if mayOpenQuote, byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
          try quoted(byte, into: &value)
          kept = value.count
          continue
        }
        advance()
        if mayOpenQuote && isBlank(byte) { continue }
        mayOpenQuote = false
        if byte == UInt8(ascii: "\\") {
          guard let escaped = peek else { break }
          advance()
          if escaped == newline { continue }
          value.append(escaped)
          kept = value.count
        } else {
          value.append(byte)
          if !isBlank(byte) { kept = value.count }
        }
      }
      return String(decoding: value[..<kept], as: UTF8.self)
    }

    private mutating func quoted(_ quote: UInt8, into value: inout [UInt8]) throws(Malformed) {
      let start = line
      advance()
      while let byte = peek {
        advance()
        if byte == quote { return }
        if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), let escaped = peek {
          advance()
          switch escaped {
          case newline: break
          case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "`"), UInt8(ascii: "$"): value.append(escaped)
          default: value += [byte, escaped]
          }
        } else {
          value.append(byte)
        }
      }
      throw Malformed(line: start, reason: "opens a quote that nothing closes")
    }

    private let newline = UInt8(ascii: "\n")
    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func advance() {
      if bytes[position] == newline { line += 1 }
      position += 1
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
  }
}
