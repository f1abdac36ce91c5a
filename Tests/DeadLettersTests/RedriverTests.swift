import Foundation
import Kafka
import Operations
import Publishing
import Readings
import Synchronization
import TestServers
import Testing

@testable import DeadLetters

/// Against the mock cluster, which takes transactions.
@Suite struct RedriverTests {
  private final class Fixture {
    let cluster: MockCluster?
    let topic: String
    let kafka: KafkaConfiguration
    private let producer: Producer

    /// - Parameter brokers: nil for a mock cluster with two partitions.
    init(brokers: String? = nil, topic: String = "t") throws {
      self.topic = topic
      let cluster = brokers == nil ? try MockCluster() : nil
      for name in [topic, "\(topic).dlq"] { try cluster?.createTopic(name, partitions: 2) }
      kafka = KafkaConfiguration(brokers: brokers ?? cluster?.bootstrapServers ?? "")
      self.cluster = cluster
      producer = try Producer(kafka)
      let producer = producer
      Thread { producer.run() }.start()
    }

    deinit {
      producer.close(timeout: .seconds(5))
      cluster?.close()
    }

    func write(_ letters: [(partition: Int32, headers: [(String, [UInt8]?)])]) throws {
      let topic = try producer.topic("\(topic).dlq")
      let receipt = Receipt()
      for (partition, headers) in letters {
        try Array("d".utf8).withUnsafeBytes { key in
          try Array("{}".utf8).withUnsafeBytes { value in
            try producer.produce(
              to: topic, partition: partition, key: key, value: value, headers: MessageHeaders(headers),
              receiver: receipt, index: 0)
          }
        }
      }
      try eventually("delivery") { receipt.count.load(ordering: .relaxed) == letters.count }
    }

    func redrive(_ change: (inout Redriver.Configuration) -> Void = { _ in }) throws -> RedriveTally {
      var configuration = Redriver.Configuration(
        kafka: kafka, deadLetterTopic: "\(topic).dlq", topic: topic,
        bounds: TimeBounds(futureTolerance: 0, retention: 1_000))
      configuration.pace = RedrivePace(rate: 0)
      change(&configuration)
      let supervisor = Supervisor(log: Log(component: "tests", level: .error, format: .text))
      let redriver = Redriver(configuration, supervisor: supervisor)
      #expect(try redriver.run())
      supervisor.requestStop()
      #expect(supervisor.join(timeout: .seconds(10)))
      return redriver.tally
    }

    /// How many messages are on the topic, without markers where that is the dead letters'.
    func count(_ topic: String) throws -> Int {
      let reader = try LetterReader(kafka, topic: topic, partitions: cluster == nil ? 1 : 2)
      defer { reader.close() }
      var count = 0
      let isDone = try reader.read(try reader.extents()) { letter in
        if !RedriveMarker.isMarker(letter) { count += 1 }
        return true
      }
      #expect(isDone)
      return count
    }
  }

  private final class Receipt: DeliveryReceiver {
    let count = Atomic(0)
    func delivered(_ report: DeliveryReport) { count.add(1, ordering: .relaxed) }
  }

  private func headers(
    _ offset: Int, topic: String = "t", _ more: [(String, String)] = []
  ) -> [(String, [UInt8]?)] {
    ([("dlq-topic", topic), ("dlq-partition", "0"), ("dlq-offset", "\(offset)"), ("dlq-reason", "r\(offset % 2)")]
      + more)
      .map { ($0.0, Array($0.1.utf8)) }
  }

