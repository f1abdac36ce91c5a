import Bridge
import Foundation
import Kafka
import MQTT
import Operations
import TestServers
import Testing

/// Nothing that the broker took over is lost, whatever goes away.
@Suite(.enabled(if: MosquittoServer.isAvailable)) struct FaultTests {
  /// Holds as much as there is for a client that does not acknowledge.
  private static let unlimited = "allow_anonymous true\nmax_inflight_messages 0"

  @Test func acknowledgesNothingThatKafkaDoesNotHave() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let count = 6_000
    let bridge = try TestBridge(mosquitto, topics, deliveryTimeout: .seconds(2), batchMessages: 100)
    try bridge.ready()
    let publishing = Thread { try? mosquitto.publish(0..<count) }
    publishing.start()
    try eventually("some went through") { bridge.acknowledged >= 500 }
    try cluster.setBroker(1, up: false)
    try eventually("all is with the broker") { publishing.isFinished }
    try eventually("the bridge says what is wrong") {
      if case .failing(let reason) = bridge.state { reason.contains("Kafka") } else { false }
    }
    // It waits without a connection, and says so in a few lines.
    #expect(bridge.logLines.count { $0.contains("mqtt is failing") } <= 1)
    #expect(bridge.logLines.count { $0.contains("kafka is failing") } <= 1)
    bridge.stop()
    let acknowledged = bridge.acknowledged
    #expect(acknowledged < count)
    let held = try mosquitto.held(for: "bridge")
    #expect(held.count == count - acknowledged)

    try cluster.setBroker(1, up: true)
    let reader = try TopicReader(topics, topics.readings)
    try reader.read(acknowledged)
    #expect(Set(reader.numbers).union(held) == Set(0..<count))
    let next = try TestBridge(mosquitto, topics)
    try reader.readNumbers(count)
    try eventually("all is acknowledged") { next.acknowledged == held.count + 1 }
    next.stop()
    // What comes twice is what was under way when Kafka went: not more than a batch of each of the few tries.
    #expect(reader.numbers.count - count <= 1_000)
  }

  /// Nothing of a batch that Kafka has not answered for is acknowledged: it can be left at any time.
  @Test func leavesABatchThatKafkaDoesNotAnswerForWhenItIsStopped() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics, deliveryTimeout: .seconds(60), stopTimeout: .seconds(2))
    try bridge.ready()
    // With a broker that is silent altogether the bridge might be without a connection before the messages come.
    try cluster.fail(.produce, with: [KafkaError.Code](repeating: .notEnoughReplicas, count: 10_000))
    try mosquitto.publish(0..<3)
    try eventually("the messages are under way") { bridge.count("sluice_mqtt_received_total") == 3 }
    let start = ContinuousClock.now
    bridge.stop()
    // The margin is for a busy machine.
    #expect(ContinuousClock.now - start < .seconds(10))
    #expect(bridge.supervisor.running == [])
    #expect(bridge.supervisor.failure == nil)
    #expect(bridge.acknowledged == 0)
    #expect(try mosquitto.held(for: "bridge") == [0, 1, 2])
  }

  @Test func saysWhenAnotherMayHaveItsClientID() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridges = [try TestBridge(mosquitto, topics), try TestBridge(mosquitto, topics)]
    let hint = "another client may have the client id bridge"
    try eventually("one says so") { bridges.contains { $0.logLines.contains { $0.contains(hint) } } }
    // A connection may be lost for other reasons.
    for bridge in bridges {
      bridge.stop()
      #expect(bridge.logLines.first { $0.contains("mqtt is failing") }?.contains(hint) == false)
    }
  }

  @Test func goesOnWhenKafkaIsBack() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let count = 6_000
    let bridge = try TestBridge(mosquitto, topics, deliveryTimeout: .seconds(2))
    try bridge.ready()
    let publishing = Thread { try? mosquitto.publish(0..<count) }
    publishing.start()
    for seen in [500, 2_000] {
      try eventually("some went through") { bridge.acknowledged >= seen }
      try cluster.setBroker(1, up: false)
      try eventually("the bridge is not ready") { bridge.state != .ok }
      try cluster.setBroker(1, up: true)
    }
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(count)
    try bridge.ready()
    bridge.stop()
    #expect(try mosquitto.held(for: "bridge").isEmpty)
    #expect(
      bridge.logLines.count { $0.contains("mqtt is failing") } == bridge.logLines.count { $0.contains("mqtt works") })
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func outlivesAKafkaThatHangsAndOneThatIsKilled() throws {
    let mosquitto = try MosquittoServer()
    let kafka = try KafkaServer()
    defer { try? kafka.stop() }
    let topics = try Topics(on: kafka)
    let count = 15_000
    let bridge = try TestBridge(mosquitto, topics, deliveryTimeout: .seconds(3))
    try bridge.ready()
    // A part before each fault, and one during it, however quick the machine is.
    func publish(_ numbers: Range<Int>) { Thread { try? mosquitto.publish(numbers) }.start() }
    publish(0..<5_000)
    try eventually("some went through") { bridge.acknowledged >= 1_000 }
    try kafka.pause()
    publish(5_000..<10_000)
    try eventually("the bridge is not ready") { bridge.state != .ok }
    let acknowledged = bridge.acknowledged
    try kafka.resume()
    try eventually("more went through") { bridge.acknowledged >= acknowledged + 1_000 }
    try kafka.kill()
    publish(10_000..<count)
    try eventually("the bridge is not ready") { bridge.state != .ok }
    try kafka.restart()
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(count, timeout: .seconds(120))
    try bridge.ready()
    bridge.stop()
    #expect(try mosquitto.held(for: "bridge").isEmpty)
  }

  @Test func startsWithoutKafkaAndWithoutABroker() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    try cluster.setBroker(1, up: false)
    mosquitto.stop()
    let bridge = try TestBridge(mosquitto, topics)
    try eventually("the bridge waits for Kafka") {
      if case .failing(let reason) = bridge.state { reason.contains("Kafka does not answer") } else { false }
    }
    try cluster.setBroker(1, up: true)
    try eventually("the bridge waits for the broker") {
      bridge.count("sluice_mqtt_outages_total", #"{cause="mqtt"}"#) > 1
    }
    #expect(!bridge.health.isReady)
    try mosquitto.restart()
    try bridge.ready()
    try mosquitto.publish(0..<10)
    try TopicReader(topics, topics.readings).readNumbers(10)
    bridge.stop()
    #expect(bridge.logLines.count { $0.contains("mqtt is failing") } == 1)
    #expect(bridge.logLines.count { $0.contains("mqtt works again") } == 1)
  }

  @Test func outlivesItsBroker() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    let reader = try TopicReader(topics, topics.readings)
    try bridge.ready()
    try mosquitto.publish(0..<500)
    try reader.readNumbers(500)
    // Killed, it may forget the session: the bridge subscribes anew.
    mosquitto.kill()
    try eventually("the bridge is not ready") { bridge.state != .ok }
    try mosquitto.restart()
    try bridge.ready()
    try mosquitto.publish(500..<1_000)
    try reader.readNumbers(1_000)
    // Ended in mid-stream, it keeps what was not acknowledged.
    try cluster.setBroker(1, up: false)
    try eventually("the bridge is not ready") { bridge.state != .ok }
    try mosquitto.publish(1_000..<3_000)
    let acknowledged = bridge.acknowledged
    try cluster.setBroker(1, up: true)
    try eventually("the stream has begun") { bridge.acknowledged > acknowledged }
    mosquitto.stop()
    try mosquitto.restart()
    try reader.readNumbers(3_000)
    bridge.stop()
    #expect(bridge.logLines.count { $0.contains("mqtt is failing") } <= 2)
  }

  /// A broker that crashed may know a session by an older state, without its subscriptions.
  @Test func subscribesAnewAtEveryConnection() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    try cluster.setBroker(1, up: false)
    try eventually("the bridge has left") { bridge.state != .ok }
    let other = try MQTTSubscriber(mosquitto.configuration("bridge"))
    try eventually("there is a session") { try other.connect(timeout: .seconds(10)) }
    try other.unsubscribe(["$share/sluice/sensors/+/+", "$share/sluice/sensors/+"], timeout: .seconds(10))
    other.disconnect()
    try cluster.setBroker(1, up: true)
    try bridge.ready()
    try mosquitto.publish(0..<10)
    try TopicReader(topics, topics.readings).readNumbers(10)
    bridge.stop()
  }

  /// The broker keeps a session's subscriptions: those of former settings would bring messages beside the wanted ones.
  @Test(arguments: [[nil, "sluice"], ["sluice", nil], ["sluice", "other"]])
  func goesFromOneGroupToAnotherWithoutLossOrRepetition(groups: [String?]) throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let before = try TestBridge(mosquitto, topics, clientID: "one", group: groups[0])
    try before.ready()
    before.stop()
    // What was kept for the former subscription still comes.
    try mosquitto.publish(0..<10)
    let one = try TestBridge(mosquitto, topics, clientID: "one", group: groups[1])
    try one.ready()
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(10)
    let two = try groups[1].map { try TestBridge(mosquitto, topics, clientID: "two", group: $0) }
    try two?.ready()
    try mosquitto.publish(10..<50)
    try reader.readNumbers(50)
    one.stop()
    two?.stop()
    reader.poll()
    #expect(reader.numbers.sorted() == Array(0..<50))
    #expect(try mosquitto.held(for: "one").isEmpty)
  }

  @Test func givesUpDialectsThatItNoLongerReads() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let former = try MQTTSubscriber(mosquitto.configuration("bridge"))
    _ = try former.connect(timeout: .seconds(10))
    let filters = ["tele/+/SENSOR", "$share/sluice/tele/+/STATE", "base/#", "$share/other/zigbee2mqtt/#"]
    try former.subscribe(filters.map { ($0, qos: 1) }, timeout: .seconds(10))
    former.disconnect()
    let bridge = try TestBridge(mosquitto, Topics(on: cluster), group: "other", zigbeeBase: "base")
    try bridge.ready()
    for topic in ["tele/d/SENSOR", "tele/d/STATE", "base/d", "zigbee2mqtt/d"] { try mosquitto.publish("1", to: topic) }
    try mosquitto.publish(0..<10)
    try eventually("the readings are acknowledged") { bridge.acknowledged >= 10 }
    bridge.stop()
    #expect(bridge.count("sluice_mqtt_received_total") == 10)
  }

  @Test func endsAndBeginsInMidStreamWithoutLossOrRepetition() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let count = 10_000
    var bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    let publishing = Thread { try? mosquitto.publish(0..<count) }
    publishing.start()
    var acknowledged = 0
    for _ in 0..<4 {
      try eventually("some went through") {
        bridge.acknowledged >= 1_000 || acknowledged + bridge.acknowledged == count
      }
      bridge.stop()
      acknowledged += bridge.acknowledged
      bridge = try TestBridge(mosquitto, topics)
    }
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(count)
    bridge.stop()
    reader.poll()
    #expect(reader.numbers.sorted() == Array(0..<count))
    #expect(acknowledged + bridge.acknowledged == count)
  }

  /// A Kafka that takes no large requests, or is slow, gets smaller ones until they go through.
  @Test(.enabled(if: KafkaServer.isAvailable)) func makesSmallerBatchesOfWhatDoesNotGoThrough() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    // Enough for a reading and for a few, not for the share of a partition in 1,000.
    let topics = try Topics(on: KafkaServer.shared(), configuration: ["max.message.bytes": "4000"])
    // A session with all of them waiting.
    try TestBridge.leaveSession(mosquitto, topics)
    try mosquitto.publish(0..<1_000)
    let bridge = try TestBridge(mosquitto, topics)
    let reader = try TopicReader(topics, topics.readings)
    try reader.readNumbers(1_000)
    try eventually("all is acknowledged") { bridge.acknowledged == 1_000 }
    bridge.stop()
    #expect(bridge.count("sluice_mqtt_outages_total", #"{cause="kafka"}"#) > 0)
    #expect(bridge.count("sluice_mqtt_dead_total", #"{reason="too_large"}"#) == 0)
  }

  /// What bounds the memory when topics are large, and payloads are not.
  @Test func makesSmallerBatchesOfLargeTopics() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    try TestBridge.leaveSession(mosquitto, topics)
    let topic = "sensors/d/" + String(repeating: "x", count: 60_000)
    try mosquitto.publish((0..<600).map { _ in (topic, Array("1".utf8)) })
    let bridge = try TestBridge(mosquitto, topics)
    try eventually("all is acknowledged") { bridge.acknowledged == 600 }
    bridge.stop()
    // Twice 4 MiB at most.
    let batches = bridge.count("sluice_mqtt_batch_messages_count")
    #expect(bridge.count("sluice_mqtt_batch_messages_bucket", #"{le="250"}"#) == batches)
  }

  /// Kafka measures whole requests, and says of each letter in one that it is too large.
  @Test func keepsDeadLettersWholeThatWereTooLargeOnlyTogether() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    try TestBridge.leaveSession(mosquitto, topics)
    let payloads = (0..<5).map { "not a value \($0)" }
    try mosquitto.publish(payloads.map { ("sensors/d/t", Array($0.utf8)) })
    try cluster.fail(.produce, with: [.messageTooLarge])
    let bridge = try TestBridge(mosquitto, topics)
    let letters = try TopicReader(topics, topics.deadLetters).read(5)
    try eventually("all is acknowledged") { bridge.acknowledged == 5 }
    bridge.stop()
    #expect(letters.map(\.text).sorted() == payloads)
    #expect(letters.allSatisfy { $0.headers["dlq-truncated"] == nil })
    #expect(bridge.count("sluice_mqtt_dead_total", #"{reason="malformed"}"#) == 5)
    #expect(bridge.logLines == [])
  }

  @Test(.enabled(if: KafkaServer.isAvailable)) func cutsOnlyTheDeadLetterThatKafkaDoesNotTake() throws {
    let mosquitto = try MosquittoServer(Self.unlimited)
    // Enough for a few of the short ones.
    let topics = try Topics(on: KafkaServer.shared(), configuration: ["max.message.bytes": "2000"])
    try TestBridge.leaveSession(mosquitto, topics)
    var payloads = (100..<200).map { "not a value \($0)" }
    payloads[50] = String(repeating: "x", count: 2_000)
    try mosquitto.publish(payloads.map { ("sensors/d/t", Array($0.utf8)) })
    let bridge = try TestBridge(mosquitto, topics)
    let letters = try TopicReader(topics, topics.deadLetters).read(100)
    try eventually("all is acknowledged") { bridge.acknowledged == 100 }
    bridge.stop()
    payloads[50] = ""
    #expect(letters.map(\.text).sorted() == payloads.sorted())
    #expect(letters.filter { $0.value.isEmpty }.map { $0.headers["dlq-truncated"] } == ["2000"])
    #expect(letters.count { $0.headers["dlq-truncated"] != nil } == 1)
    #expect(bridge.count("sluice_mqtt_outages_total", #"{cause="kafka"}"#) == 0)
  }

  @Test func cutsADeadLetterThatIsTooLargeAlone() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    try cluster.fail(.produce, with: [.messageTooLarge, .messageTooLarge])
    try mosquitto.publish("not a value", to: "sensors/d/t")
    let letter = try #require(try TopicReader(topics, topics.deadLetters).read(1).first)
    try eventually("it is acknowledged") { bridge.acknowledged == 1 }
    bridge.stop()
    #expect(letter.value.isEmpty)
    #expect(letter.headers["dlq-truncated"] == "11")
  }

  /// Alone in its batch it is known to be too large itself, and redelivery would not help.
  @Test func givesUpAReadingThatKafkaDoesNotTake() throws {
    let mosquitto = try MosquittoServer()
    let cluster = try MockCluster()
    defer { cluster.close() }
    let topics = try Topics(on: cluster)
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    try cluster.fail(.produce, with: [.messageTooLarge])
    try mosquitto.publish(#"{"a":1,"b":2}"#, to: "sensors/d")
    let letter = try #require(try TopicReader(topics, topics.deadLetters).read(1).first)
    try eventually("it is acknowledged") { bridge.acknowledged == 1 }
    bridge.stop()
    #expect(letter.text == #"{"a":1,"b":2}"#)
    #expect(letter.key == "d")
    #expect(letter.headers["dlq-reason"] == "too_large")
    #expect(bridge.count("sluice_mqtt_outages_total", #"{cause="kafka"}"#) == 0)
  }
}
