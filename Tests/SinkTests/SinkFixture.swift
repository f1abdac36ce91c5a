import Foundation
import Kafka
import MongoDB
import Operations
import Publishing
import Readings
import Synchronization
import TestServers

@testable import Sink

/// What a log wrote; errors also go where they would have gone.
final class WrittenLines: Sendable {
  private let lines = Mutex<[String]>([])

  func add(_ line: [UInt8]) {
    let text = String(decoding: line, as: UTF8.self)
    lines.withLock { $0.append(text) }
    if text.contains("Z error ") { Log.standardError(line) }
  }

  /// All of them.
  var text: String { lines.withLock { $0.joined() } }

  /// How many lines contain a text.
  func count(of text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }
}

/// A topic, a database, and sinks between them; everything a test needs to see what they do.
final class SinkFixture {
  let topic = "t-\(UUID().uuidString.prefix(8))"
  let database = "d-\(UUID().uuidString.prefix(8))"
  let brokers: String
  let schema: DatabaseSchema
  let uri: String
  let pool: MongoPool
  private let server: MongoServer?
  private let producer: Producer
  private let producerThread: Thread
  private(set) var sinks: [RunningSink] = []

  /// - Parameter server: kept until the fixture ends, for a client waits for its timeout to take leave of one that is gone.
  convenience init(
    brokers: String, uri: String, keeping server: MongoServer? = nil, layout: Layout = .timeseries, partitions: Int = 4
  ) throws {
    try self.init(brokers: brokers, uri: uri, keeping: server, layout: layout) { topic in
      let admin = try Admin(KafkaConfiguration(brokers: brokers))
      defer { admin.close() }
      // A broker on a busy machine may be fenced by its controller for a moment, and then refuses topics.
      try eventually(timeout: .seconds(90), "the topic \(topic) is there") {
        (try? admin.createTopic(topic, partitions: partitions, replication: 1, timeout: .seconds(20))) != nil
      }
    }
  }

  init(
    brokers: String, uri: String, keeping server: MongoServer? = nil, layout: Layout,
    makeTopic: (String) throws -> Void
  ) throws {
    self.brokers = brokers
    self.server = server
    self.uri = uri
    schema = DatabaseSchema(
      database: database, layout: layout, retention: .seconds(90 * 86_400), deduplicationWindow: .seconds(86_400))
    pool = try MongoPool(uri: uri, applicationName: "tests", maximumSize: 4, timeout: .seconds(5))
    for name in [topic, "\(topic).dlq"] { try makeTopic(name) }
    let schema = schema
    _ = try pool.withClient { (client) throws(MongoError) in try schema.create(client) }
    let producer = try Producer(KafkaConfiguration(brokers: brokers))
    self.producer = producer
    producerThread = Thread { producer.run() }
    producerThread.start()
  }

  deinit {
    for sink in sinks { sink.stop() }
    producer.close(timeout: .seconds(5))
    pool.close()
    withExtendedLifetime(server) {}
  }

  /// Starts one more sink.
  /// - Parameters:
  ///   - uri: of the database, if not the fixture's.
  ///   - timeout: for its answers.
  @discardableResult
  func startSink(
    batchReadings: Int = 500, uri: String? = nil, timeout: Duration = .seconds(2), unflushedBytes: Int = 48 << 20
  ) throws -> RunningSink {
    let sink = try RunningSink(
      self, batchReadings: batchReadings, uri: uri ?? self.uri, timeout: timeout, unflushedBytes: unflushedBytes)
    sinks.append(sink)
    return sink
  }

  /// Produces messages and waits until Kafka has them.
  func produce(_ messages: [Message]) throws {
    let topic = try producer.topic(topic)
    let receipt = DeadLetterReceipt(count: messages.count)
    for (index, message) in messages.enumerated() {
      try Self.withBytes(message.key) { key in
        try Self.withBytes(message.value) { value in
          try producer.produce(
            to: topic, partition: message.partition, key: key, value: value, headers: MessageHeaders(message.headers),
            receiver: receipt, index: index)
        }
      }
    }
    if let failed = receipt.wait().first {
      throw TestServerError("message \(failed.index) was not delivered: \(failed.error)")
    }
  }

  /// Deletes the topic and makes it again, on a real Kafka.
  func remakeTopic(partitions: Int = 4) throws {
    let admin = try Admin(KafkaConfiguration(brokers: brokers))
    defer { admin.close() }
    _ = try admin.deleteTopic(topic, timeout: .seconds(30))
    try eventually(timeout: .seconds(90), "the topic \(topic) is there again") {
      (try? admin.createTopic(topic, partitions: partitions, replication: 1, timeout: .seconds(20))) == true
    }
  }

  /// Readings number `range` of some devices, each with its number as a tag.
  static func readings(_ range: Range<Int>, devices: Int = 10, sensor: String = "s") -> [Message] {
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    return range.map { number in
      let device = "device-\(number % devices)"
      return Message(
        key: device,
        value:
          #"{"device":"\#(device)","sensor":"\#(sensor)","value":\#(number),"ts":"\#(Self.time(now + Int64(number % 1_000)))","tags":{"seq":"\#(number)"}}"#
      )
    }
  }

