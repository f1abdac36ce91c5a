import CRdKafka

/// Looks at a cluster, and makes and removes topics. Every one has to be closed.
package final class Admin: Sendable {
  private let handle: ClientHandle

  /// Makes the client; it connects by itself.
  /// - Parameter observer: gets the library's log lines, on the library's own threads; they say why there is no
  ///   connection.
  /// - Throws: an error that names the setting that is wrong.
  package init(_ configuration: KafkaConfiguration, observer: (any ClientObserver)? = nil) throws(KafkaError) {
    // Log lines go straight to the observer, for there is no thread here that serves a queue.
    let object = try ConfigurationObject.make(configuration, defaults: [], required: [("log.queue", "false")])
    let logging = observer.map { Logging(observer: $0) }
    unsafe rd_kafka_conf_set_log_cb(object.pointer, nil)
    logging?.register(in: object)
    // A consumer, for a producer that asks about a topic makes brokers that allow it create that.
    let client = unsafe try object.makeClient(RD_KAFKA_CONSUMER, configuration)
    unsafe handle = ClientHandle(adopting: client, name: "the admin client", companion: logging)
  }

  /// The brokers, and all topics that the principal may see.
  package func describeCluster(timeout: Duration) throws(KafkaError) -> ClusterDescription {
    try handle.use { (client) throws(KafkaError) in
      try unsafe ClusterDescription(of: client, .allTopics, timeout: timeout)
    }
  }

  /// One topic, nil if there is none of that name. The brokers are told not to create it, which the mock cluster
  /// ignores.
  package func describeTopic(_ name: String, timeout: Duration) throws(KafkaError) -> ClusterDescription.Topic? {
    try handle.use { (client) throws(KafkaError) in
      try unsafe ClusterDescription(of: client, .topic(name), timeout: timeout).topics.first
    }
  }

  /// How many partitions a topic has, nil if there is no such topic.
  package func partitionCount(of topic: String, timeout: Duration) throws(KafkaError) -> Int? {
    try describeTopic(topic, timeout: timeout)?.partitions
  }

  /// Whether the cluster is a ``MockCluster``, here or in another process; nil when it did not say within `timeout`.
  package func isMockCluster(timeout: Duration) throws(KafkaError) -> Bool? {
    try handle.use { (client) throws(KafkaError) in
      guard let name = unsafe rd_kafka_clusterid(client, timeout.kafkaMilliseconds) else { return nil }
      defer { unsafe rd_kafka_mem_free(client, name) }
      // rdkafka_mock.c calls its clusters so; Kafka's ids are 22 characters of base64.
      return unsafe String(cString: name).hasPrefix("mockCluster")
    }
  }

  /// Makes a topic.
  /// - Parameters:
  ///   - replication: on how many brokers each partition is to be; -1 leaves it to the brokers.
  ///   - configuration: the topic's settings, such as `retention.ms`.
  /// - Returns: false if there was one of that name already; its settings are left as they are.
  package func createTopic(
    _ name: String, partitions: Int, replication: Int, configuration: [String: String] = [:], timeout: Duration
  ) throws(KafkaError) -> Bool {
    try handle.use { (client) throws(KafkaError) in
      var topic: OpaquePointer?
      let text = unsafe ErrorText.capture { buffer, size in
        unsafe topic = rd_kafka_NewTopic_new(
          name, Int32(clamping: partitions), Int32(clamping: replication), buffer, size)
      }
      guard unsafe topic != nil else { throw KafkaError(.invalidArgument, message: "\(name): \(text)") }
      defer { unsafe rd_kafka_NewTopic_destroy(topic) }
      for (key, value) in configuration {
        try unsafe KafkaError.check(rd_kafka_NewTopic_set_config(topic, key, value))
      }
      let outcome = try unsafe Self.request(client, timeout) { options, queue in
        unsafe rd_kafka_CreateTopics(client, &topic, 1, options, queue)
      } results: { event, count in
        unsafe rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), count)
      }
      if outcome?.code == .topicAlreadyExists { return false }
      if let outcome { throw outcome }
      return true
    }
  }

  /// Removes a topic and all that is in it.
  /// - Returns: false if there is none of that name.
  package func deleteTopic(_ name: String, timeout: Duration) throws(KafkaError) -> Bool {
    try handle.use { (client) throws(KafkaError) in
      var topic: OpaquePointer? = unsafe rd_kafka_DeleteTopic_new(name)
      defer { unsafe rd_kafka_DeleteTopic_destroy(topic) }
      let outcome = try unsafe Self.request(client, timeout) { options, queue in
        unsafe rd_kafka_DeleteTopics(client, &topic, 1, options, queue)
      } results: { event, count in
        unsafe rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), count)
      }
      if outcome?.code == .unknownTopicOrPartition { return false }
      if let outcome { throw outcome }
      return true
    }
  }

  /// Frees everything, after the calls that other threads are in. A second call does nothing.
  package func close() {
    if handle.closeAndWait() { handle.destroy() }
  }

  /// Makes a request about one topic and waits for its outcome.
  /// - Returns: what the broker says of the topic, nil if all is well.
  /// - Throws: when there was no answer.
  private static func request(
    _ client: OpaquePointer, _ timeout: Duration, send: (_ options: OpaquePointer?, _ queue: OpaquePointer?) -> Void,
    results: (_ event: OpaquePointer, _ count: UnsafeMutablePointer<Int>) -> UnsafeMutablePointer<OpaquePointer?>?
  ) throws(KafkaError) -> KafkaError? {
    let options = unsafe rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_ANY)
    defer { unsafe rd_kafka_AdminOptions_destroy(options) }
    let text = unsafe ErrorText.capture { buffer, size in
      // How long the request may take in all, and how long the controller waits for the brokers to follow.
      _ = unsafe rd_kafka_AdminOptions_set_request_timeout(options, timeout.kafkaMilliseconds, buffer, size)
      _ = unsafe rd_kafka_AdminOptions_set_operation_timeout(options, timeout.kafkaMilliseconds, buffer, size)
    }
    guard text.isEmpty else { throw KafkaError(.invalidArgument, message: text) }
    let queue = unsafe rd_kafka_queue_new(client)
    defer { unsafe rd_kafka_queue_destroy(queue) }
    unsafe send(options, queue)
    // The library keeps the timeout, and answers in any case; the second is for its own way.
    guard let event = unsafe rd_kafka_queue_poll(queue, (timeout + .seconds(1)).kafkaMilliseconds) else {
      throw KafkaError(.timedOut)
    }
    defer { unsafe rd_kafka_event_destroy(event) }
    let code = unsafe rd_kafka_event_error(event)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw unsafe KafkaError(
        .init(code), message: rd_kafka_event_error_string(event).map { unsafe String(cString: $0) })
    }
    var count = 0
    guard let list = unsafe results(event, &count), count > 0, let result = unsafe list[0] else { return nil }
    let outcome = unsafe rd_kafka_topic_result_error(result)
    guard outcome != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    return unsafe KafkaError(
      .init(outcome), message: rd_kafka_topic_result_error_string(result).map { unsafe String(cString: $0) })
  }
}

/// What the log callback of an admin client gets as its opaque pointer.
private final class Logging: Sendable {
  let observer: any ClientObserver

  init(observer: any ClientObserver) { self.observer = observer }

  /// Makes the library call the observer; this object is to outlive the client.
  func register(in object: borrowing ConfigurationObject) {
    unsafe rd_kafka_conf_set_opaque(object.pointer, Unmanaged.passUnretained(self).toOpaque())
    unsafe rd_kafka_conf_set_log_cb(object.pointer) { client, level, facility, text in
      guard let client = unsafe client, let opaque = unsafe rd_kafka_opaque(client) else { return }
      unsafe Unmanaged<Logging>.fromOpaque(opaque).takeUnretainedValue().observer.clientLogged(
        level: Int(level), facility: facility.map { unsafe String(cString: $0) } ?? "",
        message: text.map { unsafe String(cString: $0) } ?? "")
    }
  }
}
