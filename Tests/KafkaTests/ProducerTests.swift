import Kafka
import Synchronization
import TestServers
import Testing

@Suite struct ProducerTests {
  @Test(arguments: Cluster.available) func roundTrip(cluster: Cluster) throws {
    try cluster.withTopic(partitions: 2) { brokers, name in
      let recorder = Recorder()
      let headers = MessageHeaders([("source", Array("http".utf8)), ("empty", []), ("source", Array("mqtt".utf8))])
      try withProducer(configuration(brokers)) { producer in
        let topic = try producer.topic(name)
        try producer.send(topic, partition: 0, key: "k", value: "v", headers: headers, to: recorder, index: 10)
        try producer.send(topic, partition: 0, key: "k", value: nil, headers: headers, to: recorder, index: 11)
        try producer.send(topic, partition: 0, key: nil, value: "", to: recorder, index: 12)
        try producer.send(topic, partition: 0, key: "", value: "w", to: recorder, index: 13)
        try producer.produce(
          to: topic, partition: 1, key: nil, value: UnsafeRawBufferPointer(start: nil, count: 0), receiver: recorder,
          index: 14)
        try eventually("reports") { recorder.count == 5 }
      }
      #expect(recorder.indices == [10, 11, 12, 13, 14])
      #expect(recorder.failed.isEmpty)
      #expect(recorder.all.allSatisfy { $0.mayBeStored && $0.partition == ($0.index == 14 ? 1 : 0) })
      #expect(recorder.all.first { $0.index == 13 }?.offset == 3)

      let all = try read(brokers, name, partitions: 2, count: 5)
      #expect(all.filter { $0.partition == 1 }.map(\.value) == [""])
      let messages = all.filter { $0.partition == 0 }
      #expect(messages.map(\.offset) == [0, 1, 2, 3])
      #expect(messages.map(\.key) == ["k", "k", nil, ""])
      #expect(messages.map(\.value) == ["v", nil, "", "w"])
      #expect(messages.allSatisfy { $0.topic == name && ($0.timestamp ?? 0) > 1_600_000_000_000 })
      for message in messages[...1] {
        #expect(message.headers.map(\.0) == ["source", "empty", "source"])
        #expect(message.headers.map(\.1) == [Array("http".utf8), [], Array("mqtt".utf8)])
        #expect(message.header("source") == Array("mqtt".utf8))
        #expect(message.header("empty") == [])
        #expect(message.header("none") == nil)
      }
      #expect(messages[2].headers.isEmpty && messages[2].header("source") == nil)
    }
  }

  /// Who chooses a partition beforehand chooses the one that librdkafka would.
  @Test(arguments: [
    nil, "consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a", "fnv1a_random", "random",
  ]) func partitionsOfKeys(partitioner: String?) throws {
    try withMockCluster(partitions: 7) { cluster, name in
      let recorder = Recorder()
      let settings = partitioner.map { ["partitioner": $0] } ?? [:]
      var chosen: [Int32] = []
      try withProducer(configuration(cluster.bootstrapServers, settings)) { producer in
        let topic = try producer.topic(name)
        for index in 0..<100 {
          let key = "device-\(index * index)"
          chosen.append(Array(key.utf8).withUnsafeBytes { producer.partition(of: $0, among: 7) })
          try producer.send(topic, key: key, value: "x", to: recorder, index: index)
        }
        try eventually("reports") { recorder.count == 100 }
      }
      let taken = recorder.all.sorted { $0.index < $1.index }.map(\.partition)
      if partitioner == "random" {
        #expect(Set(chosen).isSubset(of: 0..<7) && Set(chosen).count > 1)
      } else {
        #expect(taken == chosen)
      }
    }
  }

