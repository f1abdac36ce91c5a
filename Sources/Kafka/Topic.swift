import CRdKafka

/// A topic that a producer writes to. It belongs to its producer, and is of no use after that is closed.
@safe package final class Topic: @unchecked Sendable {
  // Unchecked: librdkafka's topics are thread-safe; the producer destroys this one after the last call that uses it.
  let pointer: OpaquePointer
  /// The producer's client, to refuse a topic of another producer.
  let client: ClientHandle
  /// The name of the topic.
  package let name: String

  init(_ name: String, pointer: OpaquePointer, client: ClientHandle) {
    self.name = name
    unsafe self.pointer = unsafe pointer
    self.client = client
  }
}
