import Foundation
import Kafka
import Synchronization
import TestServers

/// The clusters that a test of behaviour runs against: what holds for one has to hold for the other.
enum Cluster: CaseIterable, Sendable {
  case mock, apache

  static var available: [Self] { KafkaServer.isAvailable ? [.mock, .apache] : [.mock] }

  /// Lends the addresses and the name of a new topic.
  func withTopic(partitions: Int = 1, _ body: (_ brokers: String, _ topic: String) throws -> Void) throws {
    let topic = "test-\(UUID().uuidString.prefix(8))"
    switch self {
    case .mock:
      let cluster = try MockCluster()
      defer { cluster.close() }
      try cluster.createTopic(topic, partitions: partitions)
      try body(cluster.bootstrapServers, topic)
    case .apache:
      let brokers = try KafkaServer.shared().bootstrapServers
      let admin = try Admin(KafkaConfiguration(brokers: brokers))
      defer { admin.close() }
      _ = try admin.createTopic(topic, partitions: partitions, replication: 1, timeout: .seconds(90))
      try body(brokers, topic)
    }
  }
}

func withMockCluster(
  partitions: Int = 1, _ body: (_ cluster: MockCluster, _ topic: String) throws -> Void
) throws {
  let cluster = try MockCluster()
  defer { cluster.close() }
  try cluster.createTopic("readings", partitions: partitions)
  try body(cluster, "readings")
}

func configuration(_ brokers: String, _ settings: [String: String] = [:]) -> KafkaConfiguration {
  var configuration = KafkaConfiguration(brokers: brokers)
  for (key, value) in settings { configuration.set(key, value) }
  return configuration
}

/// Keeps all reports.
final class Recorder: DeliveryReceiver {
  let reports = Mutex<[DeliveryReport]>([])
  func delivered(_ report: DeliveryReport) { reports.withLock { $0.append(report) } }
  var all: [DeliveryReport] { reports.withLock { $0 } }
  var count: Int { reports.withLock { $0.count } }
  var failed: [DeliveryReport] { all.filter { $0.error != nil } }
  var indices: [Int] { all.map(\.index).sorted() }
}

/// Keeps what a client says of itself.
final class Listener: ClientObserver {
  let errors = Mutex<[KafkaError]>([])
  let lines = Mutex<[String]>([])
  func clientLogged(level: Int, facility: String, message: String) {
    lines.withLock { $0.append("\(level) \(facility) \(message)") }
  }
  func clientFailed(_ error: KafkaError) { errors.withLock { $0.append(error) } }
  func heard(_ code: KafkaError.Code) -> Bool { errors.withLock { $0.contains { $0.code == code } } }
}

/// Runs a block on a thread of its own.
final class Worker: Sendable {
  private let ended = DispatchSemaphore(value: 0)
  init(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread { [ended] in
      body()
      ended.signal()
    }
    thread.stackSize = 1 << 20
    thread.start()
  }
  /// Waits for its end; call once.
  func join() { ended.wait() }
}

/// Lends a producer that a thread serves.
func withProducer(
  _ configuration: KafkaConfiguration, observer: (any ClientObserver)? = nil,
  _ body: (Producer) throws -> Void
) throws {
  let producer = try Producer(configuration, observer: observer)
  let server = Worker { producer.run() }
  defer {
    producer.close(timeout: .zero)
    server.join()
  }
  try body(producer)
}

extension Producer {
  func send(
    _ topic: Topic, partition: Int32 = -1, key: String? = nil, value: String?, headers: MessageHeaders? = nil,
    to receiver: any DeliveryReceiver, index: Int = 0
  ) throws {
    try lend(key) { key in
      try lend(value) { value in
        try produce(
          to: topic, partition: partition, key: key, value: value, headers: headers, receiver: receiver, index: index)
      }
    }
  }
}

private func lend(_ text: String?, _ body: (UnsafeRawBufferPointer?) throws -> Void) rethrows {
  guard let text else { return try body(nil) }
  try Array(text.utf8).withUnsafeBytes { try body($0) }
}

extension ConsumedMessage {
  var key: String? { withKey { $0.map { String(decoding: $0, as: UTF8.self) } } }
  var value: String? { withValue { $0.map { String(decoding: $0, as: UTF8.self) } } }
}

/// Writes numbered messages to a partition and waits for their delivery.
func fill(_ brokers: String, _ topic: String, partition: Int32 = 0, _ range: Range<Int>) throws {
  let recorder = Recorder()
  try withProducer(configuration(brokers)) { producer in
    let topic = try producer.topic(topic)
    for index in range {
      try producer.send(topic, partition: partition, value: "\(index)", to: recorder, index: index)
    }
    try eventually("delivery") { recorder.count == range.count }
  }
  if let report = recorder.failed.first { throw report.error! }
}

