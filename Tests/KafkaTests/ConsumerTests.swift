import Kafka
import Synchronization
import TestServers
import Testing

@Suite struct ConsumerTests {
  @Test(arguments: Cluster.available) func readsWithoutAGroup(cluster: Cluster) throws {
    try cluster.withTopic(partitions: 2) { brokers, name in
      let first = TopicPartition(topic: name, partition: 0)
      let second = TopicPartition(topic: name, partition: 1)
      try fill(brokers, name, partition: 0, 0..<10)
      try fill(brokers, name, partition: 1, 10..<20)
      let consumer = try Consumer(configuration(brokers))
      defer { consumer.close() }
      #expect(try consumer.watermarks(of: first, timeout: .seconds(10)) == (0, 10))
      try consumer.assign([first: 4])
      #expect(consumer.assignment == [first])
      let messages = try consumer.read(6)
      #expect(messages.map(\.value) == (4..<10).map { "\($0)" })
      #expect(try consumer.position([first]) == [first: 10])
      #expect(consumer.poll(timeout: .milliseconds(300)) == nil)

      try consumer.seek([first: 8], timeout: .seconds(10))
      #expect(try consumer.read(2).map(\.offset) == [8, 9])
      try consumer.assign([second: Consumer.earliest, first: Consumer.latest])
      #expect(try consumer.read(10).map(\.value) == (10..<20).map { "\($0)" })
      try fill(brokers, name, partition: 0, 20..<21)
      #expect(try consumer.read(1).map(\.value) == ["20"])
    }
  }

  @Test func pauseHoldsOnePartitionBack() throws {
    try withMockCluster(partitions: 2) { cluster, name in
      let first = TopicPartition(topic: name, partition: 0)
      let second = TopicPartition(topic: name, partition: 1)
      try fill(cluster.bootstrapServers, name, partition: 0, 0..<5)
      let consumer = try Consumer(configuration(cluster.bootstrapServers))
      defer { consumer.close() }
      try consumer.assign([first: 0, second: 0])
      _ = try consumer.read(2)
      try consumer.pause([first])
      try fill(cluster.bootstrapServers, name, partition: 1, 10..<15)
      #expect(try consumer.read(5).map(\.value) == (10..<15).map { "\($0)" })
      #expect(consumer.poll(timeout: .milliseconds(300)) == nil)
      try consumer.resume([first])
      #expect(try consumer.read(3).map(\.offset) == [2, 3, 4])
      let unassigned = TopicPartition(topic: "other", partition: 7)
      let error = #expect(throws: KafkaError.self) { try consumer.pause([unassigned]) }
      #expect(error?.message.contains("other[7]") == true)
    }
  }

  @Test func offsetOutOfRangeBeginsAtTheEarliest() throws {
    try withMockCluster { cluster, name in
      try fill(cluster.bootstrapServers, name, 0..<3)
      let consumer = try Consumer(configuration(cluster.bootstrapServers))
      defer { consumer.close() }
      try consumer.assign([TopicPartition(topic: name, partition: 0): 1_000])
      #expect(try consumer.read(3).map(\.offset) == [0, 1, 2])
    }
  }

  @Test func messagesOutliveTheirConsumer() throws {
    try withMockCluster { cluster, name in
      let headers = MessageHeaders([("source", Array("http".utf8))])
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers)) { producer in
        try producer.send(try producer.topic(name), key: "k", value: "v", headers: headers, to: recorder)
        try eventually("delivery") { recorder.count == 1 }
      }
      var messages = try read(cluster.bootstrapServers, name, count: 1)
      #expect(messages[0].key == "k" && messages[0].value == "v" && messages[0].topic == name)
      // Several threads may be the first to ask for the headers.
      let message = messages.removeLast()
      let readers = (0..<4).map { _ in Worker { #expect(message.header("source") == Array("http".utf8)) } }
      for reader in readers { reader.join() }
    }
  }

  @Test func wakeEndsAPoll() throws {
    try withMockCluster { cluster, _ in
      let consumer = try Consumer(configuration(cluster.bootstrapServers))
      let polling = Atomic(false)
      let result = Mutex<Polled?>(nil)
      let poller = Worker {
        polling.store(true, ordering: .releasing)
        let polled = consumer.poll(timeout: .seconds(600))
        result.withLock { $0 = polled }
      }
      try eventually("polling") { polling.load(ordering: .acquiring) }
      // Before or after the poll has begun to wait: either way it ends.
      consumer.wake()
      poller.join()
      #expect(result.withLock { $0 } == nil)
      consumer.close()
      consumer.close()
      consumer.wake()
      guard case .failed(let error) = consumer.poll(timeout: .seconds(600)) else {
        Issue.record("a closed consumer polls")
        return
      }
      #expect(error.code == .closed)
      #expect(consumer.assignment == [])
      #expect(throws: KafkaError.self) { try consumer.subscribe(["a"]) }
    }
  }

  @Test func observerHearsWhenThereIsNoBroker() throws {
    let listener = Listener()
    let consumer = try Consumer(configuration("127.0.0.1:\(TestServers.freePort())"), observer: listener)
    defer { consumer.close() }
    try eventually("an error and a line of the log") {
      _ = consumer.poll(timeout: .milliseconds(20))
      return (listener.heard(.allBrokersDown) || listener.heard(.transport))
    }
  }
}
