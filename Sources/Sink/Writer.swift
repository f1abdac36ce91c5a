import Kafka
import MongoDB
import Operations
import Publishing
import Readings

/// The writing thread: takes batches, stores them, and commits their offsets.
///
/// `@unchecked Sendable`: its state is used by the thread in `run` alone; what it shares guards itself.
final class Writer: @unchecked Sendable {
  /// How often it is asked, while there is nothing else to do, whether a flush is over.
  private static let flushPause: Duration = .milliseconds(20)

  /// How long the group has to notice that a partition is another's, before this sink takes it back.
  private static let grace: Duration = .seconds(3)

  private let store: ReadingStore
  private let stateWriter: StateWriter
  private let inserter: any Inserter
  private let deadLetters: DeadLetterProducer
  private let generation: Generation
  private let supervisor: Supervisor
  private let metrics: SinkMetrics
  private let state: StateLog
  private let deadLetterState: StateLog
  private let log: Log
  /// Bytes of states that may wait to be written; half of them are written at once.
  private let unflushedBytes: Int
  /// Commits the next offsets to read, by partition; waits for the answer when told to.
  private let commit: @Sendable (_ offsets: [Int32: Int64], _ wait: Bool) -> Void
  /// Called when there is nothing more to write.
  private let becameIdle: @Sendable () -> Void

  /// What was stored since the last flush began.
  private var noted: Unflushed
  /// What the next is noted in when a flush begins; nil while one is under way.
  private var spare: Unflushed?
  /// Devices of the flush under way, and the bytes of their states.
  private var leaving = (devices: 0, bytes: 0)
  /// Partitions of which it is said that another sink owns them, until something of them is stored again.
  private var lost: Set<Int32> = []
  private var schedule = FlushSchedule(now: Clock.monotonic())
  /// Whether the database did not take what goes before offsets are committed.
  private var isCommitFailing = false
  /// When the collection was last seen to be the one that readings belong into; nil since the database failed.
  private var seenFit: Duration?
  /// Set when the database fails while the process stops: each further try might take as long as the timeout, and what is
  /// not committed is read again.
  private var hasGivenUp = false

  init(
    store: ReadingStore, stateWriter: StateWriter, inserter: any Inserter, deadLetters: DeadLetterProducer,
    generation: Generation,
    supervisor: Supervisor,
    metrics: SinkMetrics, state: StateLog, deadLetterState: StateLog, log: Log, unflushedBytes: Int, marksHours: Bool,
    commit: @escaping @Sendable ([Int32: Int64], Bool) -> Void,
    becameIdle: @escaping @Sendable () -> Void
  ) {
    self.store = store
    self.stateWriter = stateWriter
    self.inserter = inserter
    self.deadLetters = deadLetters
    self.generation = generation
    self.supervisor = supervisor
    self.metrics = metrics
    self.state = state
    self.deadLetterState = deadLetterState
    self.log = log
    self.unflushedBytes = unflushedBytes
    noted = Unflushed(marksHours: marksHours)
    spare = Unflushed(marksHours: marksHours)
    self.commit = commit
    self.becameIdle = becameIdle
  }

  /// Writes what comes until the queue is closed.
  func run(_ queue: BoundedQueue<Work>) {
    checkDatabase()
    while !queue.isFinished {
      if endFlush() { examine() }
      if queue.count == 0 {
        if Clock.monotonic() >= schedule.earliest { beginFlush() }
        becameIdle()
      }
      switch queue.take(timeout: timeout) {
      case .batch(let batch):
        awaitRoomForStates(of: batch)
        write(batch)
        if Clock.monotonic() >= schedule.due || noted.states.byteCount >= unflushedBytes / 2 { beginFlush() }
      case .drain(let done):
        drain()
        done.close()
      case nil where isFlushed || isFlushFailing:
        checkDatabase()
        examine()
      case nil: break
      }
    }
    stateWriter.close()
    if spare == nil { _ = stateWriter.outcome(timeout: nil) }
  }

  /// How long to wait for a batch: until there is something else to do.
  private var timeout: Duration {
    let longest: Duration = .seconds(1)
    if isFlushed || hasGivenUp { return longest }
    if spare == nil { return isFlushFailing ? longest : Self.flushPause }
    return min(max(schedule.earliest - Clock.monotonic(), .zero), longest)
  }

  /// Whether everything stored is also noted and committed.
  private var isFlushed: Bool { noted.isEmpty && spare != nil }

  /// Whether the database refused what a flush writes: as long as it does, it does not work, whatever else it does.
  private var isFlushFailing: Bool { isCommitFailing || stateWriter.isFailing }