  static func time(_ milliseconds: Int64) -> String {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    return formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1_000))
  }

  /// How many documents a collection has.
  func count(_ collection: String) throws -> Int {
    try pool.withClient { (client) throws(MongoError) in try client.count(database, collection) }
  }

  /// How often each number is stored.
  func stored() throws -> [Int: Int] {
    var counts: [Int: Int] = [:]
    try pool.withClient { (client) throws(MongoError) in
      try client.find(database, "readings", filter: [:], options: ["projection": ["tags": 1]]) { document in
        if let text = document["tags"]?.document?["seq"]?.string, let number = Int(text) {
          counts[number, default: 0] += 1
        }
      }
    }
    return counts
  }

  /// Waits until exactly these numbers are stored, each once.
  func expectStored(_ range: Range<Int>, timeout: Duration = .seconds(60)) throws {
    var seen: [Int: Int] = [:]
    do {
      try eventually(timeout: timeout, "readings \(range) are stored") {
        guard (try? count("readings")) ?? 0 >= range.count, let now = try? stored() else { return false }
        seen = now
        return seen.count == range.count && seen.values.allSatisfy { $0 == 1 }
      }
    } catch {
      let missing = range.filter { seen[$0] == nil }
      let repeated = seen.filter { $0.value > 1 }
      throw TestServerError(
        "\(missing.count) missing (\(missing.prefix(5))), \(repeated.count) repeated (\(repeated.prefix(5)))")
    }
  }

  /// The dead letters so far, oldest first per partition.
  func deadLetters(atLeast count: Int) throws -> [ConsumedMessage] {
    let consumer = try Consumer(KafkaConfiguration(brokers: brokers))
    defer { consumer.close() }
    let partitions = try producer.partitionCount(of: "\(topic).dlq", timeout: .seconds(10)) ?? 0
    try consumer.assign(
      Dictionary(
        uniqueKeysWithValues: (0..<partitions).map {
          (TopicPartition(topic: "\(topic).dlq", partition: Int32($0)), Consumer.earliest)
        }))
    var letters: [ConsumedMessage] = []
    try eventually(timeout: .seconds(90), "\(count) dead letters") {
      while case .message(let message)? = consumer.poll(timeout: .milliseconds(200)) { letters.append(message) }
      return letters.count >= count
    }
    return letters
  }

  private static func withBytes(_ text: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> Void) throws {
    guard let text else { return try body(nil) }
    try text.withUnsafeBytes { try body($0) }
  }
}

/// A message to produce.
struct Message {
  var key: [UInt8]?
  var value: [UInt8]?
  var headers: [(String, [UInt8]?)] = []
  var partition: Int32 = -1

  init(key: String?, value: String?) {
    self.key = key.map { Array($0.utf8) }
    self.value = value.map { Array($0.utf8) }
  }

  /// The same with a number of its own, for a partition.
  func numbered(_ stream: UInt64, _ number: UInt64, partition: Int32) -> Message {
    var message = self
    message.partition = partition
    SequenceNumber(stream: stream, number: number).withBytes { message.headers.append(("sequence", Array($0))) }
    return message
  }
}

/// A sink with a supervisor of its own.
final class RunningSink {
  let supervisor: Supervisor
  let health = Health()
  let metrics = Metrics()
  let service: SinkService
  /// What it wrote.
  let log = WrittenLines()

  init(
    _ fixture: SinkFixture, batchReadings: Int, uri: String, timeout: Duration, unflushedBytes: Int
  ) throws {
    let log = Log(component: "sink", level: .info, output: log.add)
    supervisor = Supervisor(log: log)
    let kafka = KafkaConfiguration(brokers: fixture.brokers)
    let link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: kafka, topics: ["\(fixture.topic).dlq"], deliveryTimeout: .seconds(10), queueMessages: 100_000,
        queueBytes: 64 << 20, linger: .milliseconds(1)), log: log, health: health, metrics: metrics)
    link.start(under: supervisor)
    let pool = try MongoPool(uri: uri, applicationName: "sink", maximumSize: 3, timeout: timeout)
    service = SinkService(
      SinkService.Configuration(
        kafka: kafka, topic: fixture.topic, group: "g-\(fixture.topic)", schema: fixture.schema,
        bounds: TimeBounds(futureTolerance: 300_000, retention: 90 * 86_400_000), batchReadings: batchReadings,
        batchDelay: .milliseconds(5), unflushedBytes: unflushedBytes),
      pool: pool, recoveryPool: pool, deadLetters: try DeadLetterProducer(link, topic: "\(fixture.topic).dlq"),
      log: log, health: health,
      metrics: metrics)
    try service.start(under: supervisor) {
      link.close(timeout: .seconds(5))
      pool.close()
    }
  }

  /// Ends it in order.
  func stop() {
    supervisor.requestStop()
    _ = supervisor.join(timeout: .seconds(60))
  }

  /// What is not written yet, of all its partitions; nil before it is known.
  var lag: Double? {
    let lines = String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n")
    let values = lines.filter { $0.hasPrefix("sluice_sink_lag{") }.compactMap { $0.split(separator: " ").last }
    return values.isEmpty ? nil : values.compactMap { Double($0) }.reduce(0, +)
  }

  /// A metric's value.
  func metric(_ name: String) -> Double? {
    let text = String(decoding: metrics.render(), as: UTF8.self)
    return text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }.flatMap {
      Double($0.dropFirst(name.count + 1))
    }
  }
}
