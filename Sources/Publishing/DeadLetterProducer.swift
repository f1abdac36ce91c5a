package import Kafka

/// Puts dead letters on their topic.
package final class DeadLetterProducer: Sendable {
  private let link: KafkaLink
  private let topic: String

  /// - Throws: when no topic can be named so.
  package init(_ link: KafkaLink, topic: String) throws(KafkaError) {
    self.link = link
    self.topic = topic
    _ = try link.producer.topic(topic)
  }

  /// Produces a dead letter; exactly one report goes to `receiver`.
  package func publish(_ letter: DeadLetter, receiver: any DeliveryReceiver, index: Int) {
    do throws(KafkaError) {
      let producer = link.producer
      let topic = try producer.topic(topic)
      try Self.withBytes(letter.key) { (key) throws(KafkaError) in
        try Self.withBytes(letter.value) { (value) throws(KafkaError) in
          try producer.produce(
            to: topic, key: key, value: value, headers: MessageHeaders(letter.headers), handsOverHeaders: true,
            receiver: receiver, index: index)
        }
      }
    } catch {
      receiver.delivered(DeliveryReport(index: index, error: error, mayBeStored: false))
    }
  }

  private static func withBytes(
    _ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws(KafkaError) -> Void
  ) throws(KafkaError) {
    guard let bytes else { return try body(nil) }
    // withUnsafeBytes does not know typed errors.
    let error: KafkaError? = bytes.withUnsafeBytes { buffer in
      do throws(KafkaError) {
        try body(buffer)
        return nil
      } catch {
        return error
      }
    }
    if let error { throw error }
  }
}
