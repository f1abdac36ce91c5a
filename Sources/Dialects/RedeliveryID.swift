package import Readings

/// Makes the id by which the sink recognises a reading of an MQTT message that comes again, from the broker or out of the
/// dead letters. For one thread.
///
/// A message whose sender said when it measured is the same as another on its topic with the same bytes. Where the
/// sender did not say, two such messages may as well be two measurements, and get no id.
package struct RedeliveryID: ~Copyable {
  private var buffer = ByteBuffer(capacity: 4096)

  package init() {}

  /// Gives each reading of a message that has its sender's time, and no id, one: `mqtt-` and a fingerprint of topic,
  /// payload and canonical JSON. The last tells a message's readings apart, whatever order they are decoded in.
  ///
  /// - Parameter first: the message's first reading; all behind it are the message's too.
  package mutating func identify(
    _ batch: ReadingBatch, from first: Int, topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
  ) {
    var prefix = 0
    for index in first..<batch.count {
      let reading = batch.readings[index]
      guard reading.isTimed, reading.id.isEmpty else { continue }
      if prefix == 0 {
        // Once, for a large message may hold many readings.
        buffer.truncate(to: 0)
        buffer.append(topic)
        buffer.append(UInt8(0))
        buffer.append(payload)
        let fingerprint = Fingerprint(of: buffer.bytes)
        buffer.truncate(to: 0)
        fingerprint.append(to: &buffer)
        prefix = buffer.count
      }
      ReadingEncoder.encode(reading, of: batch, into: &buffer)
      let fingerprint = Fingerprint(of: buffer.bytes)
      buffer.truncate(to: prefix)
      buffer.append("mqtt-" as StaticString)
      fingerprint.append(to: &buffer)
      batch.identify(index, as: UnsafeRawBufferPointer(rebasing: buffer.bytes[prefix...]))
      buffer.truncate(to: prefix)
    }
  }
}