  @Test(arguments: Cluster.available) func everyMessageIsReportedOnceFromManyThreads(cluster: Cluster) throws {
    try cluster.withTopic(partitions: 3) { brokers, name in
      let recorder = Recorder()
      let groups = Atomic<Int>(0)
      let producer = try Producer(configuration(brokers, ["linger.ms": "5"]))
      let server = Worker { producer.run(afterReports: { groups.add(1, ordering: .relaxed) }) }
      let topic = try producer.topic(name)
      #expect(try producer.topic(name) === topic)
      let senders = (0..<4).map { thread in
        Worker {
          for index in 0..<2_500 {
            do {
              try producer.send(topic, key: "\(index % 50)", value: "x", to: recorder, index: thread * 2_500 + index)
            } catch {
              Issue.record(error)
            }
          }
        }
      }
      for sender in senders { sender.join() }
      #expect(producer.close(timeout: .seconds(60)) == 0)
      server.join()
      #expect(producer.close(timeout: .zero) == 0)
      #expect(recorder.indices == Array(0..<10_000))
      #expect(recorder.failed.isEmpty)
      #expect((1...10_000).contains(groups.load(ordering: .relaxed)))
      // Each offset of each partition was given to one message.
      #expect(Set(recorder.all.map { "\($0.partition) \($0.offset)" }).count == 10_000)
    }
  }

