import CRdKafka

/// What became of one message.
package struct DeliveryReport: Sendable, Equatable {
  /// The number that the message was produced with.
  package let index: Int
  /// Nil when the message is stored as `acks` asks.
  package let error: KafkaError?
  /// The partition it went to, -1 if none was chosen.
  package let partition: Int32
  /// Its offset; negative when it is not stored, or the broker did not say where.
  package let offset: Int64
  /// Whether it is or may be stored: false only when it is certain that it is not.
  package let mayBeStored: Bool

  package init(
    index: Int, error: KafkaError? = nil, partition: Int32 = -1, offset: Int64 = -1, mayBeStored: Bool = true
  ) {
    self.index = index
    self.error = error
    self.partition = partition
    self.offset = offset
    self.mayBeStored = mayBeStored
  }

  init(index: Int, of message: UnsafePointer<rd_kafka_message_t>) {
    self.index = index
    partition = unsafe message.pointee.partition
    offset = unsafe message.pointee.offset
    if unsafe message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR {
      error = unsafe KafkaError(.init(message.pointee.err))
      mayBeStored = unsafe rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED
    } else if offset < 0 {
      // The library takes DUPLICATE_SEQUENCE_NUMBER for success. But a broker that knows nothing of a producer yet begins
      // with whatever comes (ProducerAppendInfo.checkSequence): when the first request was refused, for the partition has
      // just been made or moved, and the second was not, then the first is a repeat to it, and is stored nowhere. A real
      // repeat is answered with its offset.
      error = KafkaError(.duplicateSequence, message: "Kafka took it for a repeat, and did not say of what")
      mayBeStored = true
    } else {
      error = nil
      mayBeStored = true
    }
  }
}

/// Gets the reports of the messages it was named for, on the producer's serving thread.
package protocol DeliveryReceiver: AnyObject, Sendable {
  /// Called exactly once for each message. Must not block, and must not close the producer.
  func delivered(_ report: DeliveryReport)
}
