package import Kafka

/// A message's own number, by which a reader of the topic knows a repeat: Kafka's client may write a message a second time,
/// at another offset, when requests run out of time (ARCHITECTURE.md, Stored once).
///
/// It is in the header `sequence`: 16 bytes, the stream and the number, each a big-endian integer of eight.
package struct SequenceNumber: Hashable, Sendable {
  package static let header: StaticString = "sequence"
  package static let byteCount = 16

  /// Whose number it is: what one process sends to one partition. Chosen at random.
  package let stream: UInt64
  /// Counts from 0 in a stream.
  package let number: UInt64

  package init(stream: UInt64, number: UInt64) {
    self.stream = stream
    self.number = number
  }

  /// The number that a message has; nil when it has none, or something else in its place.
  package init?(of message: ConsumedMessage) {
    let read = message.withHeader("sequence") { bytes in bytes.flatMap(Self.init(bytes:)) }
    guard let read else { return nil }
    self = read
  }

  /// Reads a header's value.
  package init?(bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.byteCount else { return nil }
    stream = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
    number = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  /// Lends the header's value.
  package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    let value = (stream.bigEndian, number.bigEndian)
    return try withUnsafeBytes(of: value) { (bytes) throws(E) in try body(bytes) }
  }
}
