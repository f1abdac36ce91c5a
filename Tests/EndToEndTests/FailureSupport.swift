import Foundation
import Kafka
import MongoDB
import Operations
import Synchronization
import TestServers

/// Readings and other messages straight onto a topic, past the API.
final class TopicWriter {
  private let producer: Producer
  private let topic: Topic

  convenience init(_ brokers: String, _ topic: String) throws {
    try self.init(KafkaConfiguration(brokers: brokers), topic)
  }

  init(_ configuration: KafkaConfiguration, _ topic: String) throws {
    var configuration = configuration
    // The broker decides what is too large.
    configuration.set("message.max.bytes", "\(64 << 20)")
    configuration.set("linger.ms", "5")
    let producer = try Producer(configuration)
    self.producer = producer
    self.topic = try producer.topic(topic)
    Thread.detachNewThread { producer.run() }
  }

  deinit { producer.close(timeout: .seconds(5)) }

  /// Writes messages and waits until Kafka has them.
  func write(_ messages: some Sequence<TopicMessage>) throws {
    let receipt = Receipt()
    var count = 0
    for message in messages {
      let key = message.key.map { Array($0.utf8) }
      while true {
        do {
          try lend(key) { key in
            try lend(message.value) { value in
              try producer.produce(
                to: topic, partition: message.partition, key: key, value: value,
                headers: MessageHeaders(message.headers), receiver: receipt, index: count)
            }
          }
          break
        } catch let error as KafkaError where error.isBackpressure {
          try eventually("there is room in the queue") { producer.queueDepth < 50_000 }
        }
      }
      count += 1
    }
    try eventually(timeout: .seconds(120), "Kafka has \(count) messages") { receipt.count == count }
    if let error = receipt.error { throw error }
  }

  private func lend(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> Void) throws {
    guard let bytes else { return try body(nil) }
    try bytes.withUnsafeBytes { try body($0) }
  }

  private final class Receipt: DeliveryReceiver {
    private let state = Mutex((count: 0, error: KafkaError?.none))
    var count: Int { state.withLock { $0.count } }
    var error: KafkaError? { state.withLock { $0.error } }
    func delivered(_ report: DeliveryReport) {
      state.withLock { state in
        state.count += 1
        state.error = state.error ?? report.error
      }
    }
  }
}

/// A message to write.
struct TopicMessage {
  var key: String?
  var value: [UInt8]?
  var headers: [(String, [UInt8]?)] = []
  var partition: Int32 = -1

  init(_ key: String?, _ value: String?) {
    self.key = key
    self.value = value.map { Array($0.utf8) }
  }

  /// A reading with its number as a tag, by which `Roles.stored` knows it.
  static func reading(_ number: Int, devices: Int = 50, extra: String = "") -> TopicMessage {
    let device = "device-\(number % devices)"
    return TopicMessage(
      device, #"{"device":"\#(device)","sensor":"s","value":\#(number),"tags":{"seq":"\#(number)"\#(extra)}}"#)
  }
}

/// Reads all of a topic.
final class TopicReader {
  private let consumer: Consumer
  private let partitions: [TopicPartition]
  private(set) var messages: [ConsumedMessage] = []

  init(_ brokers: String, _ topic: String, partitions: Int32 = 4) throws {
    consumer = try Consumer(KafkaConfiguration(brokers: brokers))
    self.partitions = (0..<partitions).map { TopicPartition(topic: topic, partition: $0) }
    try consumer.assign(Dictionary(uniqueKeysWithValues: self.partitions.map { ($0, Consumer.earliest) }))
  }

  deinit { consumer.close() }

  /// Reads all that there is by now, of a topic that keeps everything.
  func readAll() throws -> [ConsumedMessage] {
    try read(partitions.map { try Int(consumer.watermarks(of: $0, timeout: .seconds(30)).high) }.reduce(0, +))
  }

  /// Reads until there are that many.
  func read(_ count: Int) throws -> [ConsumedMessage] {
    try eventually(timeout: .seconds(60), "\(count) messages are on the topic, not \(messages.count)") {
      while case .message(let message)? = consumer.poll(timeout: .milliseconds(200)) { messages.append(message) }
      return messages.count >= count
    }
    return messages
  }
}

extension ConsumedMessage {
  var key: String? { withKey { $0.map { String(decoding: $0, as: UTF8.self) } } }
  var value: [UInt8]? { withValue { $0.map { Array($0) } } }
  func text(_ header: String) -> String? { self.header(header).map { String(decoding: $0, as: UTF8.self) } }
}

extension Roles {
  /// Waits until readings `range` are stored, and then expects each of them there once.
  func expectStored(_ range: Range<Int>, devices: Int = 50, timeout: Duration = .seconds(120)) throws {
    try expectStored(Set(range.map { "device-\($0 % devices) \($0)" }), timeout: timeout)
  }

  /// Waits until all that was accepted is stored, each once: a copy that a database which hung has stored late is removed
  /// within seconds.
  /// - Parameter others: whether there may be others, of which nobody knows.
  func expectStored(_ accepted: Set<String>, others: Bool = false, timeout: Duration = .seconds(120)) throws {
    var stored: [String: Int] = [:]
    var found = "nothing could be read"
    do {
      try eventually(timeout: timeout, "\(accepted.count) readings are stored") {
        guard let count = try? count() else { return false }
        found = "\(count) of \(accepted.count) are stored"
        guard count >= accepted.count, let now = try? self.stored() else { return false }
        stored = now
        let missing = accepted.filter { now[$0] == nil }
        let repeated = now.filter { $0.value > 1 }.keys
        found =
          "\(missing.count) of \(accepted.count) are missing (\(missing.sorted().prefix(5))), \(repeated.count) are "
          + "stored twice (\(repeated.sorted().prefix(5)))"
        return missing.isEmpty && repeated.isEmpty
      }
    } catch {
      throw TestServerError("\(error): \(found)")
    }
    let unknown = stored.keys.filter { !accepted.contains($0) }
    guard others || unknown.isEmpty else {
      throw TestServerError("\(unknown.count) are stored that are unknown (\(unknown.sorted().prefix(5)))")
    }
  }

  /// Starts a fleet that sends until it is stopped.
  func startFleet(_ flags: [String], accepted: String) throws -> ChildProcess {
    try ChildProcess(
      [TestServers.sluice, "simulate", "--accepted-file", accepted, "--quiet"] + flags, environment: environment,
      output: "\(folder)/fleet.log")
  }

  /// Runs a command of the database, as a user who may do so.
  static func command(_ uri: String, _ database: String, _ command: BSONDocument) throws {
    let pool = try MongoPool(uri: uri, applicationName: "tests", maximumSize: 1, timeout: .seconds(30))
    defer { pool.close() }
    _ = try pool.withClient { (client) throws(MongoError) in try client.command(database, command) }
  }
}
