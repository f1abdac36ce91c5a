import Foundation
import Kafka
import MQTT
import Operations
import Synchronization
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable

/// `sluice dlq` with real servers: what was refused is put back, once, and stored, once.
@Suite(.enabled(if: servers, "needs Kafka and MongoDB")) struct DeadLetterTests {
  private final class Receipt: DeliveryReceiver {
    let delivered = Atomic(0)
    func delivered(_ report: DeliveryReport) { if report.error == nil { delivered.add(1, ordering: .relaxed) } }
  }

  /// Writes to the topic of the readings.
  private func produce(_ roles: Roles, _ messages: [(key: String, value: String)]) throws {
    let producer = try Producer(KafkaConfiguration(brokers: roles.environment["SLUICE_KAFKA_BROKERS"] ?? ""))
    let thread = Thread { producer.run() }
    thread.start()
    defer { producer.close(timeout: .seconds(5)) }
    let topic = try producer.topic(roles.topic)
    let receipt = Receipt()
    for message in messages {
      try Array(message.key.utf8).withUnsafeBytes { key in
        try Array(message.value.utf8).withUnsafeBytes { value in
          try producer.produce(to: topic, key: key, value: value, receiver: receipt, index: 0)
        }
      }
    }
    try eventually("delivery") { receipt.delivered.load(ordering: .relaxed) == messages.count }
  }

  /// Readings with their numbers as tags.
  private func readings(_ range: Range<Int>, hoursAhead: Double = 0) -> [(key: String, value: String)] {
    let formatter = ISO8601DateFormatter()
    let ts = formatter.string(from: Date(timeIntervalSinceNow: hoursAhead * 3_600))
    return range.map { number in
      let device = "device-\(number % 20)"
      let value = #"{"device":"\#(device)","sensor":"s","value":1,"ts":"\#(ts)","tags":{"seq":"\#(number)"}}"#
      return (device, value)
    }
  }

  private func expectStored(_ roles: Roles, _ range: Range<Int>) throws {
    try eventually(timeout: .seconds(120), "\(range.count) readings are stored") {
      try roles.count() >= range.count
    }
    let stored = try roles.stored()
    #expect(stored.count == range.count)
    #expect(stored.values.allSatisfy { $0 == 1 }, "something is stored twice")
    #expect(range.allSatisfy { stored["device-\($0 % 20) \($0)"] == 1 }, "something is missing")
  }

  /// What `dlq list --json` says.
  private func list(_ roles: Roles) throws -> (letters: Int, putBack: Int, reasons: [String: Int]) {
    let result = try roles.run(["dlq", "list", "--json"])
    // Its output has standard error too, where libraries may have something to say.
    let line = result.output.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
    guard result.code == 0, let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
      let letters = object["letters"] as? Int, let putBack = object["putBack"] as? Int,
      let reasons = object["reasons"] as? [[String: Any]]
    else { throw TestServerError("dlq list: \(result.output)") }
    var counts: [String: Int] = [:]
    for reason in reasons { counts[reason["reason"] as? String ?? ""] = reason["letters"] as? Int }
    return (letters, putBack, counts)
  }

  private func redrive(_ roles: Roles, _ flags: [String] = [], code: Int32 = 0) throws -> String {
    let result = try roles.run(["dlq", "redrive"] + flags)
    #expect(result.code == code, "\(result.output)")
    return result.output
  }

  private func numbers(_ summary: String) -> [Int] {
    summary.split(separator: "\n").last { $0.hasPrefix("redriven=") }?.split(separator: " ")
      .compactMap { Int($0.split(separator: "=")[1]) } ?? []
  }

  @discardableResult
  private func start(sink roles: Roles, tolerance: String) throws -> ChildProcess {
    try roles.start("sink", ["--future-tolerance", tolerance]).process
  }

  private func end(_ process: ChildProcess) {
    process.signal(SIGTERM)
    #expect(process.wait(timeout: .seconds(30)) == 0)
  }

  /// A deployment with so many dead letters, all of them readings for which the sink that runs now has no objection.
  private func refused(_ count: Int, kafka: String? = nil) throws -> Roles {
    let roles = try Roles(kafka: kafka ?? KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let sink = try start(sink: roles, tolerance: "5m")
    try produce(roles, readings(0..<count, hoursAhead: 1))
    try eventually(timeout: .seconds(120), "\(count) dead letters") { try list(roles).letters == count }
    end(sink)
    try start(sink: roles, tolerance: "2h")
    return roles
  }

  @Test func listShowAndRedrive() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    #expect(try roles.run(["dlq", "list"]).output.hasSuffix("\(roles.topic).dlq: no dead letters\n"))
    let strict = try start(sink: roles, tolerance: "5m")
    try produce(roles, readings(0..<40, hoursAhead: 1) + [("device-1", "no \u{7} reading")])
    try eventually(timeout: .seconds(120), "41 dead letters") { try list(roles).letters == 41 }
    #expect(try list(roles) == (41, 0, ["future": 40, "malformed": 1]))
    let table = try roles.run(["dlq", "list"]).output
    #expect(table.contains("41 letters, 0 of them put back already"), "\(table)")

    let malformed = try roles.run(["dlq", "show", "--reason", "malformed"]).output
    #expect(malformed.contains("value     no \\u{7} reading"), "\(malformed)")
    #expect(malformed.contains("dlq-topic: \(roles.topic)"), "\(malformed)")
    let title = malformed.split(separator: "\n").first { $0.contains("  malformed  sink") } ?? ""
    let place = String(title.prefix { $0 != " " })
    let raw = try roles.run(["dlq", "show", "--raw", "--offset", place])
    #expect(raw.code == 0 && raw.output.hasSuffix("no \u{7} reading"), "\(raw.output)")
    #expect(try roles.run(["dlq", "show", "--raw", "--reason", "future"]).code == 1)
    let device = try roles.run(["dlq", "show", "--device", "device-3", "--limit", "0"]).output
    #expect(device.components(separatedBy: "key       device-3\n").count == 3, "\(device)")
    #expect(try roles.run(["dlq", "show", "--since", "2099-01-01T00:00:00Z"]).output.contains("no such letter"))

    let dry = try redrive(roles, ["--dry-run"])
    #expect(dry.contains("dry-run redriven=0 would_redrive=41 skipped=0 refused=0"), "\(dry)")
    #expect(dry.components(separatedBy: "would be put back\n").count == 42)
    #expect(try list(roles) == (41, 0, ["future": 40, "malformed": 1]))

    end(strict)
    try start(sink: roles, tolerance: "2h")
    #expect(numbers(try redrive(roles, ["--reason", "future", "--limit", "1"])) == [1, 0, 0])
    #expect(numbers(try redrive(roles, ["--reason", "future"])) == [39, 1, 0])
    #expect(numbers(try redrive(roles, ["--reason", "future"])) == [0, 40, 0])
    try expectStored(roles, 0..<40)
    #expect(try list(roles) == (41, 40, ["future": 40, "malformed": 1]))
    // Behind the marks that the transactions left in the partitions.
    try produce(roles, readings(40..<140))
    try expectStored(roles, 0..<140)
  }

  @Test func killedInTheMiddleAndRunAgain() throws {
    let count = 3_000
    let roles = try refused(count)
    for round in 0..<3 {
      let log = "\(roles.folder)/killed-\(round)"
      let process = try ChildProcess(
        [TestServers.sluice, "dlq", "redrive", "--rate", "600"], environment: roles.environment, output: log)
      try eventually("some are put back") {
        let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        return lines.contains { $0.contains("put back") && !$0.contains("put back 0,") }
      }
      process.kill()
      _ = process.wait(timeout: .seconds(10))
    }
    let last = numbers(try redrive(roles, ["--rate", "0"]))
    #expect(last.count == 3 && last[0] > 0 && last[1] > 0 && last[0] + last[1] == count && last[2] == 0, "\(last)")
    try expectStored(roles, 0..<count)
    #expect(try list(roles) == (count, count, ["future": count]))
  }

  @Test func twoAtOnce() throws {
    let count = 2_000
    let roles = try refused(count)
    let log = "\(roles.folder)/first"
    let first = try ChildProcess(
      [TestServers.sluice, "dlq", "redrive", "--rate", "300"], environment: roles.environment, output: log)
    defer { first.kill() }
    func said() throws -> String { try String(contentsOfFile: log, encoding: .utf8) }
    try eventually("the first has put some back") {
      try said().split(separator: "\n").contains { $0.contains("put back") && !$0.contains("put back 0,") }
    }
    let second = numbers(try redrive(roles, ["--rate", "0"]))
    #expect(first.wait(timeout: .seconds(60)) == 1)
    let output = try said()
    #expect(output.contains("another sluice dlq redrive has taken over"), "\(output)")
    let one = numbers(output)
    #expect(one.count == 3 && second.count == 3 && one[0] > 0 && one[0] + second[0] == count, "\(one) \(second)")
    try expectStored(roles, 0..<count)
  }

  /// Nobody can say then whether the last letters were put back: the next run can.
  @Test func aKafkaThatHangsIsGivenUp() throws {
    let kafka = try KafkaServer()
    let roles = try refused(600, kafka: kafka.bootstrapServers)
    let log = "\(roles.folder)/hung"
    let process = try ChildProcess(
      [TestServers.sluice, "dlq", "redrive", "--rate", "60"], environment: roles.environment, output: log)
    try eventually("some are put back") {
      try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        .contains { $0.contains("put back") && !$0.contains("put back 0,") }
    }
    try kafka.pause()
    #expect(process.wait(timeout: .seconds(120)) == 1)
    #expect(try roles.run(["dlq", "list"]).code == 1)
    try kafka.resume()
    // A node that slept for so long has to find its place in the cluster again.
    try eventually(timeout: .seconds(180), "Kafka is back") { try roles.run(["dlq", "list"]).code == 0 }
    let last = numbers(try redrive(roles, ["--rate", "0"]))
    #expect(last.count == 3 && last[0] > 0 && last[0] + last[1] == 600, "\(last)")
    try expectStored(roles, 0..<600)
  }

  @Test func endsInOrder() throws {
    let roles = try refused(600)
    let log = "\(roles.folder)/ended"
    let process = try ChildProcess(
      [TestServers.sluice, "dlq", "redrive", "--rate", "50"], environment: roles.environment, output: log)
    try eventually("some are put back") {
      try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        .contains { $0.contains("put back") && !$0.contains("put back 0,") }
    }
    process.signal(SIGINT)
    #expect(process.wait(timeout: .seconds(20)) == 1)
    let said = try String(contentsOfFile: log, encoding: .utf8)
    let ended = numbers(said)
    #expect(ended.count == 3 && (1..<600).contains(ended[0]) && said.contains("run it again"), "\(said)")
    #expect(numbers(try redrive(roles)) == [600 - ended[0], ended[0], 0])
    try expectStored(roles, 0..<600)
  }

  @Test func whatIsRefusedAgainAndAgainIsLeft() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    try start(sink: roles, tolerance: "5m")
    try produce(roles, readings(0..<1, hoursAhead: 1))
    for round in 0...2 {
      try eventually(timeout: .seconds(60), "letter \(round)") { try list(roles).letters == round + 1 }
      let output = try redrive(roles, ["--max-redrives", "2"])
      #expect(numbers(output) == (round < 2 ? [1, round, 0] : [0, 2, 1]), "\(output)")
      #expect(output.contains("max_redrives") == (round == 2), "\(output)")
    }
    #expect(try list(roles) == (3, 2, ["future": 3]))
    #expect(try roles.count() == 0)
  }

  @Test(.enabled(if: MosquittoServer.isAvailable, "needs mosquitto")) func messagesOverMQTTBecomeReadings() throws {
    let mosquitto = try MosquittoServer()
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port)
    try roles.start("bridge")
    let publisher = try MQTTPublisher(
      MQTTConfiguration(
        address: MQTTAddress(parsing: "mqtt://127.0.0.1:\(mosquitto.port)"), clientID: "tests-\(roles.topic)"))
    try publisher.connect(timeout: .seconds(10))
    defer { publisher.disconnect() }
    let ahead = readings(7..<8, hoursAhead: 1)[0].value
    for payload in [ahead, "ON"] {
      try Array(payload.utf8).withUnsafeBytes { bytes in
        _ = try publisher.publish("sensors/device-7/s", payload: bytes, qos: 1, retain: false)
      }
    }
    var acknowledged: [Int] = []
    try eventually("the broker has both") {
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return acknowledged.count == 2
    }
    try eventually("two dead letters") { try list(roles).letters == 2 }
    try start(sink: roles, tolerance: "2h")
    let output = try redrive(roles, ["--future-tolerance", "2h"])
    #expect(numbers(output) == [1, 0, 1], "\(output)")
    #expect(output.contains("not_understood"), "\(output)")
    try eventually(timeout: .seconds(60), "the reading is stored") { try roles.stored() == ["device-7 7": 1] }
    #expect(numbers(try redrive(roles, ["--future-tolerance", "2h"])) == [0, 1, 1])
  }

  /// What counts is stored, also behind what does not.
  @Test func theSinkLeavesOutWhatWasAborted() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    try start(sink: roles, tolerance: "5m")
    var kafka = KafkaConfiguration(brokers: roles.environment["SLUICE_KAFKA_BROKERS"] ?? "")
    kafka.set("transactional.id", roles.topic)
    let producer = try Producer(kafka)
    Thread { producer.run() }.start()
    defer { producer.close(timeout: .seconds(5)) }
    let topic = try producer.topic(roles.topic)
    try producer.initTransactions(timeout: .seconds(60))
    for (range, isCommitted) in [(0..<20, true), (100..<120, false), (20..<40, true), (120..<140, false)] {
      let receipt = Receipt()
      try producer.beginTransaction()
      for message in readings(range) {
        try Array(message.key.utf8).withUnsafeBytes { key in
          try Array(message.value.utf8).withUnsafeBytes { value in
            try producer.produce(to: topic, key: key, value: value, receiver: receipt, index: 0)
          }
        }
      }
      try eventually("delivery") { receipt.delivered.load(ordering: .relaxed) == range.count }
      if isCommitted {
        try producer.commitTransaction(timeout: .seconds(30))
      } else {
        try producer.abortTransaction(timeout: .seconds(30))
      }
    }
    try produce(roles, readings(40..<60))
    try expectStored(roles, 0..<60)
  }

  @Test func theEmbeddedKafkaIsNamed() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let mock = try MockCluster()
    defer { mock.close() }
    for name in [roles.topic, "\(roles.topic).dlq"] { try mock.createTopic(name, partitions: 2) }
    let output = try redrive(roles, ["--kafka-brokers", mock.bootstrapServers])
    #expect(output.contains("embedded Kafka"), "\(output)")
    #expect(numbers(output) == [0, 0, 0])
  }

  @Test func saysWhatIsWrong() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    for (words, code, name) in [
      (["list", "--kafka-brokers", "127.0.0.1:1"], Int32(1), "SLUICE_KAFKA_BROKERS"),
      (["redrive", "--kafka-brokers", "127.0.0.1:1"], 1, "SLUICE_KAFKA_BROKERS"),
      (["list", "--kafka-dead-letter-topic", "none"], 1, "SLUICE_KAFKA_DEAD_LETTER_TOPIC"),
      (["show", "--raw"], 1, "--raw"), ([], 2, "sluice dlq redrive"), (["remove"], 2, "remove"),
      (["list", "again"], 2, "again"), (["list", "--rate", "1"], 2, "--rate"), (["show", "--json"], 2, "--json"),
      (["redrive", "--raw"], 2, "--raw"), (["redrive", "--rate", "-1"], 2, "--rate"),
      (["redrive", "--max-redrives", "0"], 2, "--max-redrives"), (["show", "--offset", "7"], 2, "--offset"),
      (["show", "--since", "yesterday"], 2, "--since"), (["show", "--limit", "few"], 2, "--limit"),
      (["redrive", "--kafka-config", "no.such=1"], 2, "SLUICE_KAFKA_CONFIG"),
      (["redrive", "--kafka-config", "acks=1"], 2, "SLUICE_KAFKA_CONFIG"), (["list", "--reasn", "x"], 2, "--reason"),
    ] {
      let result = try roles.run(["dlq"] + words)
      #expect(result.code == code, "\(words): \(result.output)")
      #expect(result.output.split(separator: "\n").last?.contains(name) == true, "\(words): \(result.output)")
    }
  }
}