  /// Messages that are produced as a group: each is reported once and to its own receiver, which lives until then.
  @Test func reportsOfGroups() throws {
    try withMockCluster(partitions: 3) { cluster, name in
      let settings = ["message.max.bytes": "2000", "linger.ms": "5"]
      let large = [UInt8](repeating: 0, count: 3_000)
      var recorders = (0..<3).map { _ in Recorder() }
      weak let first = recorders[0]
      try withProducer(configuration(cluster.bootstrapServers, settings)) { producer in
        let topic = try producer.topic(name)
        var one = Deliveries(200, to: recorders[0])
        var two = Deliveries(300, to: recorders[1])
        for index in 0..<200 {
          try large[..<10].withUnsafeBytes { value in
            try producer.produce(
              to: topic, key: nil, value: value, timestamp: 1_700_000_000_000 + Int64(index), deliveries: &one,
              index: index * 3)
            try producer.produce(to: topic, key: nil, value: value, deliveries: &two, index: index)
          }
          let error = #expect(throws: KafkaError.self) {
            try large.withUnsafeBytes {
              try producer.produce(to: topic, key: nil, value: $0, deliveries: &two, index: 1_000 + index)
            }
          }
          #expect(error?.code == .messageTooLarge)
        }
        _ = consume one
        // Nothing is ever produced with these.
        _ = Deliveries(10, to: recorders[2])
        try eventually("reports") { recorders[0].count == 200 && recorders[1].count == 200 }
        #expect(recorders[0].indices == (0..<200).map { $0 * 3 })
        #expect(recorders[1].indices == Array(0..<200))
        #expect(recorders.allSatisfy { $0.failed.isEmpty })
        recorders = []
        try eventually("the receiver is given up") { first == nil }
      }
      let times = try read(cluster.bootstrapServers, name, partitions: 3, count: 400).compactMap(\.timestamp)
      #expect(times.filter { $0 < 1_700_000_001_000 }.sorted() == (0..<200).map { 1_700_000_000_000 + $0 })
    }
  }

  @Test func closedProducerTakesNothing() throws {
    try withMockCluster { cluster, name in
      let recorder = Recorder()
      let producer = try Producer(configuration(cluster.bootstrapServers))
      let topic = try producer.topic(name)
      try producer.send(topic, value: "1", to: recorder)
      // Nobody serves it: closing has to do that.
      #expect(producer.close(timeout: .seconds(30)) == 0)
      #expect(recorder.count == 1 && recorder.failed.isEmpty)
      let error = #expect(throws: KafkaError.self) { try producer.send(topic, value: "2", to: recorder) }
      #expect(error?.code == .closed)
      #expect(throws: KafkaError.self) { try producer.topic("another") }
      #expect(throws: KafkaError.self) { try producer.probe(timeout: .seconds(1)) }
      #expect(producer.queueDepth == 0)
      producer.run()
      #expect(recorder.count == 1)
    }
  }

  @Test func topicOfAnotherProducerIsRefused() throws {
    try withMockCluster { cluster, name in
      try withProducer(configuration(cluster.bootstrapServers)) { first in
        try withProducer(configuration(cluster.bootstrapServers)) { second in
          let topic = try first.topic(name)
          let error = #expect(throws: KafkaError.self) { try second.send(topic, value: "", to: Recorder()) }
          #expect(error?.code == .invalidArgument)
        }
      }
    }
  }

  @Test(arguments: Cluster.available) func probes(cluster: Cluster) throws {
    try cluster.withTopic(partitions: 3) { brokers, name in
      try withProducer(configuration(brokers)) { producer in
        try producer.probe(timeout: .seconds(30))
        // What one broker has made, another, and the same one a moment later, may not know yet.
        try eventually("the topic is known") { try producer.partitionCount(of: name, timeout: .seconds(30)) == 3 }
        // Twice: asking must not have created it.
        #expect(try producer.partitionCount(of: "\(name)-none", timeout: .seconds(30)) == nil)
        #expect(try producer.partitionCount(of: "\(name)-none", timeout: .seconds(30)) == nil)
      }
    }
  }

  @Test func fullQueueIsBackpressure() throws {
    let recorder = Recorder()
    let nowhere = "127.0.0.1:\(TestServers.freePort())"
    try withProducer(configuration(nowhere, ["queue.buffering.max.messages": "10"])) { producer in
      let topic = try producer.topic("readings")
      for index in 0..<10 { try producer.send(topic, value: "x", to: recorder, index: index) }
      let error = #expect(throws: KafkaError.self) { try producer.send(topic, value: "x", to: recorder, index: 99) }
      #expect(error?.isBackpressure == true && error?.isRetriable == true)
      #expect(producer.queueDepth >= 10)
      #expect(producer.close(timeout: .zero) == 10)
    }
    #expect(recorder.indices == Array(0..<10))
    #expect(recorder.failed.map(\.error?.code) == Array(repeating: .purged, count: 10))
    #expect(recorder.all.allSatisfy { !$0.mayBeStored })
  }

  @Test func tooLargeIsRefusedAtOnce() throws {
    let recorder = Recorder()
    try withMockCluster { cluster, name in
      try withProducer(configuration(cluster.bootstrapServers, ["message.max.bytes": "1000"])) { producer in
        let topic = try producer.topic(name)
        let error = #expect(throws: KafkaError.self) {
          try producer.send(topic, value: String(repeating: "x", count: 1001), to: recorder)
        }
        #expect(error?.code == .messageTooLarge && error?.isRetriable == false)
      }
    }
    #expect(recorder.count == 0)
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func tooLargeForTheBroker() throws {
    let brokers = try KafkaServer.shared().bootstrapServers
    let name = "small-\(TestServers.freePort())"
    let admin = try Admin(configuration(brokers))
    defer { admin.close() }
    #expect(
      try admin.createTopic(
        name, partitions: 1, replication: 1, configuration: ["max.message.bytes": "2000"], timeout: .seconds(90)))
    let recorder = Recorder()
    try withProducer(configuration(brokers)) { producer in
      let topic = try producer.topic(name)
      // Incompressible, so that the batch is as large as it looks.
      let value = String(decoding: (0..<5000).map { _ in UInt8.random(in: 32...126) }, as: UTF8.self)
      try producer.send(topic, value: value, to: recorder)
      try eventually("report") { recorder.count == 1 }
    }
    #expect(recorder.failed.first?.error?.code == .messageTooLarge)
    #expect(recorder.failed.first?.mayBeStored == false)
  }

  /// Receivers are retained while a report is due, and not longer, whatever becomes of the message.
  @Test func receiversAreReleased() throws {
    final class Once: DeliveryReceiver {
      let tally: Tally
      init(_ tally: Tally) { self.tally = tally }
      func delivered(_ report: DeliveryReport) { tally.reported.add(1, ordering: .relaxed) }
      deinit { tally.released.add(1, ordering: .relaxed) }
    }
    final class Tally: Sendable {
      let reported = Atomic<Int>(0)
      let released = Atomic<Int>(0)
    }
    let tally = Tally()
    var refused = 0
    try withMockCluster { cluster, name in
      let settings = ["queue.buffering.max.messages": "500", "message.max.bytes": "1000"]
      try withProducer(configuration(cluster.bootstrapServers, settings)) { producer in
        let topic = try producer.topic(name)
        let headers = MessageHeaders([("a", [1])])
        for index in 0..<1_000 {
          do {
            let value = index % 100 == 7 ? String(repeating: "x", count: 2000) : "x"
            try producer.send(topic, value: value, headers: headers, to: Once(tally), index: index)
          } catch {
            refused += 1
          }
          if index == 300 { try cluster.setBroker(1, up: false) }
        }
      }
    }
    #expect(refused >= 10)
    #expect(tally.reported.load(ordering: .relaxed) == 1_000 - refused)
    #expect(tally.released.load(ordering: .relaxed) == 1_000)
  }
}
