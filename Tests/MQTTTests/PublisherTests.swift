import Foundation
import TestServers
import Testing

@testable import MQTT

@Suite(.enabled(if: MosquittoServer.isAvailable)) struct PublisherTests {
  /// Publishes numbers to "t", as many at a time as the window takes.
  private func publish(_ numbers: ClosedRange<Int>, with publisher: MQTTPublisher) throws -> (published: [Int], [Int]) {
    var published: [Int] = []
    var acknowledged: [Int] = []
    var next = numbers.lowerBound
    try eventually(timeout: .seconds(60), "\(numbers) acknowledged") {
      while next <= numbers.upperBound, !publisher.isFull {
        published.append(try publisher.publish("\(next)", to: "t"))
        next += 1
      }
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return acknowledged.count == numbers.count
    }
    return (published, acknowledged)
  }

  @Test func tenThousandMessages() throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    let subscriber = try server.subscriber("bridge")
    let publisher = try MQTTPublisher(server.configuration("publisher"))
    try publisher.connect(timeout: .seconds(10))
    let (published, acknowledged) = try publish(1...10_000, with: publisher)
    #expect(published == acknowledged)
    #expect(publisher.inFlight == 0)
    #expect(publisher.unacknowledged.isEmpty)
    #expect(try subscriber.receive(10_000, limit: 500, acknowledging: true).map(\.number) == Array(1...10_000))
    publisher.disconnect()
    #expect(!publisher.isConnected)
  }

  @Test func theWindowIsBounded() throws {
    let server = try MosquittoServer()
    var configuration = server.configuration("publisher")
    configuration.maximumInflight = 3
    let publisher = try MQTTPublisher(configuration)
    #expect(failure { _ = try publisher.publish("x", to: "t") }?.kind == .connectionLost)
    try publisher.connect(timeout: .seconds(10))
    let mids = try (1...3).map { try publisher.publish("x", to: "t", qos: $0 % 3) }
    #expect(publisher.isFull)
    #expect(publisher.unacknowledged == mids)
    let error = failure { _ = try publisher.publish("x", to: "t") }
    #expect(error?.kind == .windowFull)
    #expect(error?.isRetriable == true)
    var acknowledged: [Int] = []
    try eventually("all qualities acknowledged") {
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return acknowledged.count == 3
    }
    #expect(!publisher.isFull)
    for topic in ["", "a/+", "#", "a\0b"] {
      #expect(failure { _ = try publisher.publish("x", to: topic) }?.kind == .usage)
    }
    #expect(failure { _ = try publisher.publish("x", to: "t", qos: 3) }?.kind == .usage)
    #expect(publisher.isConnected)
    #expect(publisher.inFlight == 0)
  }

  @Test func brokerKilledMidway() throws {
    let server = try MosquittoServer()
    var configuration = server.configuration("publisher")
    configuration.maximumInflight = 100
    let publisher = try MQTTPublisher(configuration)
    try publisher.connect(timeout: .seconds(10))
    var published: [Int] = []
    var acknowledged: [Int] = []
    var next = 1
    let error = failure {
      while next <= 1_000_000 {
        while !publisher.isFull {
          published.append(try publisher.publish("\(next)", to: "t"))
          next += 1
        }
        if acknowledged.count >= 2_000 { server.kill() }
        try publisher.step(timeout: .seconds(30), acknowledged: &acknowledged)
      }
    }
    #expect(error?.kind == .connectionLost)
    #expect(!publisher.isConnected)
    #expect(acknowledged.count >= 2_000)
    #expect(!publisher.unacknowledged.isEmpty)
    #expect(acknowledged + publisher.unacknowledged == published)

    try server.restart()
    try publisher.connect(timeout: .seconds(10))
    #expect(publisher.unacknowledged.isEmpty)
    let (again, taken) = try publish(1...50, with: publisher)
    #expect(again == taken)
  }

  @Test func willAndRetainedMessages() throws {
    let server = try MosquittoServer()
    var configuration = server.configuration("device")
    configuration.will = .init(topic: "will/device", payload: Array("gone".utf8), isRetained: true)
    let watcher = try server.subscriber("watcher", ["will/#", "state"])
    let publisher = try MQTTPublisher(configuration)
    try publisher.connect(timeout: .seconds(10))
    _ = try publisher.publish("on", to: "state", retain: true)
    publisher.disconnect()
    #expect(try watcher.receive(1).map(\.text) == ["on"])
    try publisher.connect(timeout: .seconds(10))
    publisher.drop()
    #expect(try watcher.receive(1).map(\.text) == ["gone"])
    let late = try server.subscriber("late", ["will/#", "state"])
    let kept = try late.receive(2)
    #expect(kept.allSatisfy { $0.isRetained })
    #expect(Set(kept.map(\.text)) == ["on", "gone"])
  }
}
