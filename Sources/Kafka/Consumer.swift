import CRdKafka
import Synchronization

/// A Kafka consumer: a member of a group, or a reader of partitions of its choice.
///
/// One thread polls, subscribes, assigns, seeks and closes; any thread may commit, pause, resume and wake. What was read
/// is committed only by ``commit(_:wait:timeout:)``. Every consumer has to be closed; one that is not stays a member of
/// its group, and stays until the process ends.
package final class Consumer: Sendable {
  /// Instead of an offset: the first that the partition has.
  package static let earliest = Int64(RD_KAFKA_OFFSET_BEGINNING)
  /// Instead of an offset: the one that the next message will get.
  package static let latest = Int64(RD_KAFKA_OFFSET_END)

  let handle: ClientHandle
  private let context: ConsumerContext
  /// Held while a poll is woken, which does not block.
  private let isClosing = Mutex(false)

  /// Makes a member of a group, which joins when it has subscribed and is polled.
  /// - Parameter configuration: `partition.assignment.strategy` chooses between the eager protocol and the cooperative.
  /// - Throws: an error that names the setting that is wrong.
  package convenience init(
    _ configuration: KafkaConfiguration, group: String, handler: any RebalanceHandler,
    observer: (any ClientObserver)? = nil
  ) throws(KafkaError) {
    var configuration = configuration
    configuration.set("group.id", group)
    try self.init(configuration, handler: handler, observer: observer, defaults: [])
  }

  /// Makes a consumer for ``assign(_:)``. It joins no group; it must not subscribe or commit.
  /// - Parameter reportsEnds: whether a poll fails with `.partitionEnd` each time a partition has been read to its end. An
  ///   offset does not tell that: the last ones of a partition may be the marks of transactions, which nobody is given.
  /// - Throws: an error that names the setting that is wrong.
  package convenience init(
    _ configuration: KafkaConfiguration, reportsEnds: Bool = false, observer: (any ClientObserver)? = nil
  ) throws(KafkaError) {
    // The library insists on a name also where no group is used.
    try self.init(
      configuration, handler: nil, observer: observer, defaults: [("group.id", "sluice-reader")],
      reportsEnds: reportsEnds)
  }

  private init(
    _ configuration: KafkaConfiguration, handler: (any RebalanceHandler)?, observer: (any ClientObserver)?,
    defaults: [(String, String)], reportsEnds: Bool = false
  ) throws(KafkaError) {
    let object = try ConfigurationObject.make(
      configuration, defaults: defaults + [("auto.offset.reset", "earliest")],
      required: [
        ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "\(reportsEnds)"), ("log.queue", "true"),
      ])
    context = ConsumerContext(handler: handler, observer: observer)
    context.register(in: object)
    let client = unsafe try object.makeClient(RD_KAFKA_CONSUMER, configuration)
    _ = unsafe rd_kafka_poll_set_consumer(client)
    // To the main queue, and with that to the consumer's: log lines come out of the poll.
    _ = unsafe rd_kafka_set_log_queue(client, nil)
    unsafe handle = ClientHandle(adopting: client, name: "the consumer", destroyedByLastUser: true, companion: context)
    context.consumer = self
  }

  /// Reads these topics as a member of the group. A topic that begins with `^` is a regular expression.
  package func subscribe(_ topics: [String]) throws(KafkaError) {
    let list = PartitionList(topics: topics)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_subscribe(client, list.pointer), client)
    }
  }

  /// Reads these partitions from these offsets (also ``earliest`` and ``latest``), in place of any others.
  package func assign(_ offsets: [TopicPartition: Int64]) throws(KafkaError) {
    let list = PartitionList(offsets)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_assign(client, list.pointer), client)
    }
  }

  /// Waits for the next message; meanwhile the rebalance handler and the observer are called.
  ///
  /// Must be called at least every `max.poll.interval.ms`, or the group puts this consumer out.
  /// - Returns: nil when there is none within `timeout`, or after ``wake()``.
  package func poll(timeout: Duration) -> Polled? {
    guard handle.enter() else { return .failed(.closed("the consumer")) }
    guard let message = handle.useByOwner({ unsafe rd_kafka_consumer_poll($0, timeout.kafkaMilliseconds) }) else {
      handle.leave()
      return nil
    }
    if unsafe message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR {
      return .message(unsafe ConsumedMessage(adopting: message, usedClient: handle))
    }
    defer {
      unsafe rd_kafka_message_destroy(message)
      handle.leave()
    }
    return .failed(
      handle.useByOwner { client in
        unsafe message.pointee.err == RD_KAFKA_RESP_ERR__FATAL
          ? KafkaError(message.pointee.err, client: client)
          : KafkaError(
            .init(message.pointee.err), message: rd_kafka_message_errstr(message).map { unsafe String(cString: $0) })
      })
  }

  /// Makes the poll that waits, or else the next one, return at once. From any thread.
  package func wake() {
    guard handle.enter() else { return }
    defer { handle.leave() }
    isClosing.withLock { isClosing in
      // `rd_kafka_consumer_close` waits on that queue too: woken, it returns before the group is left, and
      // `rd_kafka_destroy` then waits for that for ever.
      guard !isClosing else { return }
      handle.useByOwner { client in
        guard let queue = unsafe rd_kafka_queue_get_consumer(client) else { return }
        unsafe rd_kafka_queue_yield(queue)
        unsafe rd_kafka_queue_destroy(queue)
      }
    }
  }

  /// Leaves the group and frees everything; `revoked` is called within. A second call does nothing. With a broker that
  /// hangs it takes five seconds, which is how long librdkafka waits for the answer to its leaving.
  ///
  /// On the polling thread, not inside the rebalance handler.
  package func close() {
    let isFirst = isClosing.withLock { isClosing in
      defer { isClosing = true }
      return !isClosing
    }
    guard isFirst else { return }
    _ = handle.useByOwner { unsafe rd_kafka_consumer_close($0) }
    // The handler often owns the consumer.
    context.handler = nil
    handle.retire()
  }
}
