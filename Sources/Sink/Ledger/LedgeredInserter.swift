import Kafka
import MongoDB
import Operations
import Publishing
import Readings
import Synchronization

/// Stores batches in a time-series collection so that each offset is there once: drives a `PartitionOwner` for each
/// partition, and carries out what it asks for.
///
/// Used by the writing thread alone, but for `attend`.
final class LedgeredInserter: Inserter {
  /// A claim older than this is not written under: by then the group may have given the partition to another.
  private let claimLifetime: Duration
  /// How long former claims are examined before they are given up.
  private static let examinationLimit: Duration = .seconds(3_600)
  private static let longestInterval: Duration = .seconds(300)
  /// After looking, so many times as long as that took is left for writing.
  private static let examinationShare = 10

  /// When a former claim is looked at next.
  private struct Examination {
    let partition: Int32
    let claim: LedgerEntry.Claim
    let since: Duration
    var due: Duration
    var interval: Duration
  }

  private let readings: ReadingStore
  private let ledger: LedgerStore
  private let ids: SenderIDs
  private let metrics: SinkMetrics
  private let log: Log
  private let now: @Sendable () -> Duration
  private var owners: [Int32: PartitionOwner] = [:]
  private var claimedAt: [Int32: Duration] = [:]
  private var examinations: [Examination] = []
  private var nextExamination: Duration = .zero
  private var documents = BSONBatch()
  private var portion = Portion()
  private let looking = AbandonableCall("sink-looks")
  private let unattended = Mutex<[Int32]>([])

  /// - Parameter now: a clock that goes on counting while the process is stopped.
  init(
    readings: ReadingStore, ledger: LedgerStore, ids: SenderIDs, claimLifetime: Duration, metrics: SinkMetrics,
    log: Log,
    now: @escaping @Sendable () -> Duration = Clock.monotonic
  ) {
    self.readings = readings
    self.ledger = ledger
    self.ids = ids
    self.claimLifetime = claimLifetime
    self.metrics = metrics
    self.log = log
    self.now = now
  }

  func reset() {
    owners = [:]
    claimedAt = [:]
    examinations = []
  }

  func insert(_ batch: SinkBatch, _ progress: inout InsertProgress) throws(InsertFailure) {
    for partition in batch.next.keys { try take(partition) }
    try recover(Array(batch.next.keys), while: progress.isWanted)
    let seen = leaveOutRepeats(of: batch, &progress)
    var wanted = batch.order.filter { index in
      !progress.isSettled(index) && owners[batch.origins[index].partition]!.needsInsert(batch.origins[index].offset)
    }
    try claim(wanted, of: batch)
    // Under the claim, so that nobody else stores the readings of the ids that are noted here.
    try leaveOutRepeats(of: batch, &wanted, &progress, ids, metrics)
    if !wanted.isEmpty {
      let epochs = owners.mapValues(\.epoch)
      readings.encode(batch, epochs: epochs, into: &documents)
      var rest = wanted[...]
      while !rest.isEmpty {
        // The claim stays open, and the next owner reads it back.
        guard progress.isWanted() else { throw .givenUp }
        try checkClaims(batch)
        let part = Array(rest.prefix(portion.count))
        rest = rest.dropFirst(part.count)
        let outcome = readings.insert(documents, part, &portion)
        progress.add(outcome, sent: part, isLast: rest.isEmpty)
        if let failure = outcome.failure {
          if outcome.isUnknown {
            progress.forgetStored()
            for partition in batch.next.keys { owners[partition]!.outcomeUnknown() }
          }
          throw .database(failure)
        }
        metrics.written.increment(by: part.count - outcome.refused.count)
      }
    }
    try forgetRefused(of: batch, &progress, ids)
    for (partition, next) in batch.next { owners[partition]!.pass(to: next, seen: seen[partition]!) }
  }

  /// Takes out what Kafka's client wrote a second time. What was put back by `sluice dlq redrive` is none of that: it has
  /// the number of the message that became a dead letter, and whoever puts back sees to it that it is done once.
  /// - Returns: what will have been seen when the batch is stored.
  private func leaveOutRepeats(of batch: SinkBatch, _ progress: inout InsertProgress) -> [Int32: SeenSequences] {
    let now = Clock.nowMilliseconds()
    var seen = Dictionary(uniqueKeysWithValues: batch.next.keys.map { ($0, owners[$0]!.seen) })
    for partition in seen.keys { seen[partition]!.expire(at: now) }
    func isRepeat(_ message: ConsumedMessage, _ origin: Origin) -> Bool {
      guard let sequence = origin.sequence, !owners[origin.partition]!.isDone(origin.offset),
        !seen[origin.partition]!.insert(sequence, at: now)
      else { return false }
      return message.withHeader(DeadLetter.Header.redrives) { $0 == nil }
    }
    let repeats = batch.origins.indices.filter { isRepeat(batch.messages[$0], batch.origins[$0]) }
    let rejects = batch.rejects.indices.filter { isRepeat(batch.rejects[$0].message, batch.rejects[$0].origin) }
    if repeats.isEmpty && rejects.isEmpty { return seen }
    metrics.repeated.increment(by: progress.add(repeats: repeats, rejects: rejects))
    return seen
  }