  /// Asks the database how it is while there is nothing to write, so that readiness is true also then.
  private func checkDatabase() {
    guard !supervisor.isStopping else { return }
    do throws(MongoError) {
      let problem = try store.check()
      seenFit = problem == nil ? Clock.monotonic() : nil
      if let problem { state.failing(problem) } else if !isFlushFailing { state.ok() }
    } catch {
      seenFit = nil
      state.failing("MongoDB does not answer: \(error)")
    }
  }

  /// Looks once a second, for somebody may drop it.
  /// - Throws: when the collection is not there: an insert would make one that expires nothing; or when it is of the other
  ///   layout: what keeps a reading from being there twice would not be there.
  private func expectFit() throws(InsertFailure) {
    let now = Clock.monotonic()
    if let seenFit, now - seenFit < .seconds(1) { return }
    let problem: String?
    do throws(MongoError) {
      problem = try store.check()
    } catch {
      // Who may not look may still insert.
      if error.isAuthentication { return }
      throw .database(error)
    }
    if let problem { throw .unfit(problem) }
    seenFit = now
  }

  /// Takes in no more states than may wait, while those before them are not written.
  private func awaitRoomForStates(of batch: SinkBatch) {
    while noted.states.byteCount + leaving.bytes >= unflushedBytes, !hasGivenUp,
      batch.generation == generation.current
    {
      beginFlush()
      endFlush(timeout: FlushSchedule.pause)
    }
  }

  /// Flushes all there is, unless it fails, or takes so long that the assignment ends.
  private func drain() {
    while noted.generation == generation.current {
      beginFlush()
      endFlush(timeout: Self.flushPause, wait: true)
      if isFlushed || isFlushFailing || hasGivenUp { return }
    }
  }

  private func write(_ batch: SinkBatch) {
    guard batch.generation == generation.current, !hasGivenUp else { return }
    let start = Clock.monotonic()
    begin(batch.generation)
    guard let progress = insert(batch) else { return }
    if !lost.isEmpty { lost.subtract(batch.next.keys) }
    let rejects =
      batch.rejects.indices.filter { !progress.repeatedRejects.contains($0) }.map { batch.rejects[$0] }
      + progress.refused.map { refusal in
        SinkBatch.Reject(
          message: batch.messages[refusal.index], origin: batch.origins[refusal.index], reason: "refused_by_database",
          detail: refusal.detail)
      }
    if !rejects.isEmpty {
      guard publish(rejects, of: batch) else { return }
    }
    noted.states.note(batch.readings)
    noted.offsets.merge(batch.next) { max($0, $1) }
    metrics.waitingDevices.set(Double(noted.states.deviceCount + leaving.devices))
    metrics.batchSizes.observe(Double(batch.messageCount))
    metrics.writeDurations.observe(Clock.monotonic() - start)
    let now = Clock.nowMilliseconds()
    for origin in batch.origins { metrics.ages.observe(Double(max(0, now - origin.received)) / 1_000) }
    metrics.lastWrite.set(Double(now) / 1_000)
  }

  /// Goes over to another assignment.
  private func begin(_ generation: Int) {
    if noted.generation == generation { return }
    noted.offsets = [:]
    noted.generation = generation
    lost = []
    inserter.reset()
  }

  /// Inserts until every reading is stored or refused.
  /// - Returns: nil when the batch was given up, because its partitions are another's or the process stops.
  private func insert(_ batch: SinkBatch) -> InsertProgress? {
    var progress = InsertProgress { [generation] in batch.generation == generation.current }
    var backoff = Backoff()
    while batch.generation == generation.current {
      do throws(InsertFailure) {
        try expectFit()
        try inserter.insert(batch, &progress)
        if !isFlushFailing { state.ok() }
        return progress
      } catch {
        if error.isOfDatabase { seenFit = nil }
        // That what was given up meanwhile is no longer this sink's is no news.
        if batch.generation != generation.current, !error.isOfDatabase { return nil }
        if supervisor.waitForStop(timeout: note(error, &backoff)) {
          hasGivenUp = true
          return nil
        }
        if case .lost = error, batch.generation == generation.current { inserter.reclaim() }
      }
    }
    return nil
  }

  /// Notes a failure.
  /// - Returns: how long to wait before the next attempt.
  private func note(_ failure: InsertFailure, _ backoff: inout Backoff) -> Duration {
    switch failure {
    case .database(let error):
      state.failing("MongoDB does not store: \(error)")
      return backoff.next()
    case .unfit(let problem):
      state.failing(problem)
      return backoff.next()
    case .lost(let partition):
      // A batch and a flush may both find that.
      if lost.insert(partition).inserted {
        log.warning("another sink owns the partition", ["partition": .int(Int(partition))])
      }
      return Self.grace
    case .stale(let partition):
      log.warning("claim too old to be written under", ["partition": .int(Int(partition))])
      return .zero
    case .givenUp:
      return .zero
    }
  }

