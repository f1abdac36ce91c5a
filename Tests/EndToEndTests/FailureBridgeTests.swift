import Foundation
import HTTPClient
import Kafka
import MQTT
import Operations
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// What the broker took over, by QoS 1 and by QoS 2, is always with the broker or on the topic, and ends in the database
/// once.
@Suite(.enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct FailureBridgeTests {
  private static let clientID = "sluice-bridge"

  @Test func aBridgeLosesKafkaAndItsConnectionAndItsLife() throws {
    let kafka = try KafkaServer()
    defer { try? kafka.stop() }
    for qos in [1, 2] {
      let mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 0")
      let roles = try Roles(
        kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port,
        settings: ["SLUICE_KAFKA_DELIVERY_TIMEOUT": "2s"])
      var bridge = try roles.launch("bridge")
      let sink = try roles.launch("sink")
      try bridge.waitUntilReady()
      #expect(bridge.metric("sluice_ready") == 1)
      // A sink whose request to join is lost stays out for a minute, each time.
      try eventually(timeout: .seconds(90), "the sink has its partitions") { sink.log.contains("partitions assigned") }
      func sends(_ part: Int, _ during: () throws -> Void) throws -> Set<String> {
        let file = "\(roles.folder)/accepted-\(part)"
        let fleet = try roles.startFleet(
          [
            "--mqtt", "--qos", "\(qos)", "--ids", "--prefix", "part-\(part)-", "--rate", "750", "--count", "3000",
          ], accepted: file)
        try during()
        #expect(fleet.wait(timeout: .seconds(60)) == 0)
        return try Roles.accepted(file)
      }
      func isBusy() throws {
        let before = bridge.metric("sluice_mqtt_acknowledged_total")
        try eventually("the bridge is busy") { bridge.metric("sluice_mqtt_acknowledged_total") > before + 200 }
      }

      // Kafka hangs in the middle of a batch, more comes in, and the bridge is killed with it in its hands.
      var later: Set<String> = []
      var accepted = try sends(1) {
        try isBusy()
        try kafka.pause()
        later = try sends(2) { bridge.process.kill() }
      }
      try kafka.resume()
      accepted.formUnion(later)
      #expect(accepted.count == 6_000)
      let held = try held(by: mosquitto)
      let reader = try TopicReader(kafka.bootstrapServers, roles.topic)
      try eventually("all that was accepted is with the broker or on the topic") {
        let onTopic = try reader.read(0).compactMap { Self.identity($0.value ?? [], device: nil) }
        return accepted.isSubset(of: held.union(onTopic))
      }
      #expect(later.isSubset(of: held))

      // Kafka hangs, and the bridge waits; then the broker ends its connection, for another takes its name; then it is
      // killed.
      bridge = try roles.launch("bridge")
      accepted = try accepted.union(
        sends(3) {
          try isBusy()
          try kafka.pause()
          try bridge.waitUntilFailing("Kafka")
          #expect(bridge.metric("sluice_ready") == 0)
          try kafka.resume()
          try bridge.waitUntilReady()
        })
      accepted = try accepted.union(
        sends(4) {
          try isBusy()
          let other = try MQTTSubscriber(Self.configuration(mosquitto))
          _ = try other.connect(timeout: .seconds(10))
          other.drop()
          try isBusy()
          bridge.process.kill()
          bridge = try roles.launch("bridge")
        })
      #expect(accepted.count == 12_000)
      // What came twice has the same id.
      try roles.expectStored(accepted)
      #expect(bridge.terminate() == 0)
      #expect(try self.held(by: mosquitto).isEmpty)
      #expect(sink.terminate() == 0)
    }
  }

  private static func configuration(_ mosquitto: MosquittoServer) throws -> MQTTConfiguration {
    MQTTConfiguration(address: try MQTTAddress(parsing: "mqtt://127.0.0.1:\(mosquitto.port)"), clientID: clientID)
  }

  /// What the broker still holds for the bridge, which is not connected; it goes on holding it.
  private func held(by mosquitto: MosquittoServer) throws -> Set<String> {
    let subscriber = try MQTTSubscriber(Self.configuration(mosquitto))
    guard try subscriber.connect(timeout: .seconds(10)) else { throw TestServerError("the broker has no session") }
    // Behind all others.
    let last = try TestServers.run([
      "mosquitto_pub", "-p", "\(mosquitto.port)", "-q", "1", "-t", "sensors/last/last", "-m", "0",
    ])
    guard last.code == 0 else { throw TestServerError(last.output) }
    var messages: [MQTTMessage] = []
    try eventually("the last message") {
      try subscriber.receive(limit: .max, timeout: .milliseconds(200), into: &messages)
      return messages.contains { $0.topic == "sensors/last/last" }
    }
    subscriber.drop()
    return Set(
      messages.compactMap { message in
        Self.identity(message.payload, device: String(message.topic.split(separator: "/")[1]))
      })
  }

  /// Device and sequence number of a reading.
  private static func identity(_ json: [UInt8], device: String?) -> String? {
    let object = try? JSONSerialization.jsonObject(with: Data(json)) as? [String: Any]
    guard let device = device ?? object?["device"] as? String,
      let seq = (object?["tags"] as? [String: Any])?["seq"] as? String
    else { return nil }
    return "\(device) \(seq)"
  }
}
