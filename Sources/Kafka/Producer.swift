import CRdKafka
import Dispatch
import Glibc
import Synchronization

/// A Kafka producer: idempotent and with `acks=all` unless the configuration says otherwise.
///
/// Any thread may produce. One thread of its own calls ``run(afterReports:)``, and gets all reports.
/// Every producer has to be closed; one that is not stays until the process ends.
package final class Producer: Sendable {
  let handle: ClientHandle
  let queue: ServedQueue
  let observer: (any ClientObserver)?
  private let partitioner: Partitioner
  // A list: there are few, and a dictionary would hash the name for each request.
  let topics = Mutex<[Topic]>([])
  let phase = Mutex(Phase())
  /// Tells the serving thread to end: set when there will be no more reports.
  let ending = Atomic(false)
  /// Signalled when the serving thread has left `run`.
  let served = DispatchSemaphore(value: 0)
  let closed = DispatchGroup()
  /// Reports of failure since the producer began to close.
  let notDelivered = Atomic<Int>(0)

  /// Where a producer is in its life.
  struct Phase {
    var server: pthread_t?
    var isClosing = false
  }

  /// Makes the client; it connects by itself, whenever there is a broker.
  /// - Throws: an error that names the setting that is wrong.
  package init(_ configuration: KafkaConfiguration, observer: (any ClientObserver)? = nil) throws(KafkaError) {
    let object = try ConfigurationObject.make(
      configuration, defaults: [("enable.idempotence", "true"), ("acks", "all")],
      required: [("log.queue", "true"), ("delivery.report.only.error", "false")])
    unsafe rd_kafka_conf_set_events(
      object.pointer, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
    let client = unsafe try object.makeClient(RD_KAFKA_PRODUCER, configuration)
    // Without this the log lines wait in a queue that nobody serves.
    _ = unsafe rd_kafka_set_log_queue(client, nil)
    unsafe handle = ClientHandle(adopting: client, name: "the producer")
    unsafe queue = ServedQueue(adopting: rd_kafka_queue_get_main(client))
    self.observer = observer
    partitioner = Partitioner(configuration)
  }

  /// The topic of a name, made at the first call. Says nothing about whether the brokers have it.
  package func topic(_ name: String) throws(KafkaError) -> Topic {
    if let known = topics.withLock({ $0.first { $0.name == name } }) { return known }
    return try handle.use { (client) throws(KafkaError) in
      guard let made = unsafe rd_kafka_topic_new(client, name, nil) else {
        throw KafkaError(.init(rd_kafka_last_error()), message: "no topic can be named \(name)")
      }
      let topic = unsafe Topic(name, pointer: made, client: handle)
      let kept = topics.withLock { topics in
        if let known = topics.first(where: { $0.name == name }) { return known }
        topics.append(topic)
        return topic
      }
      // Another thread was faster: its object stays, and the library's reference that ours counted goes.
      if kept !== topic { unsafe rd_kafka_topic_destroy(made) }
      return kept
    }
  }

  /// Copies a message into the producer's queue; exactly one report follows, unless this throws.
  /// - Parameters:
  ///   - partition: -1 lets the partitioner choose, by the key where there is one.
  ///   - value: nil makes a tombstone; an empty buffer is an empty value.
  ///   - headers: nil for none.
  ///   - handsOverHeaders: whether nobody uses the headers after this call, also if it throws: saves a copy.
  ///   - timestamp: the message's, in milliseconds since 1970; 0 is now, and costs a look at the clock.
  ///   - ownValue: what the last of the headers has in this message alone, as long as what it has there.
  ///   - deliveries: say who gets the report.
  ///   - index: comes back in the report.
  /// - Throws: an error with `isBackpressure` when the queue is full, `.messageTooLarge`, `.closed`, a fatal error.
  package func produce(
    to topic: Topic, partition: Int32 = -1, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    headers: MessageHeaders? = nil, handsOverHeaders: Bool = false, timestamp: Int64 = 0,
    ownValue: UnsafeRawBufferPointer? = nil, deliveries: inout Deliveries, index: Int
  ) throws(KafkaError) {
    guard topic.client === handle else {
      throw KafkaError(.invalidArgument, message: "the topic \(topic.name) belongs to another producer")
    }
    let slot = unsafe deliveries.next(index)
    do throws(KafkaError) {
      try handle.use { (client) throws(KafkaError) in
        let list = unsafe handsOverHeaders ? headers?.relinquishList() : headers?.copyingList()
        if let ownValue = unsafe ownValue, let headers, let list = unsafe list {
          unsafe MessageHeaders.overwrite(list, at: headers.count - 1, ownValue)
        }
        let keyStart = unsafe key.map { unsafe $0.baseAddress ?? Bytes.empty }
        let valueStart = unsafe value.map { unsafe $0.baseAddress ?? Bytes.empty }
        let code = unsafe sluice_kafka_produce(
          client, topic.pointer, partition, keyStart, key?.count ?? 0, valueStart, value?.count ?? 0, list,
          timestamp, slot)
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        if let list = unsafe list { unsafe rd_kafka_headers_destroy(list) }
        throw unsafe KafkaError(code, client: client)
      }
    } catch {
      deliveries.takeBack()
      throw error
    }
  }

  /// Produces one message by itself; as above.
  package func produce(
    to topic: Topic, partition: Int32 = -1, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
    headers: MessageHeaders? = nil, handsOverHeaders: Bool = false, receiver: any DeliveryReceiver, index: Int
  ) throws(KafkaError) {
    var deliveries = Deliveries(1, to: receiver)
    try unsafe produce(
      to: topic, partition: partition, key: key, value: value, headers: headers, handsOverHeaders: handsOverHeaders,
      deliveries: &deliveries, index: index)
  }

  /// How many messages wait for their reports to be served, and other events to be served.
  package var queueDepth: Int {
    guard handle.enter() else { return 0 }
    defer { handle.leave() }
    return handle.useByOwner { unsafe Int(rd_kafka_outq_len($0)) }
  }

  /// Asks the cluster for its brokers, to see whether any answers.
  /// - Returns: how many partitions each topic has that this producer writes to.
  @discardableResult
  package func probe(timeout: Duration) throws(KafkaError) -> [String: Int] {
    let cluster = try handle.use { (client) throws(KafkaError) in
      try unsafe ClusterDescription(of: client, .knownTopics, timeout: timeout)
    }
    return Dictionary(cluster.topics.map { ($0.name, $0.partitions) }) { first, _ in first }
  }

  /// The partition of a key that is not empty, as the property `partitioner` has it.
  package func partition(of key: UnsafeRawBufferPointer, among count: Int) -> Int32 {
    unsafe partitioner.partition(of: key, among: count)
  }

  /// How many partitions a topic has, nil if there is no such topic. Does not make the brokers create it.
  package func partitionCount(of topic: String, timeout: Duration) throws(KafkaError) -> Int? {
    try handle.use { (client) throws(KafkaError) in
      // All topics: a producer that asks for one makes brokers that allow it create that.
      try unsafe ClusterDescription(of: client, .allTopics, timeout: timeout)
        .topics.first { $0.name == topic }?.partitions
    }
  }
}