  @Test func putsBackOnceAndSaysWhatNot() throws {
    let fixture = try Fixture()
    #expect(try fixture.redrive() == RedriveTally())
    try fixture.write((0..<1_200).map { (Int32($0 % 2), headers($0)) })
    try fixture.write([(0, headers(0)), (0, headers(2_000, [("dlq-truncated", "9")])), (1, [])])
    let dry = try fixture.redrive { $0.isDryRun = true }
    #expect(dry.summary(isDryRun: true) == "dry-run redriven=0 would_redrive=1200 skipped=1 refused=2")
    #expect(try fixture.count("t") == 0)

    #expect(
      try fixture.redrive {
        $0.filter.reason = "r1"
        $0.limit = 100
      }.summary(isDryRun: false) == "redriven=100 skipped=0 refused=0")
    #expect(
      try fixture.redrive { $0.filter.reason = "r1" }.summary(isDryRun: false) == "redriven=500 skipped=100 refused=0")
    let rest = try fixture.redrive()
    #expect(rest.summary(isDryRun: false) == "redriven=600 skipped=601 refused=2")
    #expect(rest.skipped["same_message"]?.count == 1)
    #expect(rest.refused["truncated"]?.count == 1 && rest.refused["no_origin"]?.count == 1)
    #expect(try fixture.redrive().summary(isDryRun: false) == "redriven=0 skipped=1201 refused=2")
    #expect(try fixture.count("t") == 1_200)
    #expect(try fixture.count("t.dlq") == 1_203)
  }

  /// Offsets of a topic that was deleted and made anew come again; what was received after others were put back is new.
  @Test func messagesOfATopicThatWasMadeAnewArePutBackToo() throws {
    let fixture = try Fixture()
    // One of the partitions gets the messages, and only of that one the offset is believed.
    func write(received: Int64) throws {
      try fixture.write(
        ["0", "1"].map { partition in
          (
            0,
            headers(0, [("received", "\(received)")]).map {
              $0.0 == "dlq-partition" ? ($0.0, Array(partition.utf8)) : $0
            }
          )
        })
    }
    try write(received: Clock.nowMilliseconds())
    #expect(try fixture.redrive().summary(isDryRun: false) == "redriven=2 skipped=0 refused=0")
    try write(received: Clock.nowMilliseconds() + 7_200_000)
    #expect(try fixture.redrive().summary(isDryRun: false) == "redriven=2 skipped=2 refused=0")
  }

  @Test(.enabled(if: KafkaServer.isAvailable, "needs Kafka")) func whatKafkaDoesNotTakeIsRefusedAlone() throws {
    let brokers = try KafkaServer.shared().bootstrapServers
    let topic = "t-\(UUID().uuidString.prefix(8))"
    let admin = try Admin(KafkaConfiguration(brokers: brokers))
    defer { admin.close() }
    _ = try admin.createTopic(
      topic, partitions: 1, replication: 1, configuration: ["max.message.bytes": "3000"], timeout: .seconds(90))
    _ = try admin.createTopic("\(topic).dlq", partitions: 1, replication: 1, timeout: .seconds(90))
    let fixture = try Fixture(brokers: brokers, topic: topic)
    let large = [("large", String(repeating: "x", count: 5_000))]
    try fixture.write((0..<40).map { (0, headers($0, topic: topic, $0 == 7 || $0 == 8 ? large : [])) })
    let tally = try fixture.redrive()
    #expect(tally.summary(isDryRun: false) == "redriven=38 skipped=0 refused=2", "\(tally.reasons)")
    #expect(tally.refused["too_large"]?.count == 2)
    #expect(try fixture.redrive().summary(isDryRun: false) == "redriven=0 skipped=38 refused=2")
    #expect(try fixture.count(topic) == 38)
  }

  @Test func aMarkerThatCannotBeReadStopsEverything() throws {
    let fixture = try Fixture()
    try fixture.write([(0, headers(0)), (0, [("dlq-redriven", Array("v2:…".utf8))])])
    do {
      _ = try fixture.redrive()
      Issue.record("went on")
    } catch {
      #expect("\(error)".contains("t.dlq 0:1"), "\(error)")
    }
    #expect(try fixture.count("t") == 0)
  }

  @Test func saysWhatIsMissing() throws {
    let fixture = try Fixture()
    do {
      _ = try DeadLetterTopic(fixture.kafka, name: "none", topic: "t")
      Issue.record("found it")
    } catch {
      #expect("\(error)".contains("SLUICE_KAFKA_DEAD_LETTER_TOPIC"), "\(error)")
    }
    do {
      _ = try DeadLetterTopic(KafkaConfiguration(brokers: "127.0.0.1:1"), name: "t.dlq", topic: "t")
      Issue.record("found it")
    } catch {
      #expect("\(error)".contains("SLUICE_KAFKA_BROKERS"), "\(error)")
    }
  }
}
