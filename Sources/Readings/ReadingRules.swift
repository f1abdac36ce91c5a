import Timestamps

/// The rules of validity, on bytes that are valid UTF-8.
package enum ReadingRules {
  package static let identifierLimit = 128
  package static let unitLimit = 32
  package static let textLimit = 1_024
  package static let idLimit = 128
  package static let tagLimit = 16
  package static let tagNameLimit = 64
  package static let tagValueLimit = 256

  static let identifierReason =
    "must be 1 to 128 characters of A-Z a-z 0-9 . _ : / - and begin with a letter or digit"

  /// Whether a device or sensor may have that name: 1 to 128 of `A-Z a-z 0-9 . _ : / -`, first a letter or digit.
  package static func isIdentifier(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let first = bytes.first, bytes.count <= identifierLimit, isLetterOrDigit(first) else { return false }
    guard bytes.count >= 8 else { return bytes.allSatisfy { areIdentifierBytes(UInt64($0) &* everyByte) } }
    // Each name of each reading: eight bytes at once, of which the last may be among those before.
    let last = bytes.count - 8
    var start = 0
    while start < last {
      guard areIdentifierBytes(bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)) else { return false }
      start += 8
    }
    return areIdentifierBytes(bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self))
  }

  /// Whether a tag may have that name: as an identifier, but up to 64, and without `.` and `/`, which would make paths of
  /// it in the database.
  package static func isTagName(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let first = bytes.first, bytes.count <= tagNameLimit, isLetterOrDigit(first) || first == UInt8(ascii: "_")
    else { return false }
    return bytes.allSatisfy {
      isLetterOrDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "-")
    }
  }

  /// Whether a text is not empty, not too long, and free of control characters (C0 and DEL).
  package static func isPlain(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Bool {
    !bytes.isEmpty && bytes.count <= limit && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
  }

  /// Whether a text spells a number that is not finite, as printf and many languages do: what a broken sensor sends.
  package static func spellsNonFinite(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var word = bytes[...]
    if let first = word.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") { word = word.dropFirst() }
    guard (3...8).contains(word.count) else { return false }
    let lower = word.map { $0 | 0x20 }
    return lower == Array("nan".utf8) || lower == Array("inf".utf8) || lower == Array("infinity".utf8)
  }

  @inline(__always)
  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
  }

  private static var everyByte: UInt64 { 0x0101_0101_0101_0101 }

  /// Whether eight bytes are of the alphabet of identifiers.
  @inline(__always)
  private static func areIdentifierBytes(_ bytes: UInt64) -> Bool {
    let high = everyByte << 7
    /// The highest bit of each byte that is within bounds, of bytes whose own is not set: none of the sums has a carry.
    func within(_ first: Unicode.Scalar, _ last: Unicode.Scalar, _ bytes: UInt64) -> UInt64 {
      (bytes &+ UInt64(0x80 - first.value) &* everyByte) & ~(bytes &+ UInt64(0x7f - last.value) &* everyByte)
    }
    guard bytes & high == 0 else { return false }
    let letters = within("a", "z", bytes | everyByte << 5)
    // '-', '.', '/' and ':' lie within '-' to ':' together with the digits.
    return (letters | within("-", ":", bytes) | within("_", "_", bytes)) & high == high
  }
}

/// When a reading may have been measured.
package struct TimeBounds: Sendable {
  /// How far ahead a device's clock may be, in milliseconds.
  package var futureTolerance: Int64
  /// How long readings are kept, in milliseconds; what is older would expire at once.
  package var retention: Int64

  package init(futureTolerance: Int64, retention: Int64) {
    self.futureTolerance = futureTolerance
    self.retention = retention
  }

  /// - Throws: `future` or `expired`, with both times.
  @inline(__always)
  package func check(_ ts: Int64, now: Int64) throws(ReadingError) {
    if ts > now + futureTolerance || ts < now - retention { throw refusal(ts, now) }
  }

  private func refusal(_ ts: Int64, _ now: Int64) -> ReadingError {
    let times = "it says \(Timestamp.text(ts)), and now is \(Timestamp.text(now))"
    return ts > now
      ? ReadingError(.future, field: "ts", "is more than \(futureTolerance / 1_000) s in the future: \(times)")
      : ReadingError(.expired, field: "ts", "is older than the \(retention / 1_000) s that readings are kept: \(times)")
  }
}
