import CRdKafka

/// A queue of events.
@safe struct ServedQueue: @unchecked Sendable {
  // Unchecked: librdkafka's queues are thread-safe; the owner destroys it after the last use.
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

  /// The next event, which belongs to the caller.
  /// - Parameter milliseconds: -1 waits until there is one, or `interrupt` is called.
  func next(_ milliseconds: Int32) -> OpaquePointer? { unsafe rd_kafka_queue_poll(pointer, milliseconds) }

  /// Ends the wait for an event, or the next one if nobody is waiting.
  func interrupt() { unsafe rd_kafka_queue_yield(pointer) }

  func destroy() { unsafe rd_kafka_queue_destroy(pointer) }
}
