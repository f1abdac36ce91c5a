import CRdKafka

/// The brokers and topics of a cluster.
package struct ClusterDescription: Sendable, Equatable {
  /// One broker, as the cluster announces it.
  package struct Broker: Sendable, Equatable {
    package let id: Int32
    package let host: String
    package let port: Int
  }

  /// One topic.
  package struct Topic: Sendable, Equatable {
    package let name: String
    /// How many partitions it has.
    package let partitions: Int
    /// On how many brokers each partition is; the least, where they differ.
    package let replication: Int
    /// How many partitions have no leader now.
    package let leaderless: Int
  }

  package let brokers: [Broker]
  package let topics: [Topic]
}

extension ClusterDescription {
  /// What to ask a cluster for.
  enum Request {
    /// The brokers, and those topics that the client writes to.
    case knownTopics
    case allTopics
    case topic(String)
  }

  /// Asks a cluster. Waits up to `timeout` for a connection and an answer.
  init(of client: OpaquePointer, _ request: Request, timeout: Duration) throws(KafkaError) {
    var only: OpaquePointer?
    if case .topic(let name) = request {
      unsafe only = rd_kafka_topic_new(client, name, nil)
      if unsafe only == nil {
        throw KafkaError(.init(rd_kafka_last_error()), message: "no topic can be named \(name)")
      }
    }
    defer { if let only = unsafe only { unsafe rd_kafka_topic_destroy(only) } }
    let all: Int32 = if case .allTopics = request { 1 } else { 0 }
    var answer: UnsafePointer<rd_kafka_metadata>?
    try unsafe KafkaError.check(
      rd_kafka_metadata(client, all, only, &answer, timeout.kafkaMilliseconds), client)
    guard let metadata = unsafe answer else { throw KafkaError(.timedOut) }
    defer { unsafe rd_kafka_metadata_destroy(metadata) }
    let brokerList = unsafe UnsafeBufferPointer(
      start: metadata.pointee.brokers, count: Int(metadata.pointee.broker_cnt))
    brokers = unsafe brokerList.map { broker in
      unsafe Broker(id: broker.id, host: String(cString: broker.host), port: Int(broker.port))
    }
    let topicList = unsafe UnsafeBufferPointer(start: metadata.pointee.topics, count: Int(metadata.pointee.topic_cnt))
    var topics: [Topic] = []
    for index in topicList.indices {
      let topic = unsafe topicList[index]
      switch unsafe topic.err {
      case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: continue
      case RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE: break
      default:
        // Among all topics there may be some that this principal may not see.
        if case .topic = request { throw unsafe KafkaError(.init(topic.err)) }
        continue
      }
      let partitions = unsafe UnsafeBufferPointer(start: topic.partitions, count: Int(topic.partition_cnt))
      unsafe topics.append(
        Topic(
          name: String(cString: topic.topic), partitions: partitions.count,
          replication: Int(partitions.map { unsafe $0.replica_cnt }.min() ?? 0),
          leaderless: partitions.count { unsafe $0.leader < 0 }))
    }
    self.topics = topics
  }
}
