import Foundation
import TestServers
import Testing

@testable import MQTT

/// What goes over the wire, packet by packet.
@Suite struct ScriptedBrokerTests {
  private let puback: UInt8 = 4
  private let subscribe: UInt8 = 8

  private func subscriber(_ broker: ScriptedBroker, maximumInflight: Int = 1_000) throws -> MQTTSubscriber {
    try MQTTSubscriber(
      MQTTConfiguration(
        address: MQTTAddress(host: "127.0.0.1", port: broker.port), clientID: "bridge", maximumInflight: maximumInflight
      ))
  }

  @Test func acknowledgementsGoOutTogetherAndInOrder() throws {
    let broker = try ScriptedBroker { peer in
      try peer.accept()
      peer.send([0x90, 3] + (try peer.subscription()) + [1])
      for number in 1...9 { peer.publish(UInt8(number)) }
      var acknowledged: [UInt8] = []
      while acknowledged.count < 9, let packet = try peer.packet() {
        #expect(packet.first == 0x40)
        acknowledged.append(packet.content[1])
      }
      #expect(acknowledged == Array(1...9))
      for number in 10...19 { peer.publish(UInt8(number)) }
      #expect(try peer.remainingTypes() == [])
    }
    let subscriber = try subscriber(broker)
    #expect(try subscriber.connect(timeout: .seconds(10)) == false)
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    #expect(try subscriber.receive(9).map(\.mid) == Array(1...9))
    try subscriber.acknowledge()
    try subscriber.acknowledge()
    #expect(try subscriber.receive(10).map(\.mid) == Array(10...19))
    subscriber.drop()
    try broker.finish()
  }

  @Test func messagesBeforeTheAnswerToSubscribeAreNotAcknowledged() throws {
    let broker = try ScriptedBroker { peer in
      try peer.accept(sessionPresent: true)
      let mid = try peer.subscription()
      for number in 1...5 { peer.publish(UInt8(number)) }
      peer.send([0x90, 3] + mid + [1])
      #expect(try peer.remainingTypes() == [])
    }
    let subscriber = try subscriber(broker)
    #expect(try subscriber.connect(timeout: .seconds(10)))
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    // Nobody has received them yet: there is nothing to acknowledge.
    try subscriber.acknowledge()
    #expect(try subscriber.receive(5).map(\.mid) == Array(1...5))
    subscriber.disconnect()
    try broker.finish()
  }

  @Test func subscribingDoesNotKeepMoreThanAllowed() throws {
    let broker = try ScriptedBroker { peer in
      try peer.accept(sessionPresent: true)
      let mid = try peer.subscription()
      for number in 1...50 { peer.publish(UInt8(number)) }
      peer.send([0x90, 3] + mid + [0x80])
      _ = try peer.remainingTypes()
    }
    let subscriber = try subscriber(broker, maximumInflight: 10)
    _ = try subscriber.connect(timeout: .seconds(10))
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    var messages: [MQTTMessage] = []
    try subscriber.receive(limit: 10, timeout: .seconds(10), into: &messages)
    #expect(messages.map(\.mid) == Array(1...10))
    let error = failure {
      while true {
        try subscriber.acknowledge()
        try subscriber.receive(limit: 10, timeout: .seconds(10), into: &messages)
      }
    }
    #expect(error?.kind == .subscriptionRefused(filter: "t"))
    #expect(messages.map(\.mid) == Array(1...50))
    subscriber.drop()
    try broker.finish()
  }

  /// Topics take as much memory as payloads do, and a message takes some without either.
  @Test(arguments: [(topic: 3_000, payload: 1), (1, 3_000), (1, 1)])
  func readingEndsWithTheBytesAllowed(topic: Int, payload: Int) throws {
    let broker = try ScriptedBroker { peer in
      try peer.accept(sessionPresent: true)
      let text = [UInt8](repeating: UInt8(ascii: "t"), count: topic + payload)
      let content = [UInt8(topic >> 8), UInt8(topic & 255)] + text
      let length =
        content.count < 128 ? [UInt8(content.count)] : [UInt8(content.count & 127 | 128), UInt8(content.count >> 7)]
      peer.send(Array(repeatElement([0x30] + length + content, count: 200).joined()))
      _ = try peer.remainingTypes()
    }
    let subscriber = try MQTTSubscriber(
      MQTTConfiguration(
        address: MQTTAddress(host: "127.0.0.1", port: broker.port), clientID: "bridge", maximumBatchBytes: 6_000))
    _ = try subscriber.connect(timeout: .seconds(10))
    var messages: [MQTTMessage] = []
    try subscriber.receive(limit: 200, timeout: .seconds(10), into: &messages)
    #expect(messages.count < 100)
    subscriber.drop()
    try broker.finish()
  }

