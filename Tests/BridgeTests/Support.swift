import Bridge
import Foundation
import Kafka
import MQTT
import Operations
import Publishing
import Readings
import Synchronization
import TestServers

/// Topics of a test on a cluster, which it may share with others.
struct Topics {
  let brokers: String
  let readings: String
  let deadLetters: String
  static let partitions = 4

  /// On a mock cluster.
  init(on cluster: MockCluster) throws {
    self.init(brokers: cluster.bootstrapServers)
    for name in [readings, deadLetters] { try cluster.createTopic(name, partitions: Self.partitions) }
  }

  /// On a real one.
  init(on server: KafkaServer, configuration: [String: String] = [:]) throws {
    self.init(brokers: server.bootstrapServers)
    let admin = try Admin(KafkaConfiguration(brokers: brokers))
    defer { admin.close() }
    for name in [readings, deadLetters] {
      _ = try admin.createTopic(
        name, partitions: Self.partitions, replication: 1, configuration: configuration, timeout: .seconds(90))
    }
  }

  private init(brokers: String) {
    self.brokers = brokers
    let name = "bridge-\(UUID().uuidString.prefix(8))"
    readings = name
    deadLetters = "\(name)-dlq"
  }
}

/// A bridge with all that it needs, in this process.
final class TestBridge: Sendable {
  let supervisor: Supervisor
  let metrics = Metrics()
  let health = Health()

  /// - Parameter messageBytes: the longest message that the client sends; nil: what the link chooses.
  init(
    _ mosquitto: MosquittoServer, _ topics: Topics, clientID: String = "bridge", group: String? = "sluice",
    zigbeeBase: String = "zigbee2mqtt", deliveryTimeout: Duration = .seconds(10),
    stopTimeout: Duration = .seconds(20), keepAlive: Duration = .seconds(60), batchMessages: Int = 5_000,
    linger: Duration = .milliseconds(1), messageBytes: Int? = nil
  ) throws {
    let lines = Lines()
    let log = Log(component: "bridge", output: { line in lines.append(line) })
    self.log = lines
    supervisor = Supervisor(log: log)
    var kafka = KafkaConfiguration(brokers: topics.brokers)
    if let messageBytes { kafka.set("message.max.bytes", "\(messageBytes)") }
    let link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: kafka, topics: [topics.readings, topics.deadLetters],
        deliveryTimeout: deliveryTimeout, queueMessages: 100_000, queueBytes: 64 << 20, linger: linger),
      log: log, health: health, metrics: metrics)
    link.start(under: supervisor)
    let bridge = try BridgeService(
      BridgeService.Configuration(
        mqtt: mosquitto.configuration(clientID, keepAlive: keepAlive), group: group, usualGroup: "sluice",
        zigbeeBase: zigbeeBase, bounds: TimeBounds(futureTolerance: 300_000, retention: 86_400_000),
        deliveryTimeout: deliveryTimeout, stopTimeout: stopTimeout, batchMessages: batchMessages),
      readings: ReadingProducer(link, topic: topics.readings),
      deadLetters: DeadLetterProducer(link, topic: topics.deadLetters), log: log, health: health, metrics: metrics)
    bridge.start(under: supervisor) { link.close(timeout: .seconds(1)) }
  }

  /// Has the broker keep what is published from now on, for the next bridge.
  static func leaveSession(_ mosquitto: MosquittoServer, _ topics: Topics) throws {
    let bridge = try TestBridge(mosquitto, topics)
    try bridge.ready()
    bridge.stop()
  }

  private let log: Lines
  var logLines: [String] { log.all }

  deinit { stop() }

  /// Ends it in order.
  func stop() {
    supervisor.requestStop()
    _ = supervisor.join(timeout: .seconds(60))
  }

  var state: HealthState { health.component("mqtt").state }

  /// Waits until it is connected and all went through so far.
  func ready() throws { try eventually("the bridge is ready: \(state)") { state == .ok } }

  /// What a counter without labels, or with these as they are rendered, counts; 0 when it is not there.
  func count(_ name: String, _ labels: String = "") -> Int {
    let text = String(decoding: metrics.render(), as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(name)\(labels) ") }
    return line.flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
  }

  var acknowledged: Int { count("sluice_mqtt_acknowledged_total") }
}

private final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  func append(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
  var all: [String] { lines.withLock { $0 } }
}

