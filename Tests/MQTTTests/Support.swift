import Foundation
import TestServers

@testable import MQTT

extension MosquittoServer {
  func configuration(_ clientID: String, keepAlive: Duration = .seconds(60)) -> MQTTConfiguration {
    MQTTConfiguration(address: MQTTAddress(host: "127.0.0.1", port: port), clientID: clientID, keepAlive: keepAlive)
  }

  /// Publishes with mosquitto_pub, one message per number, at QoS 1.
  func publish(_ numbers: ClosedRange<Int>, to topic: String = "t", qos: Int = 1) throws {
    let publisher = "mosquitto_pub -p \(port) -t \(topic) -q \(qos) -l"
    try shell("seq \(numbers.lowerBound) \(numbers.upperBound) | \(publisher)")
  }

  /// A subscriber that is connected and subscribed at QoS 1.
  func subscriber(
    _ clientID: String, _ filters: [String] = ["t"], keepAlive: Duration = .seconds(60)
  ) throws -> MQTTSubscriber {
    let subscriber = try MQTTSubscriber(configuration(clientID, keepAlive: keepAlive))
    _ = try subscriber.connect(timeout: .seconds(10))
    try subscriber.subscribe(filters.map { ($0, qos: 1) }, timeout: .seconds(10))
    return subscriber
  }
}

func shell(_ command: String) throws {
  let (code, output) = try TestServers.run(["/bin/sh", "-ec", command])
  if code != 0 { throw TestServerError("\(command): \(code) \(output)") }
}

extension MQTTSubscriber {
  /// Receives `count` messages.
  func receive(_ count: Int, limit: Int = .max, acknowledging: Bool = false) throws -> [MQTTMessage] {
    var messages: [MQTTMessage] = []
    try eventually("\(count) messages") {
      try receive(limit: min(limit, count - messages.count), timeout: .milliseconds(200), into: &messages)
      if acknowledging { try acknowledge() }
      return messages.count >= count
    }
    return messages
  }
}

extension MQTTMessage {
  var text: String { String(decoding: payload, as: UTF8.self) }
  var number: Int { Int(text) ?? -1 }
}

extension MQTTPublisher {
  func publish(_ text: String, to topic: String, qos: Int = 1, retain: Bool = false) throws -> Int {
    try Array(text.utf8).withUnsafeBytes { try publish(topic, payload: $0, qos: qos, retain: retain) }
  }
}

/// Runs `body` and gives the error that it throws.
func failure(_ body: () throws -> Void) -> MQTTError? {
  do {
    try body()
    return nil
  } catch { return error as? MQTTError }
}
