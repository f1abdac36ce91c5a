import Foundation
import Synchronization
import TestServers
import Testing

@testable import MQTT

/// Brokers that are away, hang, refuse or are silent.
@Suite(.enabled(if: MosquittoServer.isAvailable)) struct ConnectionTests {
  @Test func nobodyListens() throws {
    let port = TestServers.freePort()
    for host in ["127.0.0.1", "localhost"] {
      let subscriber = try MQTTSubscriber(
        MQTTConfiguration(address: MQTTAddress(host: host, port: port), clientID: "bridge"))
      let error = failure { _ = try subscriber.connect(timeout: .seconds(10)) }
      #expect(error?.kind == .unreachable)
      #expect(error?.isRetriable == true)
      #expect(error.map { "\($0)".contains("refused") } == true)
      var messages: [MQTTMessage] = []
      #expect(
        failure { try subscriber.receive(limit: 1, timeout: .zero, into: &messages) }?.kind == .connectionLost)
    }
    let nowhere = try MQTTPublisher(
      MQTTConfiguration(address: MQTTAddress(host: "no-such-host.invalid"), clientID: "p"))
    #expect(failure { try nowhere.connect(timeout: .seconds(10)) }?.kind == .unreachable)
  }

  @Test func namesWithSeveralAddresses() throws {
    // The broker listens on 127.0.0.1 only; localhost may be ::1 first.
    let server = try MosquittoServer()
    var configuration = server.configuration("bridge")
    configuration.address.host = "localhost"
    let subscriber = try MQTTSubscriber(configuration)
    #expect(try subscriber.connect(timeout: .seconds(10)) == false)
  }

  @Test func namesWithSeveralAddressesOfOneFamily() throws {
    // The broker listens on 127.0.0.1 only; 192.0.2.1 is nobody's.
    let server = try MosquittoServer()
    let targets = ["127.0.0.9", "192.0.2.1", "127.0.0.1"].map { ConnectionTarget(host: $0) }
    let (connection, sessionPresent) = try Connection.establish(
      server.configuration("bridge"), through: targets, keepsMessages: true, until: .now + .seconds(10),
      wake: WakeSignal())
    #expect(!sessionPresent)
    connection.disconnect()
  }

  @Test func eachAddressIsTriedButOverTLSTheName() {
    let addresses = [(AF_INET6, "::1"), (AF_INET, "127.0.0.1"), (AF_INET, "127.0.0.9")].map { (family: $0, text: $1) }
    let plain = MQTTAddress(host: "broker")
    #expect(ConnectionTarget.all(of: plain, at: addresses).map(\.host) == ["::1", "127.0.0.1", "127.0.0.9"])
    #expect(ConnectionTarget.all(of: plain, at: []) == [])
    let secured = MQTTAddress(host: "broker", usesTLS: true)
    #expect(
      ConnectionTarget.all(of: secured, at: addresses) == [
        ConnectionTarget(host: "broker", localAddress: "::"),
        ConnectionTarget(host: "broker", localAddress: "0.0.0.0"),
      ])
    #expect(ConnectionTarget.all(of: secured, at: Array(addresses[1...])) == [ConnectionTarget(host: "broker")])
  }

  @Test func stoppedInService() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...3)
    _ = try subscriber.receive(3, acknowledging: true)
    // Its answer comes after it has read the acknowledgements.
    try subscriber.subscribe([("t", qos: 1)], timeout: .seconds(10))
    // Cleanly, so that its sessions are on disk.
    server.stop()
    var messages: [MQTTMessage] = []
    let error = failure { try subscriber.receive(limit: 9, timeout: .seconds(30), into: &messages) }
    #expect(error?.kind == .connectionLost)
    #expect(error?.isRetriable == true)
    #expect(!subscriber.isConnected)
    #expect(failure { _ = try subscriber.connect(timeout: .seconds(5)) }?.kind == .unreachable)

    try server.restart()
    try server.publish(4...6)
    #expect(try subscriber.connect(timeout: .seconds(10)))
    #expect(try subscriber.receive(3).map(\.number) == [4, 5, 6])
  }

  @Test func killedWhileAcknowledgementsAreWithheld() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...3)
    _ = try subscriber.receive(3)
    server.kill()
    // Writing may succeed once after the other side has gone; reading never does.
    let error = failure {
      try subscriber.acknowledge()
      var messages: [MQTTMessage] = []
      try subscriber.receive(limit: 9, timeout: .seconds(30), into: &messages)
    }
    #expect(error?.kind == .connectionLost)
  }

  @Test func frozenAtConnect() throws {
    let server = try MosquittoServer()
    server.pause()
    let subscriber = try MQTTSubscriber(server.configuration("bridge"))
    let error = failure { _ = try subscriber.connect(timeout: .milliseconds(300)) }
    #expect(error?.kind == .timedOut)
    server.resume()
    _ = try subscriber.connect(timeout: .seconds(10))
    server.pause()
    let subscribing = failure { try subscriber.subscribe([("t", qos: 1)], timeout: .milliseconds(300)) }
    #expect(subscribing?.kind == .timedOut)
    #expect(!subscriber.isConnected)
    server.resume()
  }

  @Test func frozenInService() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge", keepAlive: .seconds(5))
    let publisher = try MQTTPublisher(server.configuration("publisher", keepAlive: .seconds(5)))
    try publisher.connect(timeout: .seconds(10))
    server.pause()
    let start = ContinuousClock.now
    var messages: [MQTTMessage] = []
    let error = failure { try subscriber.receive(limit: 9, timeout: .seconds(60), into: &messages) }
    #expect(error?.kind == .timedOut)
    let taken = ContinuousClock.now - start
    // 1.5 times the keep-alive; the margin is for a busy machine.
    #expect(taken > .seconds(5) && taken < .seconds(12), "\(taken)")
    _ = try publisher.publish("lost", to: "t")
    var acknowledged: [Int] = []
    let publishing = failure { try publisher.step(timeout: .seconds(60), acknowledged: &acknowledged) }
    #expect(publishing?.kind == .timedOut)
    #expect(acknowledged.isEmpty)
    #expect(publisher.unacknowledged.count == 1)
    server.resume()
  }

  @Test func silenceForThreeIntervals() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge", keepAlive: .seconds(5))
    let publisher = try MQTTPublisher(server.configuration("publisher", keepAlive: .seconds(5)))
    try publisher.connect(timeout: .seconds(10))
    let end = ContinuousClock.now + .seconds(16)
    var messages: [MQTTMessage] = []
    var acknowledged: [Int] = []
    while ContinuousClock.now < end {
      try subscriber.receive(limit: 9, timeout: .seconds(3), into: &messages)
      try publisher.step(timeout: .milliseconds(10), acknowledged: &acknowledged)
    }
    #expect(messages.isEmpty)
    _ = try publisher.publish("there", to: "t")
    try publisher.step(timeout: .seconds(10), acknowledged: &acknowledged)
    #expect(acknowledged.count == 1)
    #expect(try subscriber.receive(1).map(\.text) == ["there"])
  }

  /// Pings would take withheld acknowledgements along: they are not sent, and there is an end to waiting.
  @Test func acknowledgementsDoNotLeakWithPings() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge", keepAlive: .seconds(5))
    try server.publish(1...3)
    _ = try subscriber.receive(3)
    let budget = subscriber.keepAliveBudget
    #expect(budget > .seconds(3) && budget <= .milliseconds(6_500))
    var messages: [MQTTMessage] = []
    let end = ContinuousClock.now + .seconds(20)
    let error = failure {
      while ContinuousClock.now < end { try subscriber.receive(limit: 9, timeout: .seconds(2), into: &messages) }
    }
    #expect(error?.kind == .timedOut)
    #expect(messages.isEmpty)
    #expect(subscriber.keepAliveBudget == .zero)
    #expect(try subscriber.connect(timeout: .seconds(10)))
    #expect(try subscriber.receive(3).map(\.number) == [1, 2, 3])
    try subscriber.acknowledge()
    #expect(subscriber.keepAliveBudget > .seconds(5))
  }

  @Test func passwords() throws {
    let file = "\(TestServers.temporaryFolder("passwords"))/passwords"
    try shell("touch \(file); chmod 600 \(file); mosquitto_passwd -b \(file) fleet 'p@ss:/%'")
    let server = try MosquittoServer("allow_anonymous false\npassword_file \(file)")
    let right = try MQTTAddress(parsing: "mqtt://fleet:p%40ss%3A%2F%25@127.0.0.1:\(server.port)")
    let subscriber = try MQTTSubscriber(MQTTConfiguration(address: right, clientID: "bridge"))
    #expect(try subscriber.connect(timeout: .seconds(10)) == false)

    var wrong = server.configuration("bridge")
    (wrong.username, wrong.password) = ("fleet", "wrong")
    for configuration in [wrong, server.configuration("bridge")] {
      let error = failure { _ = try MQTTSubscriber(configuration).connect(timeout: .seconds(10)) }
      #expect(error?.kind == .refused(reason: .notAuthorised))
      #expect(error?.code == 5)
      #expect(error?.isRetriable == false)
    }
  }

  @Test func takenOverByAnotherOfTheSameName() throws {
    let server = try MosquittoServer()
    let first = try server.subscriber("bridge")
    let second = try server.subscriber("bridge")
    var messages: [MQTTMessage] = []
    #expect(
      failure { try first.receive(limit: 1, timeout: .seconds(30), into: &messages) }?.kind == .connectionLost)
    try server.publish(1...1)
    #expect(try second.receive(1).count == 1)
  }

  @Test func wakingEndsEveryWait() throws {
    let server = try MosquittoServer()
    let subscriber = try server.subscriber("bridge")
    var messages: [MQTTMessage] = []
    // Before the wait; and not twice.
    subscriber.wake()
    let start = ContinuousClock.now
    try subscriber.receive(limit: 1, timeout: .seconds(60), into: &messages)
    #expect(ContinuousClock.now - start < .seconds(30))
    try subscriber.receive(limit: 1, timeout: .milliseconds(100), into: &messages)
    #expect(ContinuousClock.now - start > .milliseconds(100))
    // During the wait.
    let thread = Thread {
      usleep(100_000)
      subscriber.wake()
    }
    thread.start()
    try subscriber.receive(limit: 1, timeout: .seconds(60), into: &messages)
    #expect(ContinuousClock.now - start < .seconds(30))
    #expect(messages.isEmpty)
    #expect(subscriber.isConnected)
    server.pause()
    subscriber.wake()
    #expect(failure { _ = try subscriber.connect(timeout: .seconds(60)) }?.kind == .interrupted)
    server.resume()
  }

  @Test func stoppedWhileBusy() throws {
    let server = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 100")
    let subscriber = try server.subscriber("bridge")
    try server.publish(1...5_000)
    let stopping = Atomic(false)
    let numbers = Mutex<[Int]>([])
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      while !stopping.load(ordering: .relaxed) {
        var batch: [MQTTMessage] = []
        guard (try? subscriber.receive(limit: 50, timeout: .seconds(60), into: &batch)) != nil,
          (try? subscriber.acknowledge()) != nil
        else { break }
        numbers.withLock { $0 += batch.map(\.number) }
      }
      subscriber.disconnect()
      done.signal()
    }
    thread.start()
    try eventually("some messages") { numbers.withLock { $0.count >= 500 } }
    stopping.store(true, ordering: .relaxed)
    subscriber.wake()
    #expect(done.wait(timeout: .now() + 30) == .success)
    let stored = numbers.withLock { $0 }
    #expect(stored == Array(1...stored.count))
    let next = try MQTTSubscriber(server.configuration("bridge"))
    #expect(try next.connect(timeout: .seconds(10)))
    let rest = stored.count == 5_000 ? [] : try next.receive(5_000 - stored.count, acknowledging: true)
    #expect(rest.map(\.number) == Array((stored.count + 1)..<5_001))
  }
}
