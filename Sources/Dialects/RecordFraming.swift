import Glibc

/// Where the records of a text end, for those who have only a part of it at a time: a text that is cut there decodes like
/// the whole.
package enum RecordFraming: Equatable, Sendable {
  /// A record per line.
  case lines
  /// Rows of CSV, of which a quoted field may hold line ends.
  case rows(separator: UInt8)
  /// InfluxDB's line protocol, of which a string may hold line ends.
  case points
  /// JSON documents, one behind the other.
  case documents

  /// The rows below a CSV header, whose first line says what separates the columns.
  package static func rows(below header: UnsafeRawBufferPointer) -> RecordFraming {
    .rows(separator: CSVRows.separator(of: header))
  }

  /// Bytes of the first record, with its line end; nil when that shows only in what comes behind these bytes.
  ///
  /// - Parameter isLast: whether nothing comes behind them.
  package func firstRecord(of bytes: UnsafeRawBufferPointer, isLast: Bool) -> Int? {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return nil }
    let rest = isLast ? bytes.count : nil
    if case .documents = self { return Self.document(bytes) ?? rest }
    let line = memchr(start, 0x0a, bytes.count).map { UnsafeRawPointer($0) - start + 1 }
    // Most lines have no quotes, and then their first end is the record's.
    if self == .lines || memchr(start, 0x22, line ?? bytes.count) == nil { return line ?? rest }
    let end: End =
      if case .rows(let separator) = self { Self.row(bytes, separator) } else { Self.point(bytes) }
    switch end {
    case .at(let count): return count
    case .open: return rest
    case .unended: return isLast ? line ?? rest : nil
    case .none: return line ?? rest
    }
  }

  private enum End {
    case at(Int)
    /// It goes to the end of the bytes, and perhaps on.
    case open
    /// Its quotes do not end within the bytes.
    case unended
    /// It is no record; the next one begins behind the first line end.
    case none
  }

  private static func row(_ bytes: UnsafeRawBufferPointer, _ separator: UInt8) -> End {
    var rows = CSVRows(bytes, separator: separator)
    do {
      _ = try rows.next()
      return bytes[rows.end - 1] == UInt8(ascii: "\n") ? .at(rows.end) : .open
    } catch {
      return rows.isUnended ? .unended : .none
    }
  }

  /// A line end belongs to a string only where `LineProtocol` reads one: behind a field's `=`.
  private static func point(_ bytes: UnsafeRawBufferPointer) -> End {
    var index = bytes.firstIndex { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") } ?? bytes.count
    if index < bytes.count, bytes[index] == UInt8(ascii: "#") { return .none }
    // Goes to the first of these bytes, a space or a line end that no backslash stands before.
    func find(_ first: UInt8, _ second: UInt8) {
      while index < bytes.count {
        switch bytes[index] {
        case first, second, UInt8(ascii: " "), UInt8(ascii: "\n"): return
        case UInt8(ascii: "\\") where index + 1 < bytes.count && [0x2c, 0x20, 0x3d].contains(bytes[index + 1]):
          index += 2
        default: index += 1
        }
      }
    }
    find(UInt8(ascii: " "), UInt8(ascii: " "))
    while index < bytes.count, bytes[index] == UInt8(ascii: " ") || bytes[index] == UInt8(ascii: "\t") { index += 1 }
    while true {
      find(UInt8(ascii: "="), UInt8(ascii: ","))
      guard index < bytes.count else { return .open }
      guard bytes[index] == UInt8(ascii: "=") else { return .none }
      index += 1
      if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
        index += 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
          let isEscape = bytes[index] == UInt8(ascii: "\\") && index + 1 < bytes.count
          index += isEscape && [0x22, 0x5c].contains(bytes[index + 1]) ? 2 : 1
        }
        guard index < bytes.count else { return .unended }
        index += 1
        guard index < bytes.count else { return .open }
        guard [0x0a, 0x0d, 0x20, 0x2c].contains(bytes[index]) else { return .none }
      } else {
        while index < bytes.count, ![0x0a, 0x20, 0x2c].contains(bytes[index]) { index += 1 }
      }
      guard index < bytes.count, bytes[index] == UInt8(ascii: ",") else { break }
      index += 1
    }
    return bytes[index...].firstIndex(of: UInt8(ascii: "\n")).map { .at($0 + 1) } ?? .open
  }

  /// A document ends with the bracket that closes its first one; what begins with none ends with its line.
  private static func document(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var depth = 0
    var isText = false
    var isEscaped = false
    for (index, byte) in bytes.enumerated() {
      if isText {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isText = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isText = true
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        depth -= 1
        if depth <= 0 { return index + 1 }
      case UInt8(ascii: "\n") where depth == 0: return index + 1
      default: break
      }
    }
    return nil
  }
}
