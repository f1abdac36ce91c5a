import CRdKafka
import Synchronization

/// A Kafka cluster in this process, in memory, that clients of this and other processes reach by TCP on 127.0.0.1.
///
/// It knows idempotent producers and consumer groups. It keeps at most 5 MB or 100,000 messages per partition, dropping
/// the oldest, and forgets everything when it is closed. Joining a group takes about three seconds; while a group
/// rebalances it refuses commits (`.rebalanceInProgress`), which Kafka takes. It creates a topic that is asked for (with
/// four partitions), but answers no admin requests: use ``createTopic(_:partitions:replication:)``.
package final class MockCluster: Sendable {
  /// A kind of request, by its number in the Kafka protocol.
  package struct Request: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int16
    package init(rawValue: Int16) { self.rawValue = rawValue }
    package static let produce = Self(rawValue: 0)
    package static let fetch = Self(rawValue: 1)
    package static let metadata = Self(rawValue: 3)
    package static let offsetCommit = Self(rawValue: 8)
    package static let offsetFetch = Self(rawValue: 9)
    package static let findCoordinator = Self(rawValue: 10)
    package static let joinGroup = Self(rawValue: 11)
    package static let heartbeat = Self(rawValue: 12)
    package static let syncGroup = Self(rawValue: 14)
    package static let initProducerID = Self(rawValue: 22)
  }

  /// The brokers' addresses, `host:port,host:port`.
  package let bootstrapServers: String
  private let handle: ClientHandle
  private let cluster: Cluster

  /// Safe to give around: librdkafka's mock cluster takes calls from any thread; `handle` guards its end.
  @safe private struct Cluster: @unchecked Sendable { let pointer: OpaquePointer }

  /// Starts a cluster.
  /// - Parameter brokers: how many; their ids count from 1.
  package init(brokers: Int = 1) throws(KafkaError) {
    let object = ConfigurationObject()
    // The client that carries the cluster has no brokers of its own to speak of.
    unsafe rd_kafka_conf_set_log_cb(object.pointer, nil)
    let client = unsafe try object.makeClient(RD_KAFKA_PRODUCER, KafkaConfiguration(brokers: ""))
    guard let made = unsafe rd_kafka_mock_cluster_new(client, Int32(clamping: brokers)) else {
      unsafe rd_kafka_destroy(client)
      throw KafkaError(.invalidArgument, message: "no mock cluster of \(brokers) brokers can be made")
    }
    unsafe handle = ClientHandle(adopting: client, name: "the mock cluster")
    unsafe cluster = Cluster(pointer: made)
    unsafe bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(made))
  }

  /// Makes a topic.
  /// - Throws: `.topicAlreadyExists`.
  package func createTopic(_ name: String, partitions: Int, replication: Int = 1) throws(KafkaError) {
    try handle.use { (_) throws(KafkaError) in
      try unsafe KafkaError.check(
        rd_kafka_mock_topic_create(
          cluster.pointer, name, Int32(clamping: partitions), Int32(clamping: replication)))
    }
  }

  /// Makes a broker refuse connections, or take them again.
  package func setBroker(_ id: Int32, up: Bool) throws(KafkaError) {
    try handle.use { (_) throws(KafkaError) in
      try unsafe KafkaError.check(
        up ? rd_kafka_mock_broker_set_up(cluster.pointer, id) : rd_kafka_mock_broker_set_down(cluster.pointer, id))
    }
  }

  /// Makes a broker answer late.
  package func setRoundTripTime(_ time: Duration, broker id: Int32) throws(KafkaError) {
    try handle.use { (_) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_mock_broker_set_rtt(cluster.pointer, id, time.kafkaMilliseconds))
    }
  }

  /// Answers the next requests of a kind with these errors, one each.
  package func fail(_ request: Request, with errors: [KafkaError.Code]) throws(KafkaError) {
    let codes = errors.map(\.native)
    try handle.use { (_) throws(KafkaError) in
      unsafe rd_kafka_mock_push_request_errors_array(cluster.pointer, request.rawValue, codes.count, codes)
    }
  }

  /// Ends the cluster. A second call does nothing.
  package func close() {
    guard handle.closeAndWait() else { return }
    unsafe rd_kafka_mock_cluster_destroy(cluster.pointer)
    handle.destroy()
  }
}
