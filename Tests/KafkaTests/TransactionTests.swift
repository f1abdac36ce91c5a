import Kafka
import TestServers
import Testing

/// Transactions, and readers of partitions that hold their marks.
@Suite struct TransactionTests {
  private func transactional(_ brokers: String, _ id: String) -> KafkaConfiguration {
    configuration(brokers, ["transactional.id": id, "transaction.timeout.ms": "15000"])
  }

  /// Everything in a partition up to its end, as readers of what is committed see it.
  private func readToEnd(_ brokers: String, _ topic: String) throws -> [(offset: Int64, value: String?)] {
    let consumer = try Consumer(configuration(brokers, ["isolation.level": "read_committed"]), reportsEnds: true)
    defer { consumer.close() }
    try consumer.assign([TopicPartition(topic: topic, partition: 0): Consumer.earliest])
    var found: [(Int64, String?)] = []
    var isAtEnd = false
    try eventually("the partition's end") {
      while !isAtEnd, let polled = consumer.poll(timeout: .milliseconds(200)) {
        switch polled {
        case .message(let message): found.append((message.offset, message.value))
        case .failed(let error):
          guard error.code == .partitionEnd else { throw error }
          isAtEnd = true
        }
      }
      return isAtEnd
    }
    return found
  }

  @Test(arguments: Cluster.available) func whatIsCommittedIsReadToTheEnd(on cluster: Cluster) throws {
    try cluster.withTopic { brokers, name in
      #expect(try readToEnd(brokers, name).isEmpty)
      let recorder = Recorder()
      try withProducer(transactional(brokers, "tx-\(name)")) { producer in
        try producer.initTransactions(timeout: .seconds(60))
        let topic = try producer.topic(name)
        for round in 0..<3 {
          try producer.beginTransaction()
          for index in 0..<5 { try producer.send(topic, value: "\(round) \(index)", to: recorder) }
          try producer.commitTransaction(timeout: .seconds(30))
        }
      }
      #expect(recorder.failed.isEmpty)
      let found = try readToEnd(brokers, name)
      #expect(found.map(\.value) == (0..<3).flatMap { round in (0..<5).map { "\(round) \($0)" } })
      // Kafka's own marks take offsets; the mock cluster has none.
      #expect(found.last?.offset == (cluster == .apache ? 16 : 14))
    }
  }

  @Test(.enabled(if: KafkaServer.isAvailable, "needs Kafka")) func whatIsAbortedIsNotRead() throws {
    try Cluster.apache.withTopic { brokers, name in
      let recorder = Recorder()
      try withProducer(transactional(brokers, "tx-\(name)")) { producer in
        try producer.initTransactions(timeout: .seconds(60))
        let topic = try producer.topic(name)
        try producer.beginTransaction()
        try producer.send(topic, value: "aborted", to: recorder)
        try eventually("delivery") { recorder.count == 1 }
        try producer.abortTransaction(timeout: .seconds(30))
        try producer.beginTransaction()
        try producer.send(topic, value: "committed", to: recorder)
        try producer.commitTransaction(timeout: .seconds(30))
      }
      #expect(try readToEnd(brokers, name).map(\.value) == ["committed"])
    }
  }

  @Test(.enabled(if: KafkaServer.isAvailable, "needs Kafka")) func theNextOwnerOfAnIDFencesTheFormer() throws {
    try Cluster.apache.withTopic { brokers, name in
      let recorder = Recorder()
      try withProducer(transactional(brokers, "tx-\(name)")) { former in
        try former.initTransactions(timeout: .seconds(60))
        let topic = try former.topic(name)
        try former.beginTransaction()
        try former.send(topic, value: "former", to: recorder)
        try eventually("delivery") { recorder.count == 1 }
        try withProducer(transactional(brokers, "tx-\(name)")) { next in
          try next.initTransactions(timeout: .seconds(60))
          do throws(KafkaError) {
            try former.commitTransaction(timeout: .seconds(30))
            Issue.record("the former owner committed")
          } catch {
            #expect(error.isFenced, "\(error)")
            #expect(error.isFatal, "\(error)")
          }
        }
      }
      #expect(try readToEnd(brokers, name).isEmpty)
    }
  }

  @Test func tellsTheMockClusterFromKafka() throws {
    for cluster in Cluster.available {
      try cluster.withTopic { brokers, _ in
        let admin = try Admin(KafkaConfiguration(brokers: brokers))
        defer { admin.close() }
        #expect(try admin.isMockCluster(timeout: .seconds(10)) == (cluster == .mock))
      }
    }
  }

  @Test func withoutABrokerItSaysSoInTime() throws {
    try withProducer(transactional("127.0.0.1:1", "tx")) { producer in
      #expect(throws: KafkaError.self) { try producer.initTransactions(timeout: .milliseconds(300)) }
      #expect(throws: KafkaError.self) { try producer.beginTransaction() }
    }
  }
}
