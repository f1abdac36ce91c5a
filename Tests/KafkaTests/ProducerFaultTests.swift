import Kafka
import Synchronization
import TestServers
import Testing

@Suite struct ProducerFaultTests {
  @Test func noBrokerAtStart() throws {
    let listener = Listener()
    let recorder = Recorder()
    let nowhere = "127.0.0.1:\(TestServers.freePort())"
    try withProducer(configuration(nowhere, ["message.timeout.ms": "1000"]), observer: listener) { producer in
      let topic = try producer.topic("readings")
      for index in 0..<3 { try producer.send(topic, value: "x", to: recorder, index: index) }
      let error = #expect(throws: KafkaError.self) { try producer.probe(timeout: .milliseconds(200)) }
      #expect(error?.isRetriable == true)
      try eventually("reports of failure") { recorder.count == 3 }
      try eventually("the observer hears of it") { listener.heard(.allBrokersDown) || listener.heard(.transport) }
    }
    #expect(recorder.indices == [0, 1, 2])
    #expect(recorder.failed.map(\.error?.code) == Array(repeating: .messageTimedOut, count: 3))
    #expect(recorder.all.allSatisfy { !$0.mayBeStored && $0.offset < 0 })
  }

  @Test func brokerThatComesBackGetsTheMessages() throws {
    try withMockCluster { cluster, name in
      try cluster.setBroker(1, up: false)
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers, ["reconnect.backoff.max.ms": "200"])) { producer in
        let topic = try producer.topic(name)
        for index in 0..<100 { try producer.send(topic, value: "\(index)", to: recorder, index: index) }
        #expect(throws: KafkaError.self) { try producer.probe(timeout: .milliseconds(300)) }
        #expect(recorder.count == 0)
        try cluster.setBroker(1, up: true)
        try eventually("delivery") { recorder.count == 100 }
      }
      #expect(recorder.failed.isEmpty)
      #expect(try read(cluster.bootstrapServers, name, count: 100).map(\.value) == (0..<100).map { "\($0)" })
    }
  }

  /// A broker without a producer's state takes its second request for the first, if that came too early to be taken, and then
  /// takes the first for a repeat of the second: it is not stored, and librdkafka says that it was delivered.
  @Test func whatIsTakenForARepeatIsNotCertainToBeStored() throws {
    try withMockCluster { cluster, name in
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers, [:])) { producer in
        let topic = try producer.topic(name)
        try cluster.fail(.produce, with: [.duplicateSequence])
        try producer.send(topic, value: "lost", to: recorder, index: 0)
        try eventually("a report") { recorder.count == 1 }
      }
      #expect(recorder.failed.map(\.error?.code) == [.duplicateSequence])
      #expect(recorder.all.allSatisfy { $0.mayBeStored })
    }
  }

  @Test func passingErrorsAreRetriedInOrderAndStoredOnce() throws {
    try withMockCluster { cluster, name in
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers, ["retry.backoff.ms": "10"])) { producer in
        let topic = try producer.topic(name)
        try producer.send(topic, value: "0", to: recorder, index: 0)
        try eventually("first") { recorder.count == 1 }
        try cluster.fail(.produce, with: [.notLeader, .notEnoughReplicas, .notLeader])
        for index in 1..<200 { try producer.send(topic, value: "\(index)", to: recorder, index: index) }
        try eventually("delivery") { recorder.count == 200 }
      }
      #expect(recorder.failed.isEmpty)
      #expect(try read(cluster.bootstrapServers, name, count: 200).map(\.value) == (0..<200).map { "\($0)" })
    }
  }

  @Test func refusedMessageIsReported() throws {
    try withMockCluster { cluster, name in
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers)) { producer in
        let topic = try producer.topic(name)
        try cluster.fail(.produce, with: [.topicAuthorizationFailed])
        try producer.send(topic, value: "x", to: recorder)
        try eventually("report") { recorder.count == 1 }
      }
      #expect(recorder.failed.first?.error?.code == .topicAuthorizationFailed)
      #expect(recorder.failed.first?.error?.isRetriable == false)
    }
  }

  /// Closing while threads produce and the broker goes away: what was taken is reported, once, and the end comes.
  @Test(arguments: [true, false]) func closingWhileBusy(brokerGone: Bool) throws {
    try withMockCluster(partitions: 2) { cluster, name in
      let recorder = Recorder()
      let taken = Mutex<[Int]>([])
      let refusals = Mutex<Set<KafkaError.Code>>([])
      let producer = try Producer(configuration(cluster.bootstrapServers))
      let server = Worker { producer.run() }
      let topic = try producer.topic(name)
      let senders = (0..<3).map { thread in
        Worker {
          for index in 0... {
            do {
              try producer.send(topic, value: "x", to: recorder, index: index * 3 + thread)
              taken.withLock { $0.append(index * 3 + thread) }
            } catch let error as KafkaError where error.isBackpressure {
              continue
            } catch {
              refusals.withLock { _ = $0.insert((error as! KafkaError).code) }
              return
            }
          }
        }
      }
      try eventually("some are delivered") { recorder.count > 1_000 }
      if brokerGone {
        try cluster.setBroker(1, up: false)
        let before = taken.withLock { $0.count }
        // Also while the queue is full, of which there is no more to take.
        try eventually("some wait for it") { taken.withLock { $0.count } > before || producer.queueDepth > 1_000 }
      }
      let closers = (0..<2).map { _ in Worker { producer.close(timeout: .milliseconds(300)) } }
      let failed = producer.close(timeout: .milliseconds(300))
      for worker in senders + closers + [server] { worker.join() }
      #expect(recorder.indices == taken.withLock { $0.sorted() })
      #expect(refusals.withLock { $0 } == [.closed])
      #expect(recorder.failed.count >= failed)
      #expect(producer.close(timeout: .zero) == failed)
      if brokerGone { #expect(failed > 0) }
    }
  }

  @Test func closingFromTheServingThreadDoesNothing() throws {
    final class Closer: DeliveryReceiver {
      let producer: Producer
      let results = Mutex<[Int]>([])
      init(_ producer: Producer) { self.producer = producer }
      func delivered(_ report: DeliveryReport) {
        let result = producer.close(timeout: .seconds(60))
        results.withLock { $0.append(result) }
      }
    }
    try withMockCluster { cluster, name in
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers)) { producer in
        let closer = Closer(producer)
        let topic = try producer.topic(name)
        try producer.send(topic, value: "1", to: closer)
        try eventually("report") { closer.results.withLock { $0 } == [0] }
        try producer.send(topic, value: "2", to: recorder)
        try eventually("it still works") { recorder.count == 1 }
      }
    }
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func frozenBrokerAcknowledgesWhenItWakes() throws {
    let server = try KafkaServer()
    defer { try? server.stop() }
    let admin = try Admin(configuration(server.bootstrapServers))
    _ = try admin.createTopic("readings", partitions: 1, replication: 1, timeout: .seconds(90))
    admin.close()
    let recorder = Recorder()
    try withProducer(configuration(server.bootstrapServers, ["socket.timeout.ms": "2000"])) { producer in
      let topic = try producer.topic("readings")
      try producer.send(topic, value: "0", to: recorder, index: 0)
      try eventually("first") { recorder.count == 1 }
      try server.pause()
      for index in 1..<500 { try producer.send(topic, value: "\(index)", to: recorder, index: index) }
      // Longer than the socket timeout, so that the connection is given up and the batch sent again.
      #expect(throws: KafkaError.self) { try producer.probe(timeout: .seconds(4)) }
      #expect(recorder.count == 1)
      try server.resume()
      try eventually("acknowledgements") { recorder.count == 500 }
    }
    #expect(recorder.failed.isEmpty && recorder.indices == Array(0..<500))
    // Sent twice, stored once and in order.
    let values = try read(server.bootstrapServers, "readings", count: 500).map(\.value)
    #expect(values == (0..<500).map { "\($0)" })
    let reader = try Consumer(configuration(server.bootstrapServers))
    defer { reader.close() }
    let marks = try reader.watermarks(of: TopicPartition(topic: "readings", partition: 0), timeout: .seconds(10))
    #expect(marks == (0, 500))
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func frozenBrokerDoesNotHoldUpTheEnd() throws {
    let server = try KafkaServer()
    defer { try? server.stop() }
    let name = "readings"
    let admin = try Admin(configuration(server.bootstrapServers))
    _ = try admin.createTopic(name, partitions: 1, replication: 1, timeout: .seconds(90))
    try fill(server.bootstrapServers, name, 0..<1)
    let member = try Member(configuration(server.bootstrapServers), topic: name, commits: false)
    try eventually("read") { member.count == 1 }
    let recorder = Recorder()
    try withProducer(configuration(server.bootstrapServers)) { producer in
      let topic = try producer.topic(name)
      try producer.send(topic, value: "0", to: recorder, index: 0)
      try eventually("first") { recorder.count == 1 }
      try server.pause()
      for index in 1...10 { try producer.send(topic, value: "\(index)", to: recorder, index: index) }
      #expect(producer.close(timeout: .milliseconds(500)) == 10)
    }
    #expect(recorder.indices == Array(0...10))
    // They were sent, and nobody knows.
    #expect(recorder.failed.map(\.error?.code) == Array(repeating: .purgedInFlight, count: 10))
    #expect(recorder.failed.allSatisfy { $0.mayBeStored })
    member.leave()
    #expect(member.calls == ["assigned 1", "revoked 1"])
    admin.close()
    try server.resume()
  }
}
