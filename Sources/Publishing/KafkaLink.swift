package import Kafka
package import Operations
import Synchronization

/// A producer with its threads, which knows whether Kafka can take messages.
///
/// One thread serves the delivery reports, another asks the cluster at intervals whether it answers, so that work can be
/// refused at once while it does not, rather than after the delivery timeout.
///
/// A producer that has failed for good is replaced: librdkafka 2.0.2 takes it for that when a request that it had given up
/// was not carried out after all, and the next one is out of order (corrected in 2.3.0).
package final class KafkaLink: Sendable {
  /// Where and how to produce.
  package struct Configuration: Sendable {
    package var kafka: KafkaConfiguration
    /// Topics that must exist.
    package var topics: [String]
    /// How long a message may wait for its acknowledgement.
    package var deliveryTimeout: Duration
    /// Messages that may wait at once.
    package var queueMessages: Int
    /// Bytes that may wait at once.
    package var queueBytes: Int
    /// How long a message waits for others to share its request with.
    package var linger: Duration
    /// What Kafka keeps only so much of; nil when it keeps everything.
    package var backlog: Backlog?

    package init(
      kafka: KafkaConfiguration, topics: [String], deliveryTimeout: Duration, queueMessages: Int, queueBytes: Int,
      linger: Duration, backlog: Backlog? = nil
    ) {
      self.kafka = kafka
      self.topics = topics
      self.deliveryTimeout = deliveryTimeout
      self.queueMessages = queueMessages
      self.queueBytes = queueBytes
      self.linger = linger
      self.backlog = backlog
    }
  }

  /// What it counts.
  private struct Counters {
    let produced: Counter
    let acknowledged: Counter
    let failed: Counter
    let replaced: Counter
  }

  /// A producer and who hears of its end.
  private struct Client {
    let producer: Producer
    let observer: ClientLog
  }

  let backlog: Backlog?
  private let kafka: KafkaConfiguration
  private let client: Mutex<Client>
  /// Failed producers whose last reports are awaited.
  private let retired = Mutex<[Producer]>([])
  private let log: Log
  private let topics: [String]
  private let deliveryTimeout: Duration
  private let queueMessages: Int
  private let state: StateLog
  private let isAvailable = Atomic(false)
  /// Of the topics, as the cluster last said.
  private let partitionCounts = Mutex<[(topic: String, count: Int)]>([])
  private let reason = Mutex("Kafka has not answered yet")
  private let counters: Counters
  /// Who has not closed it yet.
  private let users = Atomic(1)

  /// Makes the producer; it connects by itself.
  /// - Throws: when a setting of `configuration.kafka` is unknown or has no such value, or acknowledgements would not mean
  ///   that all copies are there.
  package init(_ configuration: Configuration, log: Log, health: Health, metrics: Metrics) throws(KafkaError) {
    var kafka = configuration.kafka
    // By both of its names: what one broker alone has would be acknowledged, and lost with that broker.
    for name in ["acks", "request.required.acks"] where !["all", "-1", nil].contains(kafka.value(name)) {
      throw KafkaError(.invalidArgument, message: "\(name): must be all here")
    }
    kafka.setDefaults([
      // Room beyond the bound that this class keeps: it looks at the queue once for a whole request.
      "queue.buffering.max.messages": "\(configuration.queueMessages + 100_000)",
      "queue.buffering.max.kbytes": "\(max(configuration.queueBytes / 1_024, 1))",
      // The brokers say what is too large: a dead letter is as large as what they took before.
      "message.max.bytes": "\(min(max(configuration.queueBytes, 1_000_000), 1_000_000_000))",
      "message.timeout.ms": "\(configuration.deliveryTimeout.milliseconds)",
      "linger.ms": "\(configuration.linger / .milliseconds(1))",
      // A broker that hangs is given up before the message is, so that another can be tried.
      "socket.timeout.ms": "\(min(max(configuration.deliveryTimeout.milliseconds / 2, 1_000), 300_000))",
      "reconnect.backoff.ms": "100", "reconnect.backoff.max.ms": "1000",
      // Small enough for a request among many, large enough for a full one.
      "batch.num.messages": "10000",
      // A topic may take less than the brokers' usual megabyte at once. Smaller ones than this cost throughput.
      "batch.size": "300000",
      "topic.metadata.refresh.interval.ms": "30000",
    ])
    self.kafka = kafka
    self.log = log.component("kafka")
    client = Mutex(try Self.client(kafka, log: self.log))
    topics = configuration.topics
    deliveryTimeout = configuration.deliveryTimeout
    backlog = configuration.backlog
    queueMessages = configuration.queueMessages
    state = StateLog("kafka", log: log, health: health.component("kafka"))
    counters = Counters(
      produced: metrics.counter("sluice_kafka_produced_total", "Messages handed to the producer."),
      acknowledged: metrics.counter("sluice_kafka_acknowledged_total", "Messages that Kafka acknowledged."),
      failed: metrics.counter("sluice_kafka_failed_total", "Messages that Kafka did not acknowledge in time."),
      replaced: metrics.counter("sluice_kafka_producers_replaced_total", "Producers that had failed for good."))
    metrics.gauge("sluice_kafka_queue_messages", "Messages that wait for Kafka's acknowledgement.") { [weak self] in
      self.map { Double($0.producer.queueDepth) }
    }
  }

  private static func client(_ kafka: KafkaConfiguration, log: Log) throws(KafkaError) -> Client {
    let observer = ClientLog(log)
    return Client(producer: try Producer(kafka, observer: observer), observer: observer)
  }

  /// The producer in use.
  var producer: Producer { client.withLock { $0.producer } }

  /// Starts its threads.
  package func start(under supervisor: Supervisor) {
    supervisor.start("kafka-reports", mayEnd: true) { [producer] in producer.run() }
    supervisor.start("kafka-probe") { [self] in
      var backoff = Backoff(base: .milliseconds(200), cap: .seconds(30))
      // Soon at first: a topic that was just made is not known to all brokers yet.
      var absence = Backoff(base: .milliseconds(20), cap: .milliseconds(400))
      while !supervisor.isStopping {
        let (failed, observer) = client.withLock { ($0.producer, $0.observer) }
        if let error = observer.fatalError {
          setUnavailable("the producer has failed: \(error)")
          if supervisor.waitForStop(timeout: backoff.next()) { return }
          try replace(failed, supervisor)
          // A reason that lasts, such as a right that is missing, shows itself soon: until then it is not taken for well.
          if supervisor.waitForStop(timeout: .seconds(1)) { return }
          continue
        }
        probe()
        let isWell = isAvailable.load(ordering: .relaxed)
        if isWell {
          backoff.reset()
          absence.reset()
        }
        if supervisor.waitForStop(timeout: isWell ? .seconds(1) : absence.next()) { return }
      }
    }
  }

  /// Puts a new producer in the place of one that has failed for good.
  private func replace(_ failed: Producer, _ supervisor: Supervisor) throws(KafkaError) {
    let new = try Self.client(kafka, log: log)
    supervisor.start("kafka-reports", mayEnd: true) { new.producer.run() }
    // Before it is out of use, so that whoever closes this finds it.
    retired.withLock { $0.append(failed) }
    client.withLock { $0 = new }
    counters.replaced.increment()
    supervisor.start("kafka-retired", mayEnd: true) { [self] in
      failed.close(timeout: deliveryTimeout)
      retired.withLock { $0.removeAll { $0 === failed } }
    }
  }

  /// Why Kafka cannot take readings now; nil when it can.
  package var unavailability: String? {
    isAvailable.load(ordering: .acquiring) ? backlog?.unavailability : reason.withLock { $0 }
  }

  /// Whether the queue has room for that many messages more; an empty one has room for any request.
  package func hasRoom(for count: Int) -> Bool {
    let depth = producer.queueDepth
    return depth == 0 || depth + count <= queueMessages
  }

  /// How many partitions a topic has; nil until Kafka has said so.
  func partitionCount(of topic: String) -> Int? { partitionCounts.withLock { $0.first { $0.topic == topic }?.count } }

  /// Counts messages handed to the producer.
  func count(produced: Int) { counters.produced.increment(by: produced) }

  /// Counts what became of some messages; called by the receivers of their reports.
  package func count(acknowledged: Int, failed: Int) {
    if acknowledged > 0 { counters.acknowledged.increment(by: acknowledged) }
    if failed > 0 { counters.failed.increment(by: failed) }
  }

  /// Shares it with one more user, who has to close it too.
  package func share() -> KafkaLink {
    users.add(1, ordering: .relaxed)
    return self
  }

  /// Ends its use. The last user's call delivers what waits, or reports it as failed after `timeout`, and ends the
  /// producer.
  package func close(timeout: Duration) {
    guard users.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    for producer in retired.withLock({ $0 }) + [producer] { producer.close(timeout: timeout) }
  }

  private func probe() {
    do {
      // A topic that is missing shows only in the list of all; once it was there, a cheaper question does.
      if isAvailable.load(ordering: .relaxed) {
        let counts = try producer.probe(timeout: .seconds(2))
        for (topic, count) in counts { set(count, of: topic) }
      } else {
        for topic in topics {
          guard let count = try producer.partitionCount(of: topic, timeout: .seconds(2)) else {
            return setUnavailable("the topic \(topic) does not exist: sluice setup creates it")
          }
          set(count, of: topic)
        }
      }
      isAvailable.store(true, ordering: .releasing)
      state.ok()
    } catch {
      // One that was closed meanwhile says nothing about Kafka.
      if error.code != .closed { setUnavailable("Kafka does not answer: \(error)") }
    }
  }

  private func set(_ count: Int, of topic: String) {
    partitionCounts.withLock { counts in
      if let index = counts.firstIndex(where: { $0.topic == topic }) {
        counts[index].count = count
      } else {
        counts.append((topic, count))
      }
    }
  }

  private func setUnavailable(_ text: String) {
    reason.withLock { $0 = text }
    isAvailable.store(false, ordering: .releasing)
    state.failing(text)
  }
}

extension Duration {
  /// Whole milliseconds.
  var milliseconds: Int { Int(self / .milliseconds(1)) }
}
