import Kafka
import Synchronization
import TestServers
import Testing

@Suite struct GroupTests {
  @Test(arguments: Cluster.available) func commitsSayWhereToContinue(cluster: Cluster) throws {
    try cluster.withTopic(partitions: 2) { brokers, name in
      let first = TopicPartition(topic: name, partition: 0)
      let second = TopicPartition(topic: name, partition: 1)
      try fill(brokers, name, partition: 0, 0..<10)
      try fill(brokers, name, partition: 1, 0..<10)
      let settings = configuration(brokers, ["session.timeout.ms": "6000"])

      let member = try Member(settings, group: name, topic: name, commits: false)
      try eventually("all read") { member.count == 20 }
      let consumer = try #require(member.consumer.withLock { $0 })
      // From a thread that does not poll.
      try consumer.commit([first: 6], wait: true)
      try consumer.commit([:], wait: true)
      #expect(try consumer.committed([first, second], timeout: .seconds(10)) == [first: 6])
      try consumer.commit([second: 9], wait: false)
      try eventually("the commit that nobody waits for") {
        try consumer.committed([second], timeout: .seconds(10)) == [second: 9]
      }
      member.leave()
      #expect(member.calls == ["assigned 2", "revoked 2"])

      let next = try Member(settings, group: name, topic: name)
      try eventually("the rest read") { next.count == 5 }
      #expect(next.seen.withLock { $0.offsets } == [first: [6, 7, 8, 9], second: [9]])
      // It commits when its partitions are revoked, here within close.
      next.leave()

      let last = try Member(settings, group: name, topic: name, starts: [first: 3])
      try eventually("read from where the handler says") { last.count == 7 }
      #expect(last.seen.withLock { $0.offsets } == [first: Array(3..<10)])
      last.leave()
      #expect([member, next, last].allSatisfy { $0.seen.withLock { $0.errors.isEmpty } })
    }
  }

  /// Two members share the partitions; when one leaves, the other continues where that one committed.
  @Test(arguments: ["range", "cooperative-sticky"], Cluster.available)
  func membersShare(strategy: String, cluster: Cluster) throws {
    try cluster.withTopic(partitions: 4) { brokers, name in
      let all = Set((0..<4).map { TopicPartition(topic: name, partition: $0) })
      for partition: Int32 in 0..<4 { try fill(brokers, name, partition: partition, 0..<50) }
      let settings = configuration(
        brokers,
        [
          "partition.assignment.strategy": strategy, "session.timeout.ms": "6000", "heartbeat.interval.ms": "200",
          "topic.metadata.refresh.interval.ms": "1000",
        ])
      // The mock cluster takes no commits while a group rebalances; Kafka does, so there `revoked` is the only time.
      let early = cluster == .mock
      let first = try Member(settings, group: name, topic: name, commitsWhenIdle: early)
      try eventually("the first reads alone") {
        first.count == 200 && first.owned == all && (!early || first.hasCommitted)
      }
      let second = try Member(settings, group: name, topic: name, commitsWhenIdle: early)
      try eventually("each has two") { first.owned.count == 2 && second.owned.count == 2 }
      #expect(first.owned.union(second.owned) == all)
      for partition: Int32 in 0..<4 { try fill(brokers, name, partition: partition, 50..<60) }
      try eventually("both read on") {
        first.count + second.count == 240 && (!early || first.hasCommitted && second.hasCommitted)
      }
      first.leave()
      try eventually("the second has all") { second.owned == all }
      for partition: Int32 in 0..<4 { try fill(brokers, name, partition: partition, 60..<70) }
      try eventually("the second reads all") { first.count + second.count == 280 }
      second.leave()
      let isCooperative = strategy != "range"
      #expect(first.calls.first == "assigned 4")
      // The eager protocol takes all away and gives some back; the cooperative one takes only what moves.
      #expect(first.calls[1] == (isCooperative ? "revoked 2" : "revoked 4"))
      #expect(second.calls.contains("assigned 2"))
      for partition in all {
        let offsets = [first, second].flatMap { $0.seen.withLock { $0.offsets[partition] ?? [] } }
        #expect(offsets.sorted() == Array(0..<70), "\(partition): each once")
      }
      #expect([first, second].allSatisfy { $0.seen.withLock { $0.errors.isEmpty } })
    }
  }

  @Test(arguments: ["range", "cooperative-sticky"]) func lostAssignment(strategy: String) throws {
    try withMockCluster(partitions: 2) { cluster, name in
      try fill(cluster.bootstrapServers, name, partition: 0, 0..<10)
      let settings = configuration(
        cluster.bootstrapServers,
        ["partition.assignment.strategy": strategy, "heartbeat.interval.ms": "100", "session.timeout.ms": "6000"])
      let member = try Member(settings, topic: name)
      try eventually("read") { member.count == 10 }
      try cluster.fail(.heartbeat, with: [.unknownMember])
      try eventually("lost, and joined again") { member.calls.count >= 3 }
      #expect(member.calls[..<3] == ["assigned 2", "lost 2", "assigned 2"])
      // Nothing was committed, so it reads again.
      try eventually("read again") { member.count == 20 }
      member.leave()
      #expect(member.calls[3...] == ["revoked 2"])
      #expect(member.seen.withLock { $0.errors.isEmpty })
    }
  }

  @Test func refusedCommitsAreHeardOf() throws {
    try withMockCluster { cluster, name in
      let partition = TopicPartition(topic: name, partition: 0)
      try fill(cluster.bootstrapServers, name, 0..<1)
      let listener = Listener()
      let member = try Member(
        configuration(cluster.bootstrapServers), topic: name, commits: false, observer: listener)
      try eventually("read") { member.count == 1 }
      let consumer = try #require(member.consumer.withLock { $0 })
      try cluster.fail(.offsetCommit, with: [.groupAuthorizationFailed, .groupAuthorizationFailed])
      let error = #expect(throws: KafkaError.self) { try consumer.commit([partition: 1], wait: true) }
      #expect(error?.code == .groupAuthorizationFailed)
      try consumer.commit([partition: 1], wait: false)
      try eventually("the observer hears") { listener.heard(.groupAuthorizationFailed) }
      // The broker hangs: the wait ends all the same.
      try cluster.setRoundTripTime(.seconds(20), broker: 1)
      let late = #expect(throws: KafkaError.self) {
        try consumer.commit([partition: 1], wait: true, timeout: .milliseconds(200))
      }
      #expect(late?.code == .timedOut)
      try cluster.setRoundTripTime(.zero, broker: 1)
      member.leave()
    }
  }

  @Test func leavingWithoutABrokerEnds() throws {
    try withMockCluster { cluster, name in
      try fill(cluster.bootstrapServers, name, 0..<1)
      let member = try Member(configuration(cluster.bootstrapServers), topic: name, commits: false)
      try eventually("read") { member.count == 1 }
      try cluster.setBroker(1, up: false)
      member.leave()
      #expect(member.calls == ["assigned 1", "revoked 1"])
    }
  }

  /// A handler that owns its consumer is released after close.
  @Test func handlersAreReleased() throws {
    try withMockCluster { cluster, name in
      weak var released: Member?
      do {
        let member = try Member(configuration(cluster.bootstrapServers), topic: name)
        released = member
        member.leave()
      }
      try eventually("the thread has let go") { released == nil }
    }
  }
}
