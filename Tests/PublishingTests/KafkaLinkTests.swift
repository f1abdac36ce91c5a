import Kafka
import Operations
import Publishing
import Synchronization
import TestServers
import Testing

@Suite struct KafkaLinkTests {
  private final class Reports: DeliveryReceiver {
    let all = Mutex<[DeliveryReport]>([])
    func delivered(_ report: DeliveryReport) { all.withLock { $0.append(report) } }
    var acknowledged: Int { all.withLock { $0.count { $0.error == nil } } }
    var count: Int { all.withLock { $0.count } }
  }

  /// librdkafka takes some of these for the end of the producer.
  @Test(arguments: [
    [KafkaError.Code.requestTimedOut, .outOfOrderSequence], [.outOfOrderSequence],
    [.transport, .outOfOrderSequence, .outOfOrderSequence], [.notLeader, .requestTimedOut, .outOfOrderSequence],
    [.unknownProducerID], [.messageTimedOut, .outOfOrderSequence, .requestTimedOut],
  ])
  func goesOnWhateverHappensToItsSequence(errors: [KafkaError.Code]) throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("readings", partitions: 1)
    let log = Log(component: "test", level: .error)
    let supervisor = Supervisor(log: log)
    let link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: KafkaConfiguration(brokers: cluster.bootstrapServers), topics: ["readings"],
        deliveryTimeout: .seconds(3),
        queueMessages: 10_000, queueBytes: 1 << 20, linger: .milliseconds(1)),
      log: log, health: Health(), metrics: Metrics())
    link.start(under: supervisor)
    let producer = try DeadLetterProducer(link, topic: "readings")
    try eventually("Kafka is there") { link.unavailability == nil }
    func send(_ count: Int) -> Reports {
      let reports = Reports()
      for index in 0..<count {
        let letter = DeadLetter(key: [1], value: [2], original: [], reason: "test", detail: "", source: "test", now: 0)
        producer.publish(letter, receiver: reports, index: index)
      }
      return reports
    }
    let first = send(5)
    try eventually("the first are there") { first.acknowledged == 5 }
    try cluster.fail(.produce, with: errors)
    for round in 0..<5 {
      let reports = send(20)
      try eventually(timeout: .seconds(20), "all are reported, round \(round)") { reports.count == 20 }
    }
    try eventually(timeout: .seconds(20), "readings are acknowledged again") {
      let reports = send(5)
      try eventually("all are reported") { reports.count == 5 }
      return reports.acknowledged == 5
    }
    supervisor.requestStop()
    link.close(timeout: .seconds(5))
  }

  /// At the ends of what the settings accept.
  @Test(arguments: [(Duration.seconds(3_600), 1 << 40), (.milliseconds(100), 1 << 20)])
  func isMadeWithAnyTimeout(deliveryTimeout: Duration, queueBytes: Int) throws {
    let link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: KafkaConfiguration(brokers: "127.0.0.1:1"), topics: [], deliveryTimeout: deliveryTimeout,
        queueMessages: 10_000_000, queueBytes: queueBytes, linger: .zero),
      log: Log(component: "test", level: .error), health: Health(), metrics: Metrics())
    link.close(timeout: .zero)
  }

  /// As where the right to write idempotently is missing: one line when it goes and one when it is back.
  @Test func isCalmAboutAReasonThatLasts() throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("readings", partitions: 1)
    try cluster.fail(.initProducerID, with: Array(repeating: .clusterAuthorizationFailed, count: 3))
    let lines = Mutex("")
    let log = Log(component: "test", level: .info) { line in
      lines.withLock { $0 += String(decoding: line, as: UTF8.self) }
    }
    let supervisor = Supervisor(log: log)
    let metrics = Metrics()
    let link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: KafkaConfiguration(brokers: cluster.bootstrapServers), topics: ["readings"],
        deliveryTimeout: .seconds(3),
        queueMessages: 10_000, queueBytes: 1 << 20, linger: .milliseconds(1)),
      log: log, health: Health(), metrics: metrics)
    link.start(under: supervisor)
    func count(_ text: String) -> Int { lines.withLock { $0.split(separator: "\n").count { $0.contains(text) } } }
    try eventually("it is replaced as often as it takes") {
      String(decoding: metrics.render(), as: UTF8.self).contains("sluice_kafka_producers_replaced_total 3\n")
        && link.unavailability == nil
    }
    let producer = try DeadLetterProducer(link, topic: "readings")
    let reports = Reports()
    let letter = DeadLetter(key: [1], value: [2], original: [], reason: "test", detail: "", source: "test", now: 0)
    producer.publish(letter, receiver: reports, index: 0)
    try eventually("it is acknowledged") { reports.acknowledged == 1 }
    #expect(count("the producer has failed") == 1, "\(lines.withLock { $0 })")
    #expect(count("is failing") <= 2 && count("works again") <= 2, "\(lines.withLock { $0 })")
    supervisor.requestStop()
    link.close(timeout: .seconds(5))
  }
}
