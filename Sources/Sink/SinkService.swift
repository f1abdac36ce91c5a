package import Kafka
package import MongoDB
package import Operations
package import Publishing
import Readings
import Synchronization

/// Kafka → MongoDB: a polling thread reads and validates, a writing thread stores; a batch is fetched while another is
/// written.
///
/// The group uses the eager protocol: at a rebalance every member gives all partitions up and begins anew at what is
/// stored, so that "whose is it" has one answer at a time.
///
/// `@unchecked Sendable`: `batch`, `decoder` and `isPaused` belong to the polling thread, on which the rebalance handler
/// is called too; everything else guards itself.
package final class SinkService: RebalanceHandler, @unchecked Sendable {
  /// Bytes of messages that a batch holds, at most: what bounds the memory when messages are large.
  private static let batchBytes = 8 << 20
  /// How long a writer may hold up a rebalance; then its batch is given up.
  private static let drainTimeout: Duration = .seconds(5)

  /// How long Kafka may take to say what it has of the partitions.
  private static let comparisonPatience: Duration = .seconds(3)

  /// How long it takes, at least, from one question that rouses a broker to the next, and at most to its answer.
  private static let rouseInterval: Duration = .milliseconds(10)
  private static let rousePatience: Duration = .milliseconds(50)

  /// How often it is looked at what is not written yet, and whether the group has it.
  private static let watchInterval: Duration = .seconds(2)

  private let configuration: Configuration
  private let store: ReadingStore
  private let ledger: LedgerStore
  private let ids: SenderIDs
  private let deadLetters: DeadLetterProducer
  private let metrics: SinkMetrics
  private let lag: LagObserver
  private let log: Log
  private let databaseState: StateLog
  private let deadLetterState: StateLog
  private let consumerState: StateLog
  private let groupState: StateLog
  private let ledgerState: StateLog
  private let kafkaHealth: HealthComponent
  private let place = Mutex(GroupPlace(now: Clock.monotonic()))
  private let observer: ClientLog
  private let generation = Generation()
  /// One batch waits while another is written.
  private let queue = BoundedQueue<Work>(capacity: 1)
  /// Partitions whose brokers are to be roused.
  private let rousing = BoundedQueue<[Int32]>(capacity: 1)
  private let writerIsIdle = Atomic(false)
  private let consumer = Mutex<Consumer?>(nil)
  private let decoder: MessageDecoder
  private var batch: SinkBatch
  private var fetchedAhead = FetchedAhead()
  /// The offset behind the last message, or where reading began, by partition.
  private var positions: [Int32: Int64] = [:]
  private var assigned: [TopicPartition] = []
  /// Those that nothing is read from while the writer has no room.
  private var paused: [TopicPartition] = []
  /// Those whose ledger could not be compared with the topic yet, as while one of both does not answer: nothing of them is
  /// written, for it might pass for stored.
  private var uncompared: [TopicPartition] = []
  /// Whether these are paused.
  private var areWithheld = false
  /// The first offset that came of them all the same.
  private var passedOver: [TopicPartition: Int64] = [:]
  private var nextComparison: Duration = .zero
  /// Those of which earlier owners left claims.
  private var claimed: [Int32] = []
  private var attend: ([Int32]) -> Void = { _ in }
  private var isStopping: @Sendable () -> Bool = { false }

  /// - Parameter recoveryPool: connections with a longer timeout, for looking at what earlier owners left.
  package init(
    _ configuration: Configuration, pool: MongoPool, recoveryPool: MongoPool, deadLetters: DeadLetterProducer, log: Log,
    health: Health,
    metrics: Metrics
  ) {
    self.configuration = configuration
    self.deadLetters = deadLetters
    self.log = log
    self.metrics = SinkMetrics(metrics)
    lag = LagObserver(metrics: self.metrics)
    store = ReadingStore(pool: pool, schema: configuration.schema, topic: configuration.topic)
    ledger = LedgerStore(
      pool: pool, recoveryPool: recoveryPool, database: configuration.schema.database, topic: configuration.topic)
    ids = SenderIDs(pool: pool, database: configuration.schema.database)
    databaseState = StateLog("mongodb", log: log, health: health.component("mongodb"))
    deadLetterState = StateLog("dead letters", log: log, health: health.component("dead_letters"))
    deadLetterState.ok()
    consumerState = StateLog("consumer", log: log)
    kafkaHealth = health.component("kafka")
    groupState = StateLog("group", log: log, health: health.component("group"))
    ledgerState = StateLog("ledger", log: log, health: health.component("ledger"))
    ledgerState.ok()
    // Before it has joined: the database and Kafka say whether it can.
    groupState.ok()
    observer = ClientLog(log.component("kafka"))
    decoder = MessageDecoder(bounds: configuration.bounds, unknownMembers: self.metrics.unknownMembers)
    batch = SinkBatch(generation: 0)
  }

  /// Starts its threads.
  /// - Parameter ended: called when reading and writing have ended: to close what they used.
  package func start(
    under supervisor: Supervisor, ended: @escaping @Sendable () -> Void
  ) throws(KafkaError) {
    let kafka = try Self.kafka(configuration.kafka)
    let sessionTimeout =
      kafka.value("session.timeout.ms").flatMap { Int($0) }.map { Duration.milliseconds($0) } ?? Self.sessionTimeout
    let consumer = try Consumer(kafka, group: configuration.group, handler: self, observer: observer)
    try consumer.subscribe([configuration.topic])
    self.consumer.withLock { $0 = consumer }
    let topic = configuration.topic
    let backlog = configuration.backlog
    let offsetBase = configuration.offsetBase
    let inserter: any Inserter
    if keepsLedger {
      let ledgered = LedgeredInserter(
        readings: store, ledger: ledger, ids: ids, claimLifetime: sessionTimeout, metrics: metrics, log: log)
      attend = { [weak ledgered] in ledgered?.attend(to: $0) }
      inserter = ledgered
    } else {
      inserter = KeyedInserter(readings: store, ids: ids, metrics: metrics)
    }
    let stateWriter = StateWriter(store: store, supervisor: supervisor, state: databaseState, log: log)
    let writer = Writer(
      store: store, stateWriter: stateWriter, inserter: inserter, deadLetters: deadLetters, generation: generation,
      supervisor: supervisor,
      metrics: metrics,
      state: databaseState, deadLetterState: deadLetterState, log: log,
      unflushedBytes: configuration.unflushedBytes, marksHours: configuration.marksHours,
      commit: { [lag, log] stored, wait in
        let offsets = stored.mapValues { $0 - offsetBase }
        let named = Dictionary(uniqueKeysWithValues: offsets.map { (TopicPartition(topic: topic, partition: $0), $1) })
        lag.stored(named)
        do throws(KafkaError) {
          try consumer.commit(named, wait: wait, timeout: .seconds(5))
          backlog?.stored(offsets)
        } catch {
          // What is not committed is read again.
          log.debug("offsets not committed", ["reason": .string("\(error)")])
        }
      },
      becameIdle: { [self] in
        writerIsIdle.store(true, ordering: .releasing)
        consumer.wake()
      })
    supervisor.start("sink-states", mayEnd: true) { stateWriter.run() }
    supervisor.start("sink-writer", mayEnd: true) { [queue] in
      writer.run(queue)
      ended()
    }
    supervisor.start("sink-poll") { [self] in
      defer {
        rousing.close()
        consumer.close()
        queue.close()
        self.consumer.withLock { $0 = nil }
      }
      isStopping = { supervisor.isStopping }
      while !supervisor.isStopping {
        if let error = observer.fatalError { throw error }
        try poll(consumer)
      }
    }
    supervisor.start("sink-watch", mayEnd: true) { [self] in
      repeat {
        // Until brokers answer there is nothing to say; the consumer says that they do not.
        do throws(KafkaError) { try lag.observe(consumer) } catch {}
        seeAboutGroup()
      } while !supervisor.waitForStop(timeout: Self.watchInterval)
    }
    supervisor.start("sink-rouse", mayEnd: true) { [self] in
      while let partitions = rousing.take() {
        for partition in partitions {
          do throws(KafkaError) {
            _ = try consumer.watermarks(
              of: TopicPartition(topic: topic, partition: partition), timeout: Self.rousePatience)
          } catch {}
          if supervisor.waitForStop(timeout: Self.rouseInterval) { return }
        }
      }
    }
    supervisor.onStop("consumer") { consumer.wake() }
  }

  private var keepsLedger: Bool { configuration.schema.layout == .timeseries && configuration.keepsLedger }

  private func seeAboutGroup() {
    let isKafkaThere = kafkaHealth.state == .ok
    switch place.withLock({ $0.state(at: Clock.monotonic(), isKafkaThere: isKafkaThere) }) {
    case .within: groupState.ok()
    case .between: break
    case .out: groupState.failing("this sink has no place in its consumer group, and reads nothing")
    }
  }

  /// Reads a message, or waits for one; hands the batch over when it is full, or when the writer is idle and the batch has
  /// waited long enough for more.
  private func poll(_ consumer: Consumer) throws(LogWentBack) {
    if !uncompared.isEmpty { compareAgain(consumer) }
    let isIdle = writerIsIdle.load(ordering: .acquiring)
    let timeout: Duration =
      batch.isEmpty
      ? .milliseconds(500) : isIdle ? max(configuration.batchDelay - batch.age, .zero) : .milliseconds(100)
    switch consumer.poll(timeout: timeout) {
    case .message(let message):
      consumerState.ok()
      try take(message, consumer)
      if isFull || isIdle && batch.age >= configuration.batchDelay { try handOver(consumer) }
    case .failed(let error):
      consumerState.failing("\(error)")
    case nil:
      if !batch.isEmpty && writerIsIdle.load(ordering: .acquiring) { try handOver(consumer) }
    }
  }

  private func take(_ message: ConsumedMessage, _ consumer: Consumer) throws(LogWentBack) {
    if !uncompared.isEmpty, uncompared.contains(message.topicPartition) {
      passedOver[message.topicPartition] = min(passedOver[message.topicPartition] ?? .max, message.offset)
      return
    }
    if let position = positions[message.partition], message.offset < position,
      endsBefore(position, message.topicPartition, consumer)
    {
      throw LogWentBack(partition: message.partition, offset: message.offset)
    }
    positions[message.partition] = message.offset + 1
    metrics.consumed.increment()
    fetchedAhead.take(from: message.partition)
    if fetchedAhead.isUsedUp, rousing.put(fetchedAhead.partitions, timeout: .zero) { fetchedAhead = FetchedAhead() }
    batch.append(message, at: message.offset + configuration.offsetBase, with: decoder, now: Clock.nowMilliseconds())
  }

  /// Whether a log ends before an offset that was read; also when no broker says so for long. A node that slept, and does not
  /// know yet that others have written since, has librdkafka read all of it again: that does no harm.
  private func endsBefore(_ position: Int64, _ partition: TopicPartition, _ consumer: Consumer) -> Bool {
    let deadline = Clock.monotonic() + Self.drainTimeout
    repeat {
      do throws(KafkaError) {
        return try consumer.watermarks(of: partition, timeout: .seconds(2)).high < position
      } catch {}
    } while Clock.monotonic() < deadline
    return true
  }

  private var isFull: Bool {
    batch.messageCount >= configuration.batchReadings || batch.byteCount >= Self.batchBytes
  }

  /// Gives the batch to the writer. While that has no room, the consumer is polled with its partitions paused: the group
  /// would put out a member that does not poll.
  private func handOver(_ consumer: Consumer) throws(LogWentBack) {
    let full = batch
    batch = SinkBatch(generation: full.generation)
    writerIsIdle.store(false, ordering: .releasing)
    if queue.put(.batch(full), timeout: .seconds(1)) { return }
    paused = assigned.filter { !uncompared.contains($0) }
    do throws(KafkaError) { try consumer.pause(paused) } catch { consumerState.failing("\(error)") }
    // What is not handed over when the process stops is not committed, and read again.
    while full.generation == generation.current, !queue.isClosed, !isStopping() {
      if queue.put(.batch(full), timeout: .milliseconds(200)) { break }
      // Nothing comes from paused partitions, but what was on its way may: it belongs to the next batch.
      switch consumer.poll(timeout: .zero) {
      case .message(let message): try take(message, consumer)
      case .failed(let error): consumerState.failing("\(error)")
      case nil: break
      }
    }
    resume(consumer)
  }

  /// Ends a pause. Also before partitions are given up: librdkafka keeps them paused for when they come back.
  private func resume(_ consumer: Consumer) {
    if paused.isEmpty { return }
    do throws(KafkaError) { try consumer.resume(paused) } catch { consumerState.failing("\(error)") }
    _ = rousing.put(paused.map(\.partition), timeout: .zero)
    paused = []
  }

  // MARK: Rebalances, on the polling thread

  package func assigned(_ partitions: [TopicPartition], by consumer: Consumer) -> [TopicPartition: Int64] {
    assigned = partitions
    place.withLock { $0.joined() }
    lag.assigned(partitions)
    batch = SinkBatch(generation: generation.current)
    positions = [:]
    passedOver = [:]
    areWithheld = false
    log.info("partitions assigned", ["partitions": .string(Self.list(partitions))])
    guard keepsLedger else { return [:] }
    uncompared = partitions
    claimed = []
    return compare(consumer)
  }

  /// Compares the ledger with the topic, for all partitions of which that was not done yet.
  ///
  /// Reading begins at the committed offset, which is never ahead: what the ledger has already is skipped by the writer, and
  /// brings the device states up to date. But where the ledger is behind, as after the database was restored from a backup, or
  /// knows nothing, as in another database, what it does not know to be stored is read again.
  /// - Returns: where to begin, of those that do not begin at the committed offset.
  private func compare(_ consumer: Consumer) -> [TopicPartition: Int64] {
    var starts: [TopicPartition: Int64] = [:]
    var problem = "no time was left"
    let deadline = Clock.monotonic() + Self.comparisonPatience
    do {
      let entries = try ledger.entries(uncompared.map(\.partition))
      let committed = try consumer.committed(uncompared, timeout: Self.comparisonPatience)
      for partition in uncompared where Clock.monotonic() < deadline {
        let log: (low: Int64, high: Int64)
        do throws(KafkaError) {
          log = try consumer.watermarks(of: partition, timeout: .seconds(1))
        } catch {
          // One without a leader is not to keep the others.
          problem = "\(error)"
          continue
        }
        let beginning = try start(
          partition, entries[partition.partition],
          LogExtent(low: log.low, high: log.high, committed: committed[partition]))
        starts[partition] = beginning
        // The topic may be made anew before anything is read of it.
        positions[partition.partition] = beginning ?? committed[partition] ?? log.low
        uncompared.removeAll { $0 == partition }
        if entries[partition.partition]?.claims.isEmpty == false { claimed.append(partition.partition) }
      }
    } catch {
      problem = "\(error)"
    }
    if uncompared.isEmpty {
      ledgerState.ok()
    } else {
      ledgerState.failing("what is stored cannot be compared with the topic, and is not added to: \(problem)")
    }
    attend(claimed)
    nextComparison = Clock.monotonic() + .seconds(1)
    return starts
  }

  /// Where to begin with a partition; nil: at the committed offset. Has the ledger begin anew where the topic lost what was
  /// stored of it: the offsets come again, with other messages.
  private func start(
    _ partition: TopicPartition, _ entry: LedgerEntry?, _ extent: LogExtent
  ) throws(MongoError) -> Int64? {
    let base = configuration.offsetBase
    guard let entry, let stored = entry.next.map({ $0 - base }) else {
      return extent.committed.map { min($0, extent.low) }
    }
    guard let next = extent.restart(after: stored) else {
      return extent.committed.flatMap { stored < $0 ? max(stored, 0) : nil }
    }
    try ledger.rewind(partition.partition, from: entry.epoch, to: next + base)
    log.warning(
      "the topic ends before what was stored of it: begun anew",
      [
        "partition": .int(Int(partition.partition)), "stored_to": .int(Int(stored)), "ends_at": .int(Int(extent.high)),
        "begun_at": .int(Int(next)),
      ])
    return extent.committed.flatMap { next < $0 ? next : nil }
  }

  /// Compares what could not be compared when it was assigned, every second; until then nothing is read of it.
  private func compareAgain(_ consumer: Consumer) {
    do throws(KafkaError) {
      if !areWithheld {
        try consumer.pause(uncompared)
        areWithheld = true
      }
      guard Clock.monotonic() >= nextComparison else { return }
      let waiting = uncompared
      let starts = compare(consumer)
      let compared = waiting.filter { !uncompared.contains($0) }
      let offsets = passedOver.filter { compared.contains($0.key) }.merging(starts) { $1 }
      do throws(KafkaError) {
        try consumer.resume(compared)
        try consumer.seek(offsets, timeout: Self.comparisonPatience)
      } catch {
        uncompared = waiting
        areWithheld = false
        passedOver.merge(offsets) { $1 }
        throw error
      }
      for partition in compared { passedOver[partition] = nil }
    } catch {
      consumerState.failing("\(error)")
    }
  }

  package func revoked(_ partitions: [TopicPartition], by consumer: Consumer) {
    // What the writer has is finished and committed; what it has not is read again by the next owner.
    let done = BoundedQueue<Never>(capacity: 1)
    let deadline = Clock.monotonic() + Self.drainTimeout
    if queue.put(.drain(done: done), timeout: Self.drainTimeout) {
      _ = done.take(timeout: max(deadline - Clock.monotonic(), .zero))
    }
    end(partitions, consumer)
  }

  package func lost(_ partitions: [TopicPartition], by consumer: Consumer) { end(partitions, consumer) }

  private func end(_ partitions: [TopicPartition], _ consumer: Consumer) {
    resume(consumer)
    if areWithheld { do throws(KafkaError) { try consumer.resume(uncompared) } catch {} }
    uncompared = []
    areWithheld = false
    ledgerState.ok()
    attend([])
    generation.advance()
    assigned = []
    batch = SinkBatch(generation: generation.current)
    lag.ended(partitions)
    place.withLock { $0.left(at: Clock.monotonic()) }
    log.info("partitions given up", ["partitions": .string(Self.list(partitions))])
  }

  private static func list(_ partitions: [TopicPartition]) -> String {
    partitions.map { "\($0.partition)" }.joined(separator: ",")
  }
}

/// Offsets that were read come again: the topic was deleted and made anew, or lost its end. The process ends then, for its next
/// start compares the ledger with the topic.
private struct LogWentBack: Error, CustomStringConvertible {
  let partition: Int32
  let offset: Int64

  var description: String { "partition \(partition) of the topic begins again, at offset \(offset)" }
}
