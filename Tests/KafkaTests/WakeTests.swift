import Kafka
import Synchronization
import TestServers
import Testing

/// Wakes its consumer while it is being closed, as another thread may.
private final class WakingHandler: RebalanceHandler, Sendable {
  private let state = Mutex((assigned: false, revoked: false))
  var isAssigned: Bool { state.withLock { $0.assigned } }
  var wasRevoked: Bool { state.withLock { $0.revoked } }

  func assigned(_ partitions: [TopicPartition], by consumer: Consumer) -> [TopicPartition: Int64] {
    state.withLock { $0.assigned = true }
    return [:]
  }

  func revoked(_ partitions: [TopicPartition], by consumer: Consumer) {
    state.withLock { $0.revoked = true }
    for _ in 0..<10 { consumer.wake() }
  }

  func lost(_ partitions: [TopicPartition], by consumer: Consumer) {}
}

@Suite struct WakeTests {
  @Test(arguments: Cluster.available.filter { $0 != .mock }) func wakingAConsumerThatIsClosingDoesNotKeepItInItsGroup(
    cluster: Cluster
  ) throws {
    try cluster.withTopic { brokers, name in
      // Long enough that only leaving frees the partition in time.
      let settings = ["session.timeout.ms": "40000"]
      for _ in 0..<2 {
        let handler = WakingHandler()
        let consumer = try Consumer(configuration(brokers, settings), group: "g-\(name)", handler: handler)
        try consumer.subscribe([name])
        try eventually(timeout: .seconds(25), "the partition is assigned") {
          _ = consumer.poll(timeout: .milliseconds(100))
          return handler.isAssigned
        }
        consumer.close()
        #expect(handler.wasRevoked)
      }
    }
  }
}