  /// Looks for late copies, while the partitions are this sink's.
  private func examine() {
    guard !supervisor.isStopping else { return }
    // Nothing may have come yet under the assignment in force.
    if isFlushed { begin(generation.current) }
    guard noted.generation == generation.current else { return }
    do throws(InsertFailure) {
      try inserter.examine { noted.generation == generation.current }
    } catch {
      // It is done again, and says nothing about whether readings can be stored.
      log.debug("claim not examined", ["reason": .string("\(error)")])
    }
  }

  /// Puts messages on the dead-letter topic until Kafka has them all.
  /// - Returns: false when the batch was given up.
  private func publish(_ rejects: [SinkBatch.Reject], of batch: SinkBatch) -> Bool {
    var letters = rejects.map(Self.letter)
    // Kafka measures whole requests too, and then says of each letter in one that it is too large: known only of one alone.
    var together = letters.count
    var backoff = Backoff()
    while batch.generation == generation.current {
      let sent = letters.prefix(together)
      let receipt = DeadLetterReceipt(count: sent.count)
      for (index, letter) in sent.enumerated() { deadLetters.publish(letter, receiver: receipt, index: index) }
      let failures = receipt.wait()
      let isAlone = together == 1
      letters.removeFirst(sent.count)
      letters.insert(
        contentsOf: failures.compactMap { failure in
          isAlone && failure.error.code == .messageTooLarge
            ? shortened(sent[failure.index], failure.error) : sent[failure.index]
        }, at: 0)
      if letters.isEmpty {
        deadLetterState.ok()
        for reject in rejects { metrics.dead.with(reject.reason).increment() }
        return true
      }
      if failures.contains(where: { $0.error.code == .messageTooLarge }) { together = max(1, together / 4) }
      guard let failure = failures.first(where: { $0.error.code != .messageTooLarge }) else { continue }
      deadLetterState.failing("Kafka does not take dead letters: \(failure.error)")
      if supervisor.waitForStop(timeout: backoff.next()) {
        // Nothing behind these may be recorded as stored.
        hasGivenUp = true
        return false
      }
    }
    return false
  }

  /// What is put in the place of a dead letter that is too large for Kafka. One that is so without its value too is let go,
  /// for it would hold up all that come behind it.
  private func shortened(_ letter: DeadLetter, _ error: KafkaError) -> DeadLetter? {
    let shorter = letter.shortened()
    log.warning(
      shorter == nil
        ? "a dead letter is too large for Kafka and is dropped" : "a dead letter is too large for Kafka and is cut",
      ["bytes": .int(letter.value?.count ?? 0), "reason": .string("\(error)")])
    return shorter
  }

  private static func letter(_ reject: SinkBatch.Reject) -> DeadLetter {
    let message = reject.message
    return DeadLetter(
      key: message.withKey { $0.map { Array($0) } }, value: message.withValue { $0.map { Array($0) } },
      original: message.headers, reason: reject.reason, detail: reject.detail, source: "sink",
      origin: DeadLetter.Origin(topic: message.topic, partition: message.partition, offset: message.offset),
      now: Clock.nowMilliseconds())
  }

  /// Has the states written that were noted, unless others are being written.
  private func beginFlush() {
    guard let next = spare, !noted.isEmpty, !hasGivenUp else { return }
    leaving = (noted.states.deviceCount, noted.states.byteCount)
    next.generation = noted.generation
    stateWriter.write(noted)
    noted = next
    spare = nil
  }

  /// Commits the offsets of a flush whose states are written. Not before: what is committed is not read again, so a device's
  /// latest value would be missing for ever.
  /// - Parameters:
  ///   - timeout: how long to wait for it.
  ///   - wait: whether to wait for Kafka's answer.
  /// - Returns: whether a flush is over.
  @discardableResult
  private func endFlush(timeout: Duration = .zero, wait: Bool = false) -> Bool {
    guard spare == nil, let outcome = stateWriter.outcome(timeout: timeout) else { return false }
    let flushed = outcome.unflushed
    spare = flushed
    leaving = (0, 0)
    isCommitFailing = false
    if !outcome.isWritten {
      hasGivenUp = true
    } else if !flushed.offsets.isEmpty, flushed.generation == generation.current {
      do throws(InsertFailure) {
        try inserter.complete()
        commit(flushed.offsets, wait)
      } catch {
        var backoff = Backoff()
        _ = note(error, &backoff)
        isCommitFailing = true
        noted.offsets.merge(flushed.offsets) { max($0, $1) }
        hasGivenUp = supervisor.isStopping
      }
    }
    flushed.offsets = [:]
    schedule.tried(from: outcome.start, to: outcome.end, failed: isCommitFailing)
    metrics.flushDurations.observe(outcome.end - outcome.start)
    metrics.waitingDevices.set(Double(noted.states.deviceCount))
    return true
  }
}