extension Consumer {
  /// Polls until it has `count` messages.
  func read(_ count: Int, timeout: Duration = .seconds(30)) throws -> [ConsumedMessage] {
    var messages: [ConsumedMessage] = []
    let deadline = ContinuousClock.now + timeout
    while messages.count < count {
      switch poll(timeout: .milliseconds(100)) {
      case .message(let message): messages.append(message)
      case .failed(let error) where !error.isRetriable: throw error
      default: break
      }
      if ContinuousClock.now > deadline { throw TestServerError("\(messages.count) of \(count) messages") }
    }
    return messages
  }
}

/// Reads a number of messages of some partitions from their beginning.
func read(_ brokers: String, _ topic: String, partitions: Int32 = 1, count: Int) throws -> [ConsumedMessage] {
  let consumer = try Consumer(configuration(brokers))
  defer { consumer.close() }
  try consumer.assign(
    Dictionary(
      uniqueKeysWithValues: (0..<partitions).map { (TopicPartition(topic: topic, partition: $0), Consumer.earliest) }))
  return try consumer.read(count)
}

/// A member of a group on a thread of its own.
final class Member: RebalanceHandler, Sendable {
  struct Seen {
    var calls: [String] = []
    var owned: Set<TopicPartition> = []
    var offsets: [TopicPartition: [Int64]] = [:]
    var next: [TopicPartition: Int64] = [:]
    var errors: [KafkaError] = []
    var count = 0
  }

  let seen = Mutex(Seen())
  let consumer = Mutex<Consumer?>(nil)
  private let starts: [TopicPartition: Int64]
  private let commits: Bool
  private let commitsWhenIdle: Bool
  private let stopping = Atomic(false)
  private let worker = Mutex<Worker?>(nil)

  init(
    _ configuration: KafkaConfiguration, group: String = "sink", topic: String,
    starts: [TopicPartition: Int64] = [:], commits: Bool = true, commitsWhenIdle: Bool = false,
    observer: (any ClientObserver)? = nil
  ) throws {
    self.commitsWhenIdle = commitsWhenIdle
    self.starts = starts
    self.commits = commits
    let consumer = try Consumer(configuration, group: group, handler: self, observer: observer)
    try consumer.subscribe([topic])
    self.consumer.withLock { $0 = consumer }
    worker.withLock { $0 = Worker { self.work(consumer) } }
  }

  var owned: Set<TopicPartition> { seen.withLock { $0.owned } }
  var count: Int { seen.withLock { $0.count } }
  var calls: [String] { seen.withLock { $0.calls } }

  var hasCommitted: Bool { seen.withLock { $0.next.isEmpty } }

  /// Ends the thread, which leaves the group. Call once.
  func leave() {
    stopping.store(true, ordering: .releasing)
    consumer.withLock { $0 }?.wake()
    worker.withLock { $0 }?.join()
  }

  private func work(_ consumer: Consumer) {
    while !stopping.load(ordering: .acquiring) {
      switch consumer.poll(timeout: .milliseconds(200)) {
      case .message(let message):
        seen.withLock {
          $0.count += 1
          $0.offsets[message.topicPartition, default: []].append(message.offset)
          $0.next[message.topicPartition] = message.offset + 1
        }
      case .failed(let error): seen.withLock { $0.errors.append(error) }
      case nil: if commitsWhenIdle { commit(seen.withLock { $0.next }, consumer) }
      }
    }
    consumer.close()
  }

  private func commit(_ next: [TopicPartition: Int64], _ consumer: Consumer) {
    do {
      try consumer.commit(next, wait: true)
      // Only what was committed: nothing was read meanwhile, for this is the polling thread.
      seen.withLock { seen in for partition in next.keys { seen.next[partition] = nil } }
    } catch {
      seen.withLock { $0.errors.append(error) }
    }
  }

  func assigned(_ partitions: [TopicPartition], by consumer: Consumer) -> [TopicPartition: Int64] {
    seen.withLock {
      $0.calls.append("assigned \(partitions.count)")
      $0.owned.formUnion(partitions)
    }
    return starts
  }

  func revoked(_ partitions: [TopicPartition], by consumer: Consumer) {
    let next = seen.withLock { seen in
      seen.calls.append("revoked \(partitions.count)")
      seen.owned.subtract(partitions)
      let next = seen.next.filter { partitions.contains($0.key) }
      // What is no longer owned is never committed later.
      for partition in partitions { seen.next[partition] = nil }
      return next
    }
    if commits { commit(next, consumer) }
  }

  func lost(_ partitions: [TopicPartition], by consumer: Consumer) {
    seen.withLock {
      $0.calls.append("lost \(partitions.count)")
      $0.owned.subtract(partitions)
      $0.next = [:]
    }
  }
}