  @Test func refusedSubscriptions() throws {
    let broker = try ScriptedBroker { peer in
      try peer.accept()
      let mid = try peer.subscription()
      peer.send([0x90, 5] + mid + [1, 0x80, 1])
      _ = try peer.remainingTypes()
    }
    let subscriber = try subscriber(broker)
    _ = try subscriber.connect(timeout: .seconds(10))
    let error = failure {
      try subscriber.subscribe([("a", qos: 1), ("b/#", qos: 1), ("c", qos: 1)], timeout: .seconds(10))
    }
    #expect(error?.kind == .subscriptionRefused(filter: "b/#"))
    #expect(error?.isRetriable == false)
    #expect(subscriber.isConnected)
    for filter in ["", "a/#/b", "a+", "a\0b"] {
      #expect(failure { try subscriber.subscribe([(filter, qos: 1)], timeout: .seconds(10)) }?.kind == .usage)
    }
    subscriber.disconnect()
    try broker.finish()
  }

  @Test func subscribingWaitsBehindWithheldAcknowledgements() throws {
    let subscribe = subscribe
    let puback = puback
    let broker = try ScriptedBroker { peer in
      try peer.accept(sessionPresent: true)
      peer.publish(1)
      var types: [UInt8] = []
      while let packet = try peer.packet() {
        types.append(packet.first >> 4)
        if packet.first == 0x82 { peer.send([0x90, 3] + packet.content.prefix(2) + [0x80]) }
      }
      #expect(types == [puback, subscribe])
    }
    let subscriber = try subscriber(broker)
    _ = try subscriber.connect(timeout: .seconds(10))
    #expect(try subscriber.receive(1).count == 1)
    try subscriber.subscribe([("u", qos: 1)], timeout: .seconds(10))
    try subscriber.acknowledge()
    var messages: [MQTTMessage] = []
    let error = failure { try subscriber.receive(limit: 1, timeout: .seconds(10), into: &messages) }
    #expect(error?.kind == .subscriptionRefused(filter: "u"))
    subscriber.drop()
    try broker.finish()
  }

  @Test(arguments: [
    (1, MQTTError.Refusal.unacceptableProtocol, false), (2, .identifierRejected, false),
    (3, .serverUnavailable, true), (4, .badCredentials, false), (5, .notAuthorised, false), (77, .other(77), false),
  ])
  func refusals(code: UInt8, reason: MQTTError.Refusal, retriable: Bool) throws {
    let broker = try ScriptedBroker { try $0.accept(code: code) }
    let error = failure { _ = try subscriber(broker).connect(timeout: .seconds(10)) }
    #expect(error?.kind == .refused(reason: reason))
    #expect(error?.code == Int(code))
    #expect(error?.isRetriable == retriable)
    try broker.finish()
  }

  @Test(
    arguments: [
      [], [0x90, 0], [0x20, 2, 0, 0, 0x20], [0x20, 2, 0, 0, 0x36, 6, 0, 1, 0x74, 0, 1, 1],
      [0x20, 2, 0, 0, 0x32, 5, 0, 1, 0xFF, 0, 1], [0x20, 2, 0, 0, 0x32, 3, 0, 9, 0x74], [0x20, 2, 0, 0, 0xF0, 0],
      [0x20, 2, 0, 0, 0x32, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ] as [[UInt8]])
  func nonsenseEndsTheConnection(bytes: [UInt8]) throws {
    let broker = try ScriptedBroker { peer in
      guard try peer.packet()?.first == 0x10 else { throw TestServerError("no CONNECT") }
      peer.send(bytes)
    }
    let subscriber = try subscriber(broker)
    let error = failure {
      _ = try subscriber.connect(timeout: .seconds(10))
      var messages: [MQTTMessage] = []
      try subscriber.receive(limit: 1, timeout: .seconds(30), into: &messages)
    }
    #expect(error != nil)
    #expect(error?.kind != .timedOut)
    #expect(error?.isRetriable == true, "\(String(describing: error))")
    #expect(!subscriber.isConnected)
    try broker.finish()
  }
}
