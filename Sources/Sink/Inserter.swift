import MongoDB
import Operations

/// Why a batch is not stored yet.
enum InsertFailure: Error {
  /// The database did not do it.
  case database(MongoError)
  /// The collection is not there, or not what it should be.
  case unfit(String)
  /// The ledger knows another owner of this partition.
  case lost(Int32)
  /// So much time has passed since this partition was claimed that it must be taken anew.
  case stale(Int32)
  /// Its partitions were given up while it was being stored.
  case givenUp

  var isOfDatabase: Bool {
    switch self {
    case .database, .unfit: true
    case .lost, .stale, .givenUp: false
    }
  }
}

/// How batches are stored so that each reading is there once: one way for each layout.
protocol Inserter: AnyObject {
  /// Tries once to store what of a batch is not stored yet. When it returns, every reading is stored or refused for good.
  func insert(_ batch: SinkBatch, _ progress: inout InsertProgress) throws(InsertFailure)
  /// Has the database know what is stored; before offsets are committed.
  func complete() throws(InsertFailure)
  /// Looks for what late writes of earlier owners left, when it is time.
  /// - Parameter isWanted: whether the partitions are this sink's still; what takes long is given up when they are not.
  func examine(while isWanted: () -> Bool) throws(InsertFailure)
  /// Takes back what another seemed to own, for the group says that it is this sink's.
  func reclaim()
  /// Forgets all it owns: the partitions were given up.
  func reset()
}

/// What is known of a batch after some attempts.
struct InsertProgress {
  /// Whether the batch is this sink's to store: asked between two parts of it, each of which may take as long as an answer.
  let isWanted: () -> Bool
  /// Indices that the database refused for their content, with its words.
  private(set) var refused: [(index: Int, detail: String)] = []
  private var isRefused: Set<Int> = []
  /// Refused, and their sender's ids may still be noted.
  private(set) var unforgotten: [Int] = []
  /// Indices whose message, or sender's id, was seen before.
  private var isRepeat: Set<Int> = []
  /// Indices of rejects whose message was seen before.
  private(set) var repeatedRejects: Set<Int> = []
  private var isStored: Set<Int> = []

  init(isWanted: @escaping () -> Bool) { self.isWanted = isWanted }

  /// Whether a reading needs no further attempt.
  func isSettled(_ index: Int) -> Bool {
    isStored.contains(index) || isRefused.contains(index) || isRepeat.contains(index)
  }

  /// Notes repeats.
  /// - Returns: how many were not known to be.
  mutating func add(repeats: [Int], rejects: [Int] = []) -> Int {
    let known = isRepeat.count + repeatedRejects.count
    isRepeat.formUnion(repeats)
    repeatedRejects.formUnion(rejects)
    return isRepeat.count + repeatedRejects.count - known
  }

  /// Notes an attempt with these indices.
  /// - Parameter isLast: whether they are the last of the batch, so that nothing is left to be done if they are stored, and
  ///   no ids are to be forgotten.
  mutating func add(_ outcome: StoreOutcome, sent: [Int], isLast: Bool) {
    refused += outcome.refused
    unforgotten += outcome.refused.map(\.index)
    for refusal in outcome.refused { isRefused.insert(refusal.index) }
    if isLast && outcome.failure == nil && unforgotten.isEmpty { return }
    let remaining = Set(outcome.remaining)
    for index in sent where !remaining.contains(index) && !isRefused.contains(index) { isStored.insert(index) }
  }

  /// Notes that the ids of what was refused are no longer there.
  mutating func forgotIDs() { unforgotten = [] }

  /// Forgets what seemed stored: it has to be read back.
  mutating func forgetStored() { isStored = [] }
}

extension Inserter {
  /// Takes the repeats out of what is to be stored.
  func leaveOutRepeats(
    of batch: SinkBatch, _ wanted: inout [Int], _ progress: inout InsertProgress, _ ids: SenderIDs,
    _ metrics: SinkMetrics
  ) throws(InsertFailure) {
    let repeats: [Int]
    do throws(MongoError) { repeats = try ids.note(batch, among: wanted) } catch { throw .database(error) }
    if repeats.isEmpty { return }
    metrics.repeated.increment(by: progress.add(repeats: repeats))
    wanted.removeAll(where: progress.isSettled)
  }

  /// Has the ids of what the database refused forgotten: their readings are not stored, and must not be taken for repeats
  /// when they are put back.
  func forgetRefused(of batch: SinkBatch, _ progress: inout InsertProgress, _ ids: SenderIDs) throws(InsertFailure) {
    if progress.unforgotten.isEmpty { return }
    do throws(MongoError) { try ids.forget(batch, progress.unforgotten) } catch { throw .database(error) }
    progress.forgotIDs()
  }
}

/// Stores batches in a plain collection: a repeat has the same `_id`, and is refused by the database itself.
final class KeyedInserter: Inserter {
  private let readings: ReadingStore
  private let ids: SenderIDs
  private let metrics: SinkMetrics
  private var documents = BSONBatch()
  private var portion = Portion()

  init(readings: ReadingStore, ids: SenderIDs, metrics: SinkMetrics) {
    self.readings = readings
    self.ids = ids
    self.metrics = metrics
  }

  func insert(_ batch: SinkBatch, _ progress: inout InsertProgress) throws(InsertFailure) {
    var wanted = batch.order.filter { !progress.isSettled($0) }
    try leaveOutRepeats(of: batch, &wanted, &progress, ids, metrics)
    if !wanted.isEmpty {
      readings.encode(batch, epochs: [:], into: &documents)
      var rest = wanted[...]
      while !rest.isEmpty {
        guard progress.isWanted() else { throw .givenUp }
        let part = Array(rest.prefix(portion.count))
        rest = rest.dropFirst(part.count)
        let outcome = readings.insert(documents, part, &portion)
        progress.add(outcome, sent: part, isLast: rest.isEmpty)
        if let failure = outcome.failure { throw .database(failure) }
        metrics.written.increment(by: part.count - outcome.refused.count)
      }
    }
    try forgetRefused(of: batch, &progress, ids)
  }

  func complete() {}
  func examine(while isWanted: () -> Bool) {}
  func reclaim() {}
  func reset() {}
}
