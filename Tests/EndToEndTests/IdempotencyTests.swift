import Compression
import Foundation
import HTTPClient
import MQTT
import Operations
import TestServers
import Testing

/// Repeats of clients and of the MQTT broker are stored once, where they can be told from new readings.
@Suite(.enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
struct IdempotencyTests {
  private static let json = ("Content-Type", "application/json")
  private static let lines = ("Content-Type", "application/x-ndjson")

  /// One reading, whose device and `seq` tell it from others.
  private static func reading(_ device: String, _ seq: Int, _ more: String = "") -> String {
    #"{"device":"\#(device)","sensor":"s","value":1,"tags":{"seq":"\#(seq)"}\#(more)}"#
  }

  /// A request, and how many readings each posting of it brings onto the topic.
  private struct Post {
    let body: [UInt8]
    let headers: [(String, String)]
    let status: Int
    let readings: Int
  }

  private static func posts() throws -> [Post] {
    let one = Array(reading("one", 0).utf8)
    let array = Array("[\((0..<40).map { reading("array-\($0 % 7)", $0) }.joined(separator: ","))]".utf8)
    let lineBody = Array((0..<40).map { reading("lines-\($0 % 7)", $0) }.joined(separator: "\n").utf8)
    let packed = try Deflater.compress(
      Array("[\((0..<40).map { reading("packed-\($0 % 7)", $0) }.joined(separator: ","))]".utf8), .gzip)
    // Refused items between, and one that has an id.
    let partly = Array(
      ("[" + reading("partly", 0) + #",{"device":"partly"},"# + reading("partly", 1) + ",7,"
        + reading("partly", 2, #","id":"own""#) + "]").utf8)
    let without = Array("[\(reading("without", 0)),\(reading("without", 1))]".utf8)
    func key(_ name: String) -> (String, String) { ("Idempotency-Key", name) }
    return [
      Post(body: one, headers: [json, key("k-one")], status: 202, readings: 1),
      // The same in the form of the standard, and another key, which is another request.
      Post(body: one, headers: [json, key(#""k-one""#)], status: 202, readings: 1),
      Post(body: one, headers: [json, key("k-other")], status: 202, readings: 1),
      // Keys count for each device, so another device's reading may come under the same.
      Post(body: Array(reading("two", 0).utf8), headers: [json, key("k-one")], status: 202, readings: 1),
      Post(body: array, headers: [json, key("k-array")], status: 202, readings: 40),
      Post(body: lineBody, headers: [lines, key("k-lines")], status: 202, readings: 40),
      Post(
        body: packed, headers: [json, ("Content-Encoding", "gzip"), key("k-packed")], status: 202, readings: 40),
      Post(body: partly, headers: [json, key("k-partly")], status: 207, readings: 3),
      Post(body: without, headers: [json], status: 202, readings: 2),
    ]
  }

  /// How often each reading is stored after `times` postings.
  private static func expected(times: Int) -> [String: Int] {
    var counts = ["one 0": 2, "two 0": 1, "without 0": times, "without 1": times]
    for index in 0..<40 { for name in ["array", "lines", "packed"] { counts["\(name)-\(index % 7) \(index)"] = 1 } }
    for index in 0..<3 { counts["partly \(index)"] = 1 }
    return counts
  }

  @Test func aRepeatedRequestIsStoredOnce() throws {
    // Where the sinks are killed, what was written stays; this is about the sinks, not the database.
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri,
      settings: ["SLUICE_KAFKA_PARTITIONS": "4", "SLUICE_KAFKA_CONFIG": "session.timeout.ms=6000"])
    let http = TestServers.freePort()
    try roles.start("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    let posts = try Self.posts()
    let client = try HTTPClient()
    func postAll() throws {
      for post in posts {
        let answer = try client.send(
          "POST", "http://127.0.0.1:\(http)/v1/readings", headers: post.headers, body: post.body,
          timeout: .seconds(30))
        #expect(answer.status == post.status, "\(String(decoding: answer.body, as: UTF8.self))")
      }
    }
    var sinks = [try roles.start("sink")]
    /// Waits until the sinks have done with everything on the topic.
    func settle(times: Int) throws {
      let expected = Self.expected(times: times)
      try roles.awaitCommitted(times * posts.reduce(0) { $0 + $1.readings })
      #expect(try roles.stored() == expected)
    }
    try postAll()
    try settle(times: 1)

    // After a crash of the sink, and with what was posted while it was gone.
    sinks[0].process.kill()
    try postAll()
    sinks[0] = try roles.start("sink")
    try settle(times: 2)

    // A second one takes half of the partitions; then it dies, and the first has to take them back.
    sinks.append(try roles.start("sink"))
    try postAll()
    try settle(times: 3)
    sinks[1].process.kill()
    try postAll()
    try settle(times: 4)
  }

  // MARK: MQTT

  /// What a bridge that was killed had put on Kafka and not acknowledged comes again.
  @Test(.enabled(if: MosquittoServer.isAvailable, "needs mosquitto"))
  func whatTheBrokerRedeliversIsStoredOnce() throws {
    let mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    let proxy = try ServerProxy(to: mosquitto.port)
    // Not shared: only then does the broker also send what it retains, at each subscription.
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: proxy.port,
      settings: ["SLUICE_MQTT_SHARE": ""])
    let first = try roles.start("bridge")
    try roles.start("sink")
    let time = Date.now.ISO8601Format()
    let timed = #""ts":"\#(time)","#
    var messages: [(topic: String, payload: String, qos: Int, isRetained: Bool)] = []
    var expected: [String: Int] = [:]
    func add(_ device: String, _ sensor: String, _ members: String, _ qos: Int, retained: Bool = false, _ stored: Int) {
      for seq in 0..<20 {
        messages.append(
          ("sensors/\(device)\(sensor)", "{\(members)\"tags\":{\"seq\":\"\(seq)\"}}", qos, retained))
        expected["\(device) \(seq)"] = stored
      }
    }
    for qos in [1, 2] {
      add("timed-\(qos)", "/t", #""value":1,\#(timed)"#, qos, 1)
      add("several-\(qos)", "", #""a":1,"b":1,\#(timed)"#, qos, 2)
      // One id for all twenty of a device: the first is stored.
      add("identified-\(qos)", "/t", #""value":1,"id":"i","#, qos, 0)
      expected["identified-\(qos) 0"] = 1
      add("untimed-\(qos)", "/t", #""value":1,"#, qos, 2)
      add("retained-\(qos)", "/t\(qos)", #""value":1,\#(timed)"#, qos, retained: true, 1)
    }
    proxy.swallow()
    try publish(messages, to: mosquitto)
    func acknowledged(by bridge: UInt16) throws -> Int {
      try roles.metric("sluice_mqtt_acknowledged_total", at: bridge) ?? 0
    }
    try eventually(timeout: .seconds(60), "Kafka has them all") {
      try acknowledged(by: first.management) == messages.count
    }
    first.process.kill()
    proxy.pass()
    let second = try roles.start("bridge")
    try eventually(timeout: .seconds(60), "Kafka has them all again") {
      // With the last of each topic whose messages are retained.
      try acknowledged(by: second.management) == messages.count + 2
    }
    second.process.signal(SIGTERM)
    #expect(second.process.wait(timeout: .seconds(30)) == 0)
    // Once more, for what is retained; nothing else is left.
    let third = try roles.start("bridge")
    try eventually("the retained ones came") {
      try roles.metric("sluice_mqtt_retained_total", at: third.management) == 2
    }
    let readings = messages.count + 40
    try roles.awaitCommitted(2 * readings)
    #expect(try roles.stored() == expected.filter { $0.value > 0 })
  }

  /// Publishes messages, and returns when the broker has them.
  private func publish(
    _ messages: [(topic: String, payload: String, qos: Int, isRetained: Bool)], to mosquitto: MosquittoServer
  ) throws {
    let publisher = try MQTTPublisher(
      MQTTConfiguration(
        address: MQTTAddress(host: "127.0.0.1", port: mosquitto.port), clientID: "publisher", keepAlive: .seconds(60)))
    try publisher.connect(timeout: .seconds(10))
    defer { publisher.disconnect() }
    var acknowledged: [Int] = []
    for message in messages {
      while publisher.isFull { try publisher.step(timeout: .seconds(1), acknowledged: &acknowledged) }
      _ = try Array(message.payload.utf8).withUnsafeBytes {
        try publisher.publish(message.topic, payload: $0, qos: message.qos, retain: message.isRetained)
      }
    }
    try eventually("the broker has everything") {
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return publisher.inFlight == 0
    }
  }
}
