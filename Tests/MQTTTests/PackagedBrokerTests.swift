import Foundation
import TestServers
import Testing

@testable import MQTT

/// A broker with the files of packaging/mosquitto.
@Suite(.enabled(if: MosquittoServer.isAvailable)) struct PackagedBrokerTests {
  private static let packaging = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("packaging/mosquitto").path

  private struct Broker {
    let server: MosquittoServer
    let port = TestServers.freePort()
    let certificate: String

    init(users: [String]) throws {
      let tls = try TLSFixture()
      certificate = tls.certificate
      let passwords = "\(TestServers.temporaryFolder("passwords"))/passwords"
      try shell("touch \(passwords)")
      for user in users { try shell("mosquitto_passwd -b \(passwords) '\(user)' 'secret of \(user)'") }
      var lines = try String(contentsOfFile: "\(packaging)/sluice.conf", encoding: .utf8)
      for (path, here) in [
        ("/etc/mosquitto/sluice.passwords", passwords), ("/etc/mosquitto/sluice.acl", "\(packaging)/sluice.acl"),
        ("/etc/mosquitto/certs/ca.pem", tls.certificate), ("/etc/mosquitto/certs/server.pem", tls.certificate),
        ("/etc/mosquitto/certs/server.key", tls.key), ("listener 8883", "listener \(port) 127.0.0.1"),
      ] {
        try #require(lines.contains(path), "\(path) is in sluice.conf")
        lines = lines.replacingOccurrences(of: path, with: here)
      }
      server = try MosquittoServer(lines)
    }

    func configuration(_ user: String?, _ clientID: String, password: String? = nil) throws -> MQTTConfiguration {
      var configuration = MQTTConfiguration(
        address: try MQTTAddress(parsing: "mqtts://localhost:\(port)?cafile=\(certificate)"), clientID: clientID)
      configuration.username = user
      configuration.password = password ?? user.map { "secret of \($0)" }
      return configuration
    }

    /// Publishes, and waits until the broker has decided: what is forbidden it acknowledges all the same, and cuts the
    /// connection.
    func publish(_ user: String, to topic: String, _ text: String) throws {
      let publisher = try MQTTPublisher(configuration(user, "publisher-\(user)"))
      try publisher.connect(timeout: .seconds(30))
      _ = try publisher.publish(text, to: topic)
      var acknowledged: [Int] = []
      do {
        try eventually("acknowledged") {
          try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
          return acknowledged.count == 1
        }
      } catch let error as MQTTError where error.kind == .connectionLost {}
      publisher.disconnect()
    }

    func subscriber(_ user: String, _ filters: [String]) throws -> MQTTSubscriber {
      let subscriber = try MQTTSubscriber(configuration(user, "subscriber-\(user)"))
      _ = try subscriber.connect(timeout: .seconds(30))
      try subscriber.subscribe(filters.map { ($0, qos: 1) }, timeout: .seconds(30))
      return subscriber
    }
  }

  @Test func aDeviceWritesItsOwnTopicsAndTheBridgeReadsThemAll() throws {
    let broker = try Broker(users: ["sluice-bridge", "one", "two"])
    let everything = ["#", "sensors/#", "sensors/one/#"]
    let bridge = try broker.subscriber("sluice-bridge", ["$share/sluice/sensors/+", "$share/sluice/sensors/+/+"])
    let devices = try ["one", "two"].map { try broker.subscriber($0, everything) }

    for (user, topic, text) in [
      ("one", "sensors/two/t", "another's"), ("one", "sensors/one", "several"), ("one", "sensors", "nobody's"),
      ("one", "other/one/t", "elsewhere"), ("one", "sensors/one/t", "own"),
      ("sluice-bridge", "sensors/one/t", "the bridge's"), ("sluice-bridge", "sensors/sluice-bridge/t", "as a device"),
      ("two", "sensors/two/t", "last"),
    ] {
      try broker.publish(user, to: topic, text)
    }
    #expect(
      try bridge.receive(3).map { "\($0.topic) \($0.text)" } == [
        "sensors/one several", "sensors/one/t own", "sensors/two/t last",
      ])

    // The answer to one more request comes behind all that was delivered before it.
    for device in devices {
      try device.subscribe([("sensors/two/#", qos: 1)], timeout: .seconds(30))
      var received: [MQTTMessage] = []
      try device.receive(limit: .max, timeout: .milliseconds(10), into: &received)
      #expect(received.map(\.topic) == [])
    }
  }

  @Test func nobodyElseComesIn() throws {
    let broker = try Broker(users: ["one"])
    for (user, password) in [(nil, nil), ("one", "wrong"), ("stranger", "secret of stranger")] {
      let publisher = try MQTTPublisher(broker.configuration(user, "client", password: password))
      let error = failure { try publisher.connect(timeout: .seconds(30)) }
      #expect(
        error?.kind == .refused(reason: .notAuthorised), "\(user ?? "without a user"): \(String(describing: error))")
    }
    // Nor past TLS, on any other listener: the rules are the broker's.
    let plain = try MQTTPublisher(broker.server.configuration("client"))
    #expect(failure { try plain.connect(timeout: .seconds(30)) }?.kind == .refused(reason: .notAuthorised))
  }
}