/// Reads all of a topic.
final class TopicReader {
  struct Stored {
    let key: String?
    let value: [UInt8]
    let headers: [String: String]
    var text: String { String(decoding: value, as: UTF8.self) }
    /// The reading's value, where it is a number.
    var number: Int? {
      let object = try? JSONSerialization.jsonObject(with: Data(value)) as? [String: Any]
      return (object?["value"] as? NSNumber)?.intValue
    }
  }

  private let consumer: Consumer
  private(set) var messages: [Stored] = []

  init(_ topics: Topics, _ topic: String) throws {
    consumer = try Consumer(KafkaConfiguration(brokers: topics.brokers))
    let all = (0..<Int32(Topics.partitions)).map { (TopicPartition(topic: topic, partition: $0), Consumer.earliest) }
    try consumer.assign(Dictionary(uniqueKeysWithValues: all))
  }

  deinit { consumer.close() }

  /// Reads what is there now, or comes while reading.
  func poll() {
    while case .message(let message)? = consumer.poll(timeout: .milliseconds(50)) {
      let headers = message.headers.map { ($0.0, String(decoding: $0.1 ?? [], as: UTF8.self)) }
      messages.append(
        Stored(
          key: message.withKey { $0.map { String(decoding: $0, as: UTF8.self) } },
          value: message.withValue { Array($0 ?? UnsafeRawBufferPointer(start: nil, count: 0)) },
          headers: Dictionary(headers) { _, last in last }))
    }
  }

  /// Reads until there are that many messages.
  @discardableResult
  func read(_ count: Int, timeout: Duration = .seconds(60)) throws -> [Stored] {
    try eventually(timeout: timeout, "\(count) messages; there are \(messages.count)") {
      poll()
      return messages.count >= count
    }
    return messages
  }

  /// Reads until each number from 0 up to `count` is there at least once.
  func readNumbers(_ count: Int, timeout: Duration = .seconds(60)) throws {
    try eventually(timeout: timeout, "the numbers below \(count)") {
      poll()
      return messages.count >= count && Set(numbers).isSuperset(of: 0..<count)
    }
  }

  var numbers: [Int] { messages.compactMap(\.number) }
}

extension MosquittoServer {
  func configuration(_ clientID: String, keepAlive: Duration = .seconds(60)) -> MQTTConfiguration {
    MQTTConfiguration(address: MQTTAddress(host: "127.0.0.1", port: port), clientID: clientID, keepAlive: keepAlive)
  }

  /// Publishes messages, and returns when the broker has them.
  func publish(_ messages: [(String, [UInt8])], qos: Int = 1, retain: Bool = false) throws {
    let publisher = try MQTTPublisher(configuration("publisher-\(UUID().uuidString)"))
    try publisher.connect(timeout: .seconds(10))
    var acknowledged: [Int] = []
    for (topic, payload) in messages {
      while publisher.isFull { try publisher.step(timeout: .seconds(1), acknowledged: &acknowledged) }
      _ = try payload.withUnsafeBytes { try publisher.publish(topic, payload: $0, qos: qos, retain: retain) }
    }
    try eventually("the broker has everything") {
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return publisher.inFlight == 0
    }
    publisher.disconnect()
  }

  /// Publishes numbers, each as a reading of one of 50 devices.
  func publish(_ numbers: Range<Int>, qos: Int = 1) throws {
    try publish(numbers.map { ("sensors/device-\($0 % 50)/count", Array("\($0)".utf8)) }, qos: qos)
  }

  func publish(_ text: String, to topic: String, retain: Bool = false) throws {
    try publish([(topic, Array(text.utf8))], retain: retain)
  }

  /// The numbers that the broker still holds for a client, which is not connected; it goes on holding them.
  ///
  /// Needs a broker without a limit on unacknowledged messages.
  func held(for clientID: String) throws -> [Int] {
    let subscriber = try MQTTSubscriber(configuration(clientID))
    guard try subscriber.connect(timeout: .seconds(10)) else { throw TestServerError("no session of \(clientID)") }
    var messages: [MQTTMessage] = []
    // Another that comes behind all of them says that there are no more.
    try publish("\"last\"", to: "sensors/last/last")
    try eventually("the last message") {
      try subscriber.receive(limit: .max, timeout: .milliseconds(200), into: &messages)
      return messages.last?.topic == "sensors/last/last"
    }
    subscriber.drop()
    return messages.compactMap { Int(String(decoding: $0.payload, as: UTF8.self)) }
  }
}
