/// MongoDB's 12-byte identity of a document.
package struct ObjectID: Sendable, Hashable, CustomStringConvertible {
  /// The first eight bytes, most significant first, so that ids order as their numbers do.
  package let high: UInt64
  /// The last four bytes, most significant first.
  package let low: UInt32

  /// An id from its two parts.
  package init(high: UInt64, low: UInt32) {
    self.high = high
    self.low = low
  }

  /// An id from its bytes; nil unless there are twelve.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 12 else { return nil }
    high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    low = bytes.suffix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The twelve bytes.
  package var bytes: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
      + (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
  }

  /// 24 hexadecimal digits.
  package var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
