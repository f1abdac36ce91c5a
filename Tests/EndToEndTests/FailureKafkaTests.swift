import Foundation
import HTTPClient
import Kafka
import Operations
import Synchronization
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// What Kafka does to all roles.
@Suite(
  .enabled(if: TestServers.runsLongTests, "takes minutes: make test-long"),
  .enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct FailureKafkaTests
{
  /// Gone at the start, then frozen under a flood, then gone in service.
  @Test func kafkaIsAway() throws {
    let kafka = try KafkaServer()
    defer { try? kafka.stop() }
    let mosquitto = try MosquittoServer()
    let roles = try Roles(
      kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port,
      settings: [
        "SLUICE_KAFKA_DELIVERY_TIMEOUT": "3s", "SLUICE_HTTP_MEMORY_LIMIT": "32MiB",
        "SLUICE_KAFKA_QUEUE_BYTES": "8MiB",
      ])
    try kafka.kill()
    let http = TestServers.freePort()
    let ingest = try roles.launch("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    let bridge = try roles.launch("bridge")
    let sink = try roles.launch("sink")
    for role in [ingest, bridge, sink] { try role.waitUntilFailing("Kafka does not answer") }
    let poster = try Poster(http)
    let refused = try poster.post(0)
    #expect(
      refused.status == 503 && refused.header("Retry-After") != nil && refused.text.contains("nothing was accepted"))
    #expect(poster.slowest < .seconds(1))
    try kafka.restart()
    for role in [ingest, bridge, sink] { try role.waitUntilReady() }
    #expect(try poster.post(1).status == 202)
    let published = try TestServers.run([
      "mosquitto_pub", "-p", "\(mosquitto.port)", "-q", "1", "-t", "sensors/device-0/s", "-m",
      #"{"value":1,"tags":{"seq":"mqtt"}}"#,
    ])
    #expect(published.code == 0, "\(published.output)")
    try roles.expectStored(poster.accepted.union(["device-0 mqtt"]))

    // More than it may hold, in bodies that are all under way when Kafka stops to answer.
    try kafka.pause()
    let flood = try flood(http)
    #expect(!flood.isEmpty && flood.allSatisfy { [202, 503, 429].contains($0) }, "\(Set(flood))")
    for role in [ingest, bridge, sink] { try role.waitUntilFailing("Kafka does not answer") }
    let peak = try ingest.peakMemory()
    // Bodies, the queue, with what librdkafka and the decoding add to each reading, and the process itself.
    #expect(peak < (32 + 3 * 8 + 90) << 20, "\(peak >> 20) MiB")
    try kafka.resume()
    for role in [ingest, bridge, sink] { try role.waitUntilReady() }
    try kafka.kill()
    for role in [ingest, bridge, sink] { try role.waitUntilFailing("Kafka does not answer") }
    try kafka.restart()
    for role in [ingest, bridge, sink] { try role.waitUntilReady() }
    #expect(try poster.post(2).status == 202)
    try roles.expectStored(poster.accepted.union(["device-0 mqtt"]), others: true)
    for role in [ingest, bridge, sink] {
      // At the start, frozen, and gone.
      #expect(role.lines("kafka is failing") == 3 && role.lines("kafka works again") == 3, "\(role.log)")
      #expect(role.lines("Z error ") == 0, "\(role.log)")
      #expect(role.terminate() == 0)
    }
  }

  /// Kafka hangs for just as long as readings may wait for it: its client gives some of a request up then, and writes the
  /// others again, which Kafka may have all the same.
  @Test(arguments: ["timeseries", "documents"]) func kafkaHangsUntilReadingsAreGivenUp(_ layout: String) throws {
    let kafka = try KafkaServer()
    defer { try? kafka.stop() }
    let roles = try Roles(
      kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri,
      settings: [
        "SLUICE_MONGODB_LAYOUT": layout, "SLUICE_KAFKA_DELIVERY_TIMEOUT": "2s",
        // A request has readings of different ages then.
        "SLUICE_KAFKA_LINGER": "200ms",
      ])
    let http = TestServers.freePort()
    try roles.start("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    try roles.start("sink")
    let file = "\(roles.folder)/accepted"
    let fleet = try roles.startFleet(
      ["--url", "http://127.0.0.1:\(http)", "--rate", "1000", "--batch", "5", "--connections", "60"], accepted: file)
    let reader = try TopicReader(kafka.bootstrapServers, roles.topic)
    func repeats() throws -> Int {
      let numbers = try reader.readAll().compactMap { $0.header("sequence") }
      return numbers.count - Set(numbers).count
    }
    var rounds = 0
    // Some readings are on the topic twice: how many depends on moments that no test can choose.
    while try rounds < 3 || (rounds < 20 && repeats() == 0) {
      try kafka.pause()
      usleep(UInt32(1_800 + rounds % 6 * 75) * 1_000)
      try kafka.resume()
      usleep(3_000_000)
      rounds += 1
    }
    fleet.signal(SIGTERM)
    #expect(fleet.wait(timeout: .seconds(30)) != nil)
    #expect(try repeats() > 0)
    try roles.expectStored(try Roles.accepted(file), others: true)
  }

  /// Posts bodies of several megabytes over many connections at once.
  /// - Returns: the statuses of the answers.
  private func flood(_ port: UInt16) throws -> [Int] {
    let reading = #"{"device":"flood","sensor":"s","value":"\#(String(repeating: "x", count: 700))"}"# + "\n"
    let body = Array(String(repeating: reading, count: 5_000).utf8)
    let answers = Mutex<[Int]>([])
    let group = DispatchGroup()
    for _ in 0..<32 {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        guard let client = try? HTTPClient() else { return }
        for _ in 0..<4 {
          let answer = try? client.send(
            "POST", "http://127.0.0.1:\(port)/v1/readings", headers: [("Content-Type", "application/x-ndjson")],
            body: body, timeout: .seconds(30))
          answers.withLock { $0.append(answer?.status ?? 0) }
        }
      }
    }
    group.wait()
    return answers.withLock { $0 }
  }

  /// The leader of a partition is killed, and another is frozen, while readings come in: nothing accepted is lost, nothing
  /// is there twice, and every answer comes in time.
  @Test func aClusterLosesALeader() throws {
    let kafka = try KafkaServer(nodes: 3)
    defer { try? kafka.stop() }
    let timeout: Duration = .seconds(10)
    let roles = try Roles(kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri)
    let admin = try Admin(KafkaConfiguration(brokers: kafka.bootstrapServers))
    defer { admin.close() }
    for topic in [roles.topic, "\(roles.topic).dlq"] {
      let description = try kafka.describe(topic)
      #expect(try admin.describeTopic(topic, timeout: .seconds(10))?.replication == 3)
      #expect(description.contains("min.insync.replicas=2"), "\(description)")
    }
    let http = TestServers.freePort()
    let ingest = try roles.launch("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    let sink = try roles.launch("sink")
    for role in [ingest, sink] { try role.waitUntilReady() }
    let file = "\(roles.folder)/accepted"
    let fleet = try roles.startFleet(
      ["--url", "http://127.0.0.1:\(http)", "--rate", "500", "--batch", "20", "--connections", "4"], accepted: file)
    let poster = try Poster(http)
    func goesOn(_ what: String) throws {
      let before = ingest.metric("sluice_kafka_acknowledged_total")
      try eventually(timeout: .seconds(60), what) {
        let answer = try poster.post()
        guard [202, 503].contains(answer.status) else { throw TestServerError("\(answer.status): \(answer.text)") }
        return answer.status == 202 && ingest.metric("sluice_kafka_acknowledged_total") >= before + 2_000
      }
    }
    try goesOn("readings are accepted")
    let killed = try kafka.leader(of: roles.topic, partition: 0)
    try kafka.kill(node: killed)
    try goesOn("readings are accepted with a node killed")
    try kafka.restart(node: killed)
    try eventually(timeout: .seconds(60), "all copies are in step") { try kafka.isInStep(roles.topic) }
    let frozen = try kafka.leader(of: roles.topic, partition: 1)
    try kafka.pause(node: frozen)
    try goesOn("readings are accepted with a node frozen")
    try kafka.resume(node: frozen)
    try goesOn("readings are accepted with all nodes")
    fleet.signal(SIGTERM)
    #expect(fleet.wait(timeout: .seconds(30)) != nil)
    #expect(poster.slowest < timeout + .seconds(2), "\(poster.slowest)")
    // What was answered with 503 may be there all the same.
    try roles.expectStored(poster.accepted.union(try Roles.accepted(file)), others: true)
    #expect(ingest.lines("Z error ") == 0 && sink.lines("Z error ") == 0)
    for role in [ingest, sink] { #expect(role.terminate() == 0) }
  }
}

/// Posts readings one after the other, and remembers what became of them.
final class Poster {
  private let url: String
  private let client: HTTPClient
  private(set) var accepted: Set<String> = []
  private(set) var refused = 0
  private(set) var count = 0
  /// How long an answer took at most.
  private(set) var slowest: Duration = .zero

  init(_ port: UInt16) throws {
    url = "http://127.0.0.1:\(port)/v1/readings"
    client = try HTTPClient()
  }

  /// Posts the reading of a number, or the next.
  @discardableResult
  func post(_ number: Int? = nil) throws -> HTTPResponse {
    let number = number ?? count
    let message = TopicMessage.reading(number)
    let start = ContinuousClock.now
    let answer = try client.send(
      "POST", url, headers: [("Content-Type", "application/json")], body: message.value ?? [], timeout: .seconds(60))
    slowest = max(slowest, ContinuousClock.now - start)
    count += 1
    if answer.status == 202 { accepted.insert("device-\(number % 50) \(number)") } else { refused += 1 }
    return answer
  }
}
