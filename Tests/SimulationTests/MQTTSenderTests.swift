import Foundation
import HTTP
import MQTT
import Synchronization
import TestServers
import Testing

@testable import Simulation

@Suite(.enabled(if: MosquittoServer.isAvailable)) struct MQTTSenderTests {
  private func plan(_ server: MosquittoServer, count: Int?) -> SimulationPlan {
    var plan = SimulationPlan()
    plan.mqtt = SimulationPlan.MQTT(address: MQTTAddress(host: "127.0.0.1", port: server.port))
    plan.count = count
    plan.rate = 0
    plan.devices = 11
    return plan
  }

  private func subscriber(_ server: MosquittoServer) throws -> MQTTSubscriber {
    let address = MQTTAddress(host: "127.0.0.1", port: server.port)
    let subscriber = try MQTTSubscriber(MQTTConfiguration(address: address, clientID: "all"))
    _ = try subscriber.connect(timeout: .seconds(10))
    try subscriber.subscribe([("sensors/+/+", qos: 1)], timeout: .seconds(10))
    return subscriber
  }

  /// Everything that a subscriber gets until it has `expected`, and what comes with it.
  private func receive(_ subscriber: MQTTSubscriber, until isComplete: ([Seen]) -> Bool) throws -> [Seen] {
    var readings: [Seen] = []
    try eventually(timeout: .seconds(60), "all messages") {
      var messages: [MQTTMessage] = []
      try subscriber.receive(limit: 1_000, timeout: .milliseconds(200), into: &messages)
      try subscriber.acknowledge()
      for message in messages {
        let object = try JSONSerialization.jsonObject(with: Data(message.payload)) as? [String: Any]
        var named = object ?? [:]
        named["device"] = String(message.topic.split(separator: "/")[1])
        readings.append(seen(named))
      }
      return isComplete(readings)
    }
    return readings
  }

  @Test(arguments: [1, 2]) func whatIsAcceptedIsWhatTheBrokerTook(qos: Int) throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    let subscriber = try subscriber(server)
    var plan = plan(server, count: 3_000)
    plan.mqtt?.qos = qos
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 3_000, refused: 0, unknown: 0))
    #expect(played.complaint == nil)
    let readings = try receive(subscriber) { $0.count >= 3_000 }
    #expect(readings.count == 3_000 && Set(readings) == Set(played.accepted))
    let inOrder = areInOrder(readings)
    #expect(inOrder)
  }

  /// The broker is killed and comes back; with ids everything is accepted at last.
  @Test(arguments: [false, true]) func brokerKilledMidway(hasIDs: Bool) throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
    var plan = plan(server, count: hasIDs ? 60_000 : nil)
    plan.mqtt?.connections = 2
    plan.hasIDs = hasIDs
    let wasKilled = Mutex(0)
    let played = try Played(plan) { simulation in
      // Called again and again until it says yes.
      let phase = wasKilled.withLock { $0 }
      if phase == 0, simulation.counts.accepted > 2_000 {
        server.kill()
        try? server.restart()
        wasKilled.withLock { $0 = simulation.counts.accepted }
      }
      if hasIDs { return simulation.counts.accepted >= 60_000 }
      return phase > 0 && simulation.counts.accepted > phase + 2_000
    }
    #expect(played.complaint == nil)
    #expect(played.counts.refused == 0)
    if hasIDs {
      #expect(played.counts == .init(accepted: 60_000, refused: 0, unknown: 0))
    } else {
      #expect(played.counts.unknown > 0 && played.counts.unknown <= 2_000)
    }
  }

  @Test func wrongPassword() throws {
    let server = try MosquittoServer("allow_anonymous false")
    let played = try Played(plan(server, count: 100))
    #expect(played.counts == .init(accepted: 0, refused: 0, unknown: 0))
    #expect(played.complaint != nil)
  }

  @Test func bothTransportsShareTheDevices() throws {
    let server = try MosquittoServer()
    let api = ScriptedAPI { _ in .accept }
    let http = try HTTPServer(
      HTTPServer.Configuration(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: api)
    defer { http.stop(timeout: .seconds(5)) }
    let subscriber = try subscriber(server)
    var plan = plan(server, count: 2_000)
    plan.rate = 4_000
    plan.devices = 4
    plan.http = SimulationPlan.HTTP(address: "http://127.0.0.1:\(http.port)/")
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 2_000, refused: 0, unknown: 0))
    let published = try receive(subscriber) { $0.count + api.taken.count >= 2_000 }
    #expect(!published.isEmpty && !api.taken.isEmpty)
    #expect(Set(published).isDisjoint(with: api.taken))
    #expect(Set(published).union(api.taken) == Set(played.accepted))
    #expect(Set(published.map(\.device)).count == 2)
  }
}