  func complete() throws(InsertFailure) {
    try record(owners.compactMapValues(\.completing))
  }

  func reclaim() {
    for partition in owners.keys where owners[partition]!.phase == .lost { owners[partition]!.reclaim() }
  }

  /// Makes a partition this sink's, unless it is already.
  private func take(_ partition: Int32) throws(InsertFailure) {
    switch owners[partition, default: PartitionOwner()].phase {
    case .ready, .claimed, .recovering: return
    case .lost: throw .lost(partition)
    case .untaken(let over):
      let entry: LedgerEntry?
      do throws(MongoError) { entry = try ledger.take(partition, over: over) } catch { throw .database(error) }
      guard let entry else {
        refuse(partition)
        throw .lost(partition)
      }
      owners[partition, default: PartitionOwner()].took(entry)
      schedule(partition)
    }
  }

  /// Reads back what earlier owners left of partitions that were taken: of all at once, for to look through the collection
  /// is dear.
  private func recover(_ partitions: [Int32], while isWanted: () -> Bool) throws(InsertFailure) {
    var claims: [Int32: [LedgerEntry.Claim]] = [:]
    for partition in partitions {
      if case .recovering(let open)? = owners[partition]?.phase { claims[partition] = open }
    }
    if claims.isEmpty { return }
    let copies = try copies(of: claims, while: isWanted)
    for (partition, claims) in claims {
      let offsets = Set((copies[partition] ?? []).map(\.offset))
      owners[partition]!.readBack(offsets)
      metrics.recovered.increment(by: offsets.count)
      log.info(
        "partition recovered",
        [
          "partition": .int(Int(partition)), "epoch": .int(Int(owners[partition]!.epoch)),
          "claims": .int(claims.count), "stored_already": .int(offsets.count),
        ])
    }
  }

  private func copies(
    of claims: [Int32: [LedgerEntry.Claim]], while isWanted: () -> Bool
  ) throws(InsertFailure) -> [Int32: [LedgerStore.Copy]] {
    try patiently(while: isWanted) { [ledger] () throws(MongoError) in try ledger.copies(of: claims) }
  }

  /// Does what may take long, and only looks, or may as well happen later: nobody has to wait for that at a stop.
  private func patiently<Value: Sendable>(
    while isWanted: () -> Bool, _ body: @escaping @Sendable () throws(MongoError) -> Value
  ) throws(InsertFailure) -> Value {
    let result = looking.run(while: isWanted) { () -> Result<Value, MongoError> in
      do throws(MongoError) { return .success(try body()) } catch { return .failure(error) }
    }
    switch result {
    case .success(let value): return value
    case .failure(let error): throw .database(error)
    case nil: throw .givenUp
    }
  }

  /// Has the ledger know what is about to be inserted. A partition keeps the claim that it has from an earlier attempt.
  private func claim(_ wanted: [Int], of batch: SinkBatch) throws(InsertFailure) {
    struct Extent {
      var from: Int64
      var tsMin: Int64
      var tsMax: Int64
    }
    var extents: [Int32: Extent] = [:]
    for index in wanted {
      let origin = batch.origins[index]
      let ts = batch.readings.readings[index].ts
      if let known = extents[origin.partition] {
        extents[origin.partition] = Extent(
          from: min(known.from, origin.offset), tsMin: min(known.tsMin, ts), tsMax: max(known.tsMax, ts))
      } else {
        extents[origin.partition] = Extent(from: origin.offset, tsMin: ts, tsMax: ts)
      }
    }
    var changes: [Int32: LedgerChange] = [:]
    for (partition, extent) in extents where owners[partition]!.phase == .ready {
      changes[partition] = owners[partition]!.claiming(
        from: extent.from, to: batch.next[partition]!, tsMin: extent.tsMin, tsMax: extent.tsMax)
    }
    try record(changes)
  }

  private func record(_ changes: [Int32: LedgerChange]) throws(InsertFailure) {
    if changes.isEmpty { return }
    let start = now()
    let refused: Set<Int32>
    do throws(MongoError) {
      refused = try ledger.record(changes)
    } catch {
      for partition in changes.keys { owners[partition]!.outcomeUnknown() }
      throw .database(error)
    }
    for (partition, change) in changes {
      if refused.contains(partition) {
        refuse(partition)
      } else {
        owners[partition]!.recorded(change)
        claimedAt[partition] = start
      }
    }
    if let lost = refused.first { throw .lost(lost) }
  }

  /// Sends nothing under a claim that is too old: this process may have slept, and the partition may be another's.
  private func checkClaims(_ batch: SinkBatch) throws(InsertFailure) {
    var old: Int32?
    for partition in batch.next.keys
    where owners[partition]!.phase == .claimed && now() - claimedAt[partition, default: .zero] > claimLifetime {
      owners[partition]!.outcomeUnknown()
      old = partition
    }
    if let old { throw .stale(old) }
  }

