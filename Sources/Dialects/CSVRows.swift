import Readings

/// The rows of a CSV text (RFC 4180), one at a time, as parts of that text.
struct CSVRows: ~Copyable {
  struct Field {
    var start: Int
    var end: Int
    /// Whether it has doubled quotes.
    var hasEscapes: Bool
  }

  private let bytes: UnsafeRawBufferPointer
  private let separator: UInt8
  private var index = 0
  private var nextLine = 0
  private var unescaped = ByteBuffer(capacity: 128)
  /// Those of the row.
  private(set) var fields: [Field] = []
  /// The line that the row begins in, from 0.
  private(set) var line = 0

  /// Whether the row that was none is one whose quotes do not end within the text.
  private(set) var isUnended = false

  init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, separator: Self.separator(of: bytes)) }

  init(_ bytes: UnsafeRawBufferPointer, separator: UInt8) {
    self.bytes = bytes
    self.separator = separator
  }

  /// Whichever separates most columns in the first line that has something in it.
  static func separator(of bytes: UnsafeRawBufferPointer) -> UInt8 {
    let header = bytes.drop { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.prefix { $0 != UInt8(ascii: "\n") }
    var counts: (comma: Int, semicolon: Int, tab: Int) = (0, 0, 0)
    for byte in header {
      switch byte {
      case UInt8(ascii: ","): counts.comma += 1
      case UInt8(ascii: ";"): counts.semicolon += 1
      case UInt8(ascii: "\t"): counts.tab += 1
      default: break
      }
    }
    if counts.comma >= max(counts.semicolon, counts.tab) { return UInt8(ascii: ",") }
    return counts.semicolon >= counts.tab ? UInt8(ascii: ";") : UInt8(ascii: "\t")
  }

  /// Where commas do not separate columns, they may separate a number's parts.
  var hasDecimalComma: Bool { separator != UInt8(ascii: ",") }

  /// Whether the row is a line with nothing in it.
  var isBlank: Bool { fields.count == 1 && fields[0].start == fields[0].end }

  /// Goes to the next row; false at the end.
  ///
  /// - Throws: when it is none; the one after it is then behind the next line end.
  mutating func next() throws(Rejection) -> Bool {
    line = nextLine
    fields.removeAll(keepingCapacity: true)
    guard index < bytes.count else { return false }
    let start = index
    do {
      repeat { fields.append(try field()) } while take(separator)
    } catch {
      // Where a row goes wrong in a quoted field, its end is not known: the first line end is the best guess.
      index = bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
      nextLine += 1
      throw error
    }
    if index < bytes.count, bytes[index] == UInt8(ascii: "\r") { index += 1 }
    if index < bytes.count { index += 1 }
    for byte in bytes[start..<index] where byte == UInt8(ascii: "\n") { nextLine += 1 }
    return true
  }

  /// Where the row behind this one begins.
  var end: Int { index }

  /// The text of a field, valid until the next one.
  mutating func text(_ index: Int) -> UnsafeRawBufferPointer {
    let field = fields[index]
    let raw = bytes.part(field.start..<field.end)
    guard field.hasEscapes else { return raw.trimmed() }
    unescaped.truncate(to: 0)
    var isSecond = false
    for byte in raw {
      isSecond = byte == UInt8(ascii: "\"") && !isSecond
      if !isSecond { unescaped.append(byte) }
    }
    return unescaped.bytes.trimmed()
  }

  private mutating func field() throws(Rejection) -> Field {
    if index < bytes.count, bytes[index] == UInt8(ascii: "\"") { return try quotedField() }
    let start = index
    while !isFieldEnd {
      if bytes[index] == UInt8(ascii: "\"") {
        throw .malformed("", "has a quote inside a field without quotes, in column \(fields.count + 1)")
      }
      index += 1
    }
    return Field(start: start, end: index, hasEscapes: false)
  }

  private mutating func quotedField() throws(Rejection) -> Field {
    index += 1
    var field = Field(start: index, end: index, hasEscapes: false)
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\"") {
        if index + 1 == bytes.count || bytes[index + 1] != UInt8(ascii: "\"") { break }
        field.hasEscapes = true
        index += 1
      }
      index += 1
    }
    guard index < bytes.count else {
      isUnended = true
      throw .malformed("", "has quotes that do not end, in column \(fields.count + 1)")
    }
    field.end = index
    index += 1
    guard isFieldEnd else { throw .malformed("", "has something behind quotes, in column \(fields.count + 1)") }
    return field
  }

  private var isFieldEnd: Bool {
    index >= bytes.count || bytes[index] == separator || bytes[index] == UInt8(ascii: "\n")
      || (bytes[index] == UInt8(ascii: "\r") && (index + 1 == bytes.count || bytes[index + 1] == UInt8(ascii: "\n")))
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard index < bytes.count, bytes[index] == byte else { return false }
    index += 1
    return true
  }
}
