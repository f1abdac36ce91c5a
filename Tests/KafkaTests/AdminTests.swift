import Foundation
import Kafka
import Synchronization
import TestServers
import Testing

@Suite struct AdminTests {
  @Test(.enabled(if: KafkaServer.isAvailable)) func makesAndRemovesTopics() throws {
    let brokers = try KafkaServer.shared().bootstrapServers
    let admin = try Admin(configuration(brokers))
    defer { admin.close() }
    let name = "admin-\(UUID().uuidString.prefix(8))"
    #expect(try admin.partitionCount(of: name, timeout: .seconds(30)) == nil)
    #expect(
      try admin.createTopic(
        name, partitions: 3, replication: 1, configuration: ["retention.ms": "60000"], timeout: .seconds(90)))
    #expect(!(try admin.createTopic(name, partitions: 5, replication: 1, timeout: .seconds(90))))
    try eventually("leaders") {
      let topic = try admin.describeTopic(name, timeout: .seconds(30))
      return topic?.partitions == 3 && topic?.replication == 1 && topic?.leaderless == 0
    }
    let cluster = try admin.describeCluster(timeout: .seconds(30))
    #expect(cluster.brokers.map { "\($0.host):\($0.port)" } == [brokers])
    #expect(cluster.topics.contains { $0.name == name })
    #expect(try admin.deleteTopic(name, timeout: .seconds(30)))
    try eventually("gone") { try admin.partitionCount(of: name, timeout: .seconds(30)) == nil }
    #expect(!(try admin.deleteTopic(name, timeout: .seconds(30))))
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func refusalsSayWhy() throws {
    let admin = try Admin(configuration(try KafkaServer.shared().bootstrapServers))
    defer { admin.close() }
    let replication = #expect(throws: KafkaError.self) {
      try admin.createTopic("too-many-replicas", partitions: 1, replication: 9, timeout: .seconds(90))
    }
    #expect(replication?.code.rawValue == 38 && replication?.message.isEmpty == false)
    let setting = #expect(throws: KafkaError.self) {
      try admin.createTopic(
        "bad-setting", partitions: 1, replication: 1, configuration: ["retention.ms": "soon"], timeout: .seconds(90))
    }
    #expect(setting?.message.contains("retention.ms") == true)
  }

  @Test func nobodyThere() throws {
    let listener = Listener()
    let nowhere = "127.0.0.1:\(TestServers.freePort())"
    let admin = try Admin(configuration(nowhere), observer: listener)
    let error = #expect(throws: KafkaError.self) { try admin.describeCluster(timeout: .milliseconds(500)) }
    #expect(error?.isRetriable == true)
    #expect(throws: KafkaError.self) {
      try admin.createTopic("a", partitions: 1, replication: 1, timeout: .milliseconds(500))
    }
    try eventually("the observer hears why") { listener.lines.withLock { $0.contains { $0.contains(nowhere) } } }
    admin.close()
    admin.close()
    let closed = #expect(throws: KafkaError.self) { try admin.describeCluster(timeout: .seconds(1)) }
    #expect(closed?.code == .closed)
  }

  @Test func mockClusterDescribesItself() throws {
    let cluster = try MockCluster(brokers: 3)
    try cluster.createTopic("readings", partitions: 6, replication: 3)
    #expect(throws: KafkaError.self) { try cluster.createTopic("readings", partitions: 6) }
    let admin = try Admin(configuration(cluster.bootstrapServers))
    let described = try admin.describeCluster(timeout: .seconds(30))
    #expect(described.brokers.map(\.id).sorted() == [1, 2, 3])
    #expect(described.topics.map(\.partitions) == [6] && described.topics.map(\.replication) == [3])
    #expect(try admin.partitionCount(of: "readings", timeout: .seconds(30)) == 6)
    admin.close()
    cluster.close()
    cluster.close()
    #expect(throws: KafkaError.self) { try cluster.setBroker(1, up: true) }
  }
}
