import Foundation
import TestServers
import Testing

@testable import MQTT

/// What the broker still holds is counted: it delivers that again, first of all, when the session is taken up.
@Suite(.enabled(if: MosquittoServer.isAvailable)) struct AcknowledgementTests {
  @Test(arguments: [20, 1_000, 0])
  func nothingIsAcknowledgedUntilAsked(window: Int) throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages \(window)")
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...1_000)
    let held = window == 0 ? 1_000 : window
    let first = try subscriber.receive(held)
    #expect(first.map(\.number) == Array(1...held))
    #expect(first.allSatisfy { $0.qos == 1 && !$0.isRetained && $0.topic == "t" })
    subscriber.drop()

    #expect(try subscriber.connect(timeout: .seconds(10)))
    let again = try subscriber.receive(held)
    #expect(again.map(\.number) == Array(1...held))
    try subscriber.acknowledge()
    let rest = held == 1_000 ? [] : try subscriber.receive(1_000 - held, limit: 300, acknowledging: true)
    #expect(rest.map(\.number) == Array((held + 1)..<1_001))
    subscriber.disconnect()

    try server.publish(1_001...1_001)
    #expect(try subscriber.connect(timeout: .seconds(10)))
    #expect(try subscriber.receive(1).map(\.number) == [1_001])
  }

  @Test func anotherClientSeesWhatWasNotAcknowledged() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...9)
    var messages: [MQTTMessage] = []
    while messages.count < 3 {
      try subscriber.receive(limit: 3 - messages.count, timeout: .seconds(9), into: &messages)
    }
    try subscriber.acknowledge()
    // Its answer comes after the broker has read the acknowledgements.
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    #expect(try subscriber.receive(6).map(\.number) == Array(4...9))
    subscriber.drop()
    // The same session, taken up by the broker's own client.
    let (_, output) = try TestServers.run([
      "/usr/bin/mosquitto_sub", "-p", "\(server.port)", "-i", "bridge", "-c", "-q", "1", "-t", "t", "-C", "6",
    ])
    #expect(output.split(separator: "\n") == ["4", "5", "6", "7", "8", "9"])
  }

  @Test func limitsAreKept() throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    var configuration = server.configuration("bridge")
    configuration.maximumBatchBytes = 10
    let subscriber = try MQTTSubscriber(configuration)
    _ = try subscriber.connect(timeout: .seconds(10))
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    try server.publish(1_001...1_100)
    var sizes: Set<Int> = []
    var messages: [MQTTMessage] = []
    while messages.count < 40 {
      let before = messages.count
      try subscriber.receive(limit: 2, timeout: .seconds(10), into: &messages)
      sizes.insert(messages.count - before)
    }
    #expect(sizes.isSubset(of: [1, 2]))
    // Three payloads of 4 bytes reach 10 bytes.
    while messages.count < 90 {
      let before = messages.count
      try subscriber.receive(limit: 50, timeout: .seconds(10), into: &messages)
      #expect(messages.count - before <= 3)
    }
    #expect(messages.map(\.number) == Array(1_001..<(1_001 + messages.count)))
  }

  /// Input that was never read must not take the acknowledgements with it when the connection closes.
  @Test func whatWasAcknowledgedStaysSoWhenDisconnectingBusy() throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...6_000)
    var next = 1
    for _ in 1...5 {
      let batch = try subscriber.receive(1_000, limit: 1_000)
      #expect(batch.first?.number == next)
      next += batch.count
      try subscriber.acknowledge()
      subscriber.disconnect()
      #expect(try subscriber.connect(timeout: .seconds(10)))
    }
    #expect(try subscriber.receive(6_001 - next).map(\.number) == Array(next...6_000))
  }

  @Test func disconnectingWithholdsWhatIsWithheld() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...5)
    _ = try subscriber.receive(5)
    subscriber.disconnect()
    #expect(!subscriber.isConnected)
    #expect(try subscriber.connect(timeout: .seconds(10)))
    #expect(try subscriber.receive(5).map(\.number) == Array(1...5))
  }

  @Test func sharedSubscriptionsSplitTheMessages() throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    let subscribers = try ["a", "b"].map { try server.subscriber($0, ["$share/sluice/t"]) }
    try server.publish(1...1_000)
    var received: [[Int]] = [[], []]
    try eventually("all messages") {
      for (index, subscriber) in subscribers.enumerated() {
        var messages: [MQTTMessage] = []
        try subscriber.receive(limit: 100, timeout: .milliseconds(50), into: &messages)
        try subscriber.acknowledge()
        received[index] += messages.map(\.number)
      }
      return received[0].count + received[1].count >= 1_000
    }
    #expect(Set(received[0] + received[1]) == Set(1...1_000))
    #expect(received[0].count + received[1].count == 1_000)
    #expect(received.allSatisfy { $0.count > 100 && $0 == $0.sorted() })
  }

  @Test func qualityOfServiceIsAtMostOne() throws {
    let server = try MosquittoServer()
    let subscriber = try MQTTSubscriber(server.configuration("bridge"))
    _ = try subscriber.connect(timeout: .seconds(10))
    #expect(failure { try subscriber.subscribe([("t", qos: 2)], timeout: .seconds(10)) }?.kind == .usage)
    try subscriber.subscribe([("t", qos: 1), ("zero", qos: 0)], timeout: .seconds(10))
    try server.publish(1...30, qos: 2)
    let messages = try subscriber.receive(20)
    #expect(messages.allSatisfy { $0.qos == 1 })
    subscriber.drop()
    _ = try subscriber.connect(timeout: .seconds(10))
    #expect(try subscriber.receive(30, acknowledging: true).map(\.number) == Array(1...30))
    try server.publish(31...33, to: "zero")
    #expect(try subscriber.receive(3).map(\.qos) == [0, 0, 0])
  }

  @Test func payloadsTopicsAndFlagsArriveAsTheyWere() throws {
    let server = try MosquittoServer()
    let topic = "träger/" + String(repeating: "x", count: 243)
    let folder = TestServers.temporaryFolder("payload")
    let binary = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    try Data(binary).write(to: URL(fileURLWithPath: "\(folder)/binary"))
    try shell("mosquitto_pub -p \(server.port) -t kept/1 -q 1 -r -m before")
    let subscriber = try server.subscriber("bridge", ["kept/#", "träger/+"])
    try shell("mosquitto_pub -p \(server.port) -t \(topic) -q 1 -n")
    try shell("mosquitto_pub -p \(server.port) -t \(topic) -q 1 -f \(folder)/binary")
    try shell("mosquitto_pub -p \(server.port) -t kept/2 -q 1 -r -m after")
    let messages = try subscriber.receive(4)
    #expect(messages.map(\.topic) == ["kept/1", topic, topic, "kept/2"])
    #expect(messages.map(\.isRetained) == [true, false, false, false])
    #expect(messages[0].text == "before")
    #expect(messages[1].payload.isEmpty)
    #expect(messages[2].payload.elementsEqual(binary))
    #expect(messages.allSatisfy { $0.mid > 0 })
  }

  @Test func unsubscribingEndsTheMessages() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge", ["t", "u"])
    try server.publish(1...3)
    _ = try subscriber.receive(3, acknowledging: true)
    try subscriber.unsubscribe(["t"], timeout: .seconds(10))
    try server.publish(4...6)
    try server.publish(7...7, to: "u")
    #expect(try subscriber.receive(1).map(\.number) == [7])
  }
}