  private func refuse(_ partition: Int32) {
    let claim = owners[partition, default: PartitionOwner()].refused()
    examinations.removeAll { $0.partition == partition }
    guard let claim else { return }
    do throws(MongoError) {
      try ledger.settle(claim, of: partition)
    } catch {
      // The claim stays open then, and the new owner examines it until it is old.
      log.debug("claim not settled", ["reason": .string("\(error)")])
    }
  }

  // MARK: Claims of earlier epochs

  private func schedule(_ partition: Int32) {
    examinations.removeAll { $0.partition == partition }
    let start = now()
    for claim in owners[partition]!.former {
      examinations.append(
        Examination(
          partition: partition, claim: claim, since: start, due: start + .seconds(1), interval: .seconds(1)))
    }
  }

  /// Has partitions of this sink taken, from any thread, of which earlier owners left claims: only their owner looks for late
  /// copies, and it may be long until a message comes. In place of those that it was told before.
  func attend(to partitions: [Int32]) { unattended.withLock { $0 = partitions } }

  private func takeUnattended(while isWanted: () -> Bool) throws(InsertFailure) {
    let partitions = unattended.withLock { $0 }
    if partitions.isEmpty { return }
    for partition in partitions { try take(partition) }
    try recover(partitions, while: isWanted)
    unattended.withLock { $0.removeAll(where: partitions.contains) }
  }

  func examine(while isWanted: () -> Bool) throws(InsertFailure) {
    try takeUnattended(while: isWanted)
    let time = now()
    guard time >= nextExamination else { return }
    let due = examinations.indices.filter {
      examinations[$0].due <= time && owners[examinations[$0].partition]!.isPast(examinations[$0].claim)
    }
    if due.isEmpty { return }
    for index in due {
      examinations[index].interval = min(examinations[index].interval * 2, Self.longestInterval)
      examinations[index].due = time + examinations[index].interval
    }
    let examined = due.map { examinations[$0] }
    // To look through the collection may take long, and nothing is written meanwhile.
    defer { nextExamination = now() + (now() - time) * Self.examinationShare }
    let entries: [Int32: LedgerEntry]
    do throws(MongoError) {
      entries = try ledger.entries(Array(Set(examined.map(\.partition))))
    } catch {
      throw .database(error)
    }
    var claims: [Int32: [LedgerEntry.Claim]] = [:]
    for (partition, entry) in entries where entry.epoch == owners[partition]!.epoch {
      for known in entry.claims where known.isSettled { owners[partition]!.settled(known) }
      claims[partition] = examined.filter { $0.partition == partition }.map(\.claim)
    }
    for partition in Set(examined.map(\.partition)) where claims[partition] == nil { refuse(partition) }
    let copies = try copies(of: claims, while: isWanted)
    for examination in examined where claims[examination.partition] != nil {
      let covered = examination.claim.from..<examination.claim.to
      try conclude(
        examination, (copies[examination.partition] ?? []).filter { covered.contains($0.offset) }, at: time,
        while: isWanted)
    }
  }

  /// Removes what is there more than once of a former claim, or closes it when nothing more can come.
  /// - Parameter time: of before it was looked at: what landed after that is not among the copies.
  private func conclude(
    _ examination: Examination, _ copies: [LedgerStore.Copy], at time: Duration, while isWanted: () -> Bool
  ) throws(InsertFailure) {
    let partition = examination.partition
    let claim = examination.claim
    // An earlier one may have found that the partition is another's.
    guard owners[partition]!.phase != .lost,
      let index = examinations.firstIndex(where: { $0.partition == partition && $0.claim.isSame(as: claim) })
    else { return }
    let surplus = PartitionOwner.surplus(copies.map { ($0.offset, $0.epoch) })
    if !surplus.isEmpty {
      let count = try patiently(while: isWanted) { [ledger] () throws(MongoError) in
        try ledger.delete(surplus, of: claim, in: partition)
      }
      metrics.surplus.increment(by: count)
      log.info("late copies removed", ["partition": .int(Int(partition)), "copies": .int(count)])
      examinations[index].due = time
      return
    }
    let isAged = time - examination.since > Self.examinationLimit
    let known = owners[partition]!.former.first { $0.isSame(as: claim) } ?? claim
    guard isAged || owners[partition]!.canClose(known) else { return }
    // What a later epoch stored too was there twice for a while, for all that anybody knows now, and was perhaps summarised
    // so. Here and not where copies are removed: whoever did that may have been killed.
    let twice = copies.filter { $0.epoch > claim.epoch }
    let epoch = owners[partition]!.epoch
    let isClosed = try patiently(while: isWanted) { [ledger] () throws(MongoError) in
      try ledger.mark(twice)
      return try ledger.close(claim, of: partition, under: epoch)
    }
    guard isClosed else { return refuse(partition) }
    owners[partition]!.closed(claim)
    examinations.remove(at: index)
  }
}
