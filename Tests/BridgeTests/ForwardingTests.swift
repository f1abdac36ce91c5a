import Bridge
import Foundation
import Kafka
import MQTT
import Operations
import TestServers
import Testing

@Suite(.enabled(if: MosquittoServer.isAvailable)) struct ForwardingTests {
  @Test func putsReadingsOnTheTopic() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    let before = Clock.nowMilliseconds()
    try mosquitto.publish([
      ("sensors/d1/t", Array("21.5".utf8)), ("sensors/d2/door", Array(" true\n".utf8)),
      ("sensors/d3/state", Array(#""open""#.utf8)),
      ("sensors/d4/t", Array(#"{"value":1,"unit":"Cel","id":"x","tags":{"site":"n"}}"#.utf8)),
      ("sensors/d5", Array(#"{"a":1,"b":2}"#.utf8)),
    ])
    try mosquitto.publish([("sensors/d6/t", Array("0".utf8))], qos: 0)
    try mosquitto.publish([("sensors/d7/t", Array("2".utf8))], qos: 2)
    let stored = try TopicReader(topics, topics.readings).read(8)
    bridge.stop()
    let expected = [
      "d1": #"{"device":"d1","sensor":"t","value":21.5"#, "d2": #"{"device":"d2","sensor":"door","value":true"#,
      "d3": #"{"device":"d3","sensor":"state","value":"open""#,
      "d4": #"{"device":"d4","sensor":"t","value":1,"unit":"Cel""#,
      "d6": #"{"device":"d6","sensor":"t","value":0"#, "d7": #"{"device":"d7","sensor":"t","value":2"#,
    ]
    for (device, beginning) in expected {
      #expect(stored.filter { $0.key == device }.map { $0.text.hasPrefix("\(beginning),\"ts\":") } == [true])
    }
    #expect(stored.first { $0.key == "d4" }?.text.hasSuffix(#","id":"x","tags":{"site":"n"}}"#) == true)
    #expect(
      stored.filter { $0.key == "d5" }.map { $0.text.prefix(36) } == [
        #"{"device":"d5","sensor":"a","value":1"#.prefix(36), #"{"device":"d5","sensor":"b","value":2"#.prefix(36),
      ])
    #expect(stored.count == 8)
    for message in stored {
      #expect(message.headers.keys.sorted() == ["received", "sequence", "source"])
      #expect(message.headers["source"] == "mqtt")
      let received = try #require(Int64(message.headers["received"] ?? ""))
      #expect((before...Clock.nowMilliseconds()).contains(received))
    }
    #expect(bridge.count("sluice_mqtt_received_total") == 7)
    #expect(bridge.acknowledged == 7)
    #expect(bridge.count("sluice_kafka_acknowledged_total") == 8)
    #expect(bridge.count("sluice_mqtt_outages_total", #"{cause="mqtt"}"#) == 0)
    #expect(bridge.logLines == [])
  }

  @Test func putsWhatIsNoReadingOnTheDeadLetterTopic() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    let bad: [(topic: String, payload: [UInt8], reason: String, key: String?)] = [
      ("sensors/d/empty", [], "malformed", "d"), ("sensors/d/word", Array("ON".utf8), "malformed", "d"),
      ("sensors/d/nan", Array("nan".utf8), "invalid", "d"),
      ("sensors/d/binary", [0, 255, 0, 13, 10], "malformed", "d"),
      ("sensors/d/null", Array("null".utf8), "shape", "d"), ("sensors/d/array", Array("[1]".utf8), "shape", "d"),
      ("sensors/d/object", Array(#"{"temperature":1}"#.utf8), "unknown", "d"),
      ("sensors/d/missing", Array("{}".utf8), "missing", "d"),
      ("sensors/d/repeated", Array(#"{"value":1,"value":1}"#.utf8), "repeated", "d"),
      ("sensors/d/future", Array(#"{"value":1,"ts":"2999-01-01T00:00:00Z"}"#.utf8), "future", "d"),
      ("sensors/d/expired", Array(#"{"value":1,"ts":"2001-01-01T00:00:00Z"}"#.utf8), "expired", "d"),
      ("sensors/bare", Array("1".utf8), "shape", "bare"), ("sensors/bäd/t", Array("1".utf8), "invalid", nil),
      ("sensors//t", Array("1".utf8), "invalid", nil), ("sensors/d/", Array("1".utf8), "invalid", "d"),
      ("sensors/-/t", Array("1".utf8), "invalid", nil),
      ("sensors/d/" + String(repeating: "t", count: 240), Array("1".utf8), "invalid", "d"),
      ("sensors/d/large", Array("\"\(String(repeating: "x", count: 300_000))\"".utf8), "too_large", "d"),
      ("sensors/many", Array("{\((0...1_000).map { "\"s\($0)\":1" }.joined(separator: ","))}".utf8), "invalid", "many"),
    ]
    // Good ones among them are stored all the same.
    try mosquitto.publish(bad.flatMap { [($0.topic, $0.payload), ("sensors/good/t", Array("1".utf8))] })
    let letters = try TopicReader(topics, topics.deadLetters).read(bad.count)
    let stored = try TopicReader(topics, topics.readings).read(bad.count)
    try eventually("all is acknowledged") { bridge.acknowledged == 2 * bad.count }
    bridge.stop()
    #expect(letters.count == bad.count)
    #expect(stored.count == bad.count)
    for (topic, payload, reason, key) in bad {
      let letter = try #require(letters.first { $0.headers["dlq-mqtt-topic"] == topic })
      #expect(letter.value == payload)
      #expect(letter.key == key)
      #expect(letter.headers["dlq-reason"] == reason, "\(topic)")
      #expect(letter.headers["dlq-detail"]?.isEmpty == false)
      #expect(letter.headers["dlq-source"] == "bridge")
      #expect(letter.headers["source"] == "mqtt")
      #expect(letter.headers["received"] != nil && letter.headers["dlq-time"] != nil)
      #expect(letter.headers["dlq-truncated"] == nil)
    }
    for reason in Set(bad.map(\.reason)) {
      #expect(
        bridge.count("sluice_mqtt_dead_total", "{reason=\"\(reason)\"}") == bad.count { $0.reason == reason })
    }
    // No line per message.
    #expect(bridge.logLines == [])
    #expect(try mosquitto.held(for: "bridge").isEmpty)
  }

  @Test func cutsWhatIsTooLargeForADeadLetter() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    // The simulated broker takes any size, and so the client says what is too much.
    let bridge = try TestBridge(mosquitto, topics, messageBytes: 1_000_000)
    try bridge.ready()
    let large = (0..<1_200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let whole = [UInt8](repeating: 1, count: 900_000)
    try mosquitto.publish([
      ("sensors/d/large", large), ("sensors/d/whole", whole), ("sensors/d/also", large),
      ("sensors/d/t", Array("1".utf8)),
    ])
    let letters = try TopicReader(topics, topics.deadLetters).read(3)
    try TopicReader(topics, topics.readings).read(1)
    try eventually("all is acknowledged") { bridge.acknowledged == 4 }
    bridge.stop()
    for topic in ["sensors/d/large", "sensors/d/also"] {
      let letter = try #require(letters.first { $0.headers["dlq-mqtt-topic"] == topic })
      #expect(letter.value.elementsEqual(large[..<65_536]))
      #expect(letter.headers["dlq-truncated"] == "1200000")
      #expect(letter.headers["dlq-reason"] == "too_large")
    }
    let kept = try #require(letters.first { $0.headers["dlq-mqtt-topic"] == "sensors/d/whole" })
    #expect(kept.value.elementsEqual(whole))
    #expect(kept.headers["dlq-truncated"] == nil)
    // One line for both, with topic and size.
    #expect(bridge.logLines.count == 1)
    #expect(bridge.logLines.first?.contains("topic=sensors/d/large bytes=1200000") == true, "\(bridge.logLines)")
  }

  /// Retained messages come again after each subscription: stored, they would be there once for each.
  @Test func leavesRetainedMessagesOut() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    try mosquitto.publish("1", to: "sensors/before/t", retain: true)
    try mosquitto.publish(#"{"value":1,"ts":"\#(Date.now.ISO8601Format())"}"#, to: "sensors/timed/t", retain: true)
    let first = try TestBridge(mosquitto, topics, group: nil)
    try first.ready()
    // Published while the bridge is there it is a message like others.
    try mosquitto.publish("2", to: "sensors/live/t", retain: true)
    let reader = try TopicReader(topics, topics.readings)
    try reader.read(1)
    #expect(first.count("sluice_mqtt_retained_total") == 2)
    first.stop()
    // And while it is away, the broker keeps it for the session and comes with it unmarked.
    try mosquitto.publish("3", to: "sensors/away/t", retain: true)
    let second = try TestBridge(mosquitto, topics, group: nil)
    try second.ready()
    try mosquitto.publish("4", to: "sensors/live/t")
    try reader.read(3)
    // Of several partitions, so in any order.
    #expect(reader.numbers.sorted() == [2, 3, 4])
    #expect(reader.messages.count { $0.key == "away" } == 1)
    #expect(second.count("sluice_mqtt_retained_total") == 4)
    second.stop()
  }

  @Test func storesEachOfManyOnce() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    try expectEachOnce(mosquitto, Topics(on: cluster), 5_000)
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func storesEachOfManyOnceInKafka() throws {
    let mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    try expectEachOnce(mosquitto, Topics(on: KafkaServer.shared()), 20_000)
  }

  private func expectEachOnce(_ mosquitto: MosquittoServer, _ topics: Topics, _ count: Int) throws {
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    try mosquitto.publish(0..<count)
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(count)
    try eventually("all is acknowledged") { bridge.acknowledged == count }
    bridge.stop()
    reader.poll()
    #expect(reader.numbers.sorted() == Array(0..<count))
    #expect(try mosquitto.held(for: "bridge").isEmpty)
    // A device's readings stay in their order.
    for device in Set(reader.messages.map(\.key)) {
      let numbers = reader.messages.filter { $0.key == device }.compactMap(\.number)
      #expect(numbers == numbers.sorted())
    }
  }

  @Test func waitsForNoMoreMessagesWhereNoneCanCome() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    // Messages linger for longer than this test waits.
    let bridge = try TestBridge(
      mosquitto, Topics(on: cluster), deliveryTimeout: .seconds(400), linger: .seconds(300))
    try bridge.ready()
    for count in 1...3 {
      try mosquitto.publish("\(count)", to: "sensors/d/t")
      try eventually("\(count) are acknowledged") { bridge.acknowledged == count }
    }
    bridge.stop()
  }

  @Test func sharesTheLoadWithAnother() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridges = [
      try TestBridge(mosquitto, topics, clientID: "one"), try TestBridge(mosquitto, topics, clientID: "two"),
    ]
    for bridge in bridges { try bridge.ready() }
    try mosquitto.publish(0..<2_000)
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(2_000)
    for bridge in bridges { bridge.stop() }
    reader.poll()
    #expect(reader.numbers.sorted() == Array(0..<2_000))
    #expect(bridges.allSatisfy { $0.acknowledged > 200 })
    #expect(bridges.reduce(0) { $0 + $1.acknowledged } == 2_000)
  }

  @Test func answersForItselfWhileNothingComes() throws {
    let file = "\(TestServers.temporaryFolder("log"))/mosquitto.log"
    let mosquitto = try MosquittoServer("allow_anonymous true\nlog_dest file \(file)\nlog_type all")
    let cluster = try MockCluster()
    defer { cluster.close() }
    let bridge = try TestBridge(mosquitto, Topics(on: cluster), keepAlive: .seconds(5))
    try eventually("the broker has got two pings") {
      let log = try String(contentsOfFile: file, encoding: .utf8)
      return log.components(separatedBy: "Received PINGREQ from bridge").count > 2
    }
    #expect(bridge.state == .ok)
    #expect(bridge.logLines == [])
    bridge.stop()
  }
}
