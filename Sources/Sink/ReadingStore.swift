import MongoDB
import Operations
import Readings

/// What became of a batch's documents.
struct StoreOutcome {
  /// Indices of the readings that the database refused for their content, with its words.
  var refused: [(index: Int, detail: String)] = []
  /// Indices that are not stored, and may be when they are tried again.
  var remaining: [Int] = []
  /// Why they are not; nil when none remains.
  var failure: MongoError?
  /// Whether some of them may be stored all the same, or will be.
  var isUnknown = false
}

/// Writes readings and device states to the database.
final class ReadingStore: Sendable {
  /// Bytes of statements after which a command gets no more devices.
  private static let updateBytes = 256 << 10

  private let pool: MongoPool
  private let database: String
  private let document: ReadingDocument
  private let schema: DatabaseSchema

  init(pool: MongoPool, schema: DatabaseSchema, topic: String) {
    self.pool = pool
    self.schema = schema
    database = schema.database
    document = ReadingDocument(layout: schema.layout, topic: topic)
  }

  /// Whether the database answers, and what is wrong with it when it does.
  func check() throws(MongoError) -> String? {
    try pool.withClient { (client) throws(MongoError) in try schema.problem(client) }
  }

  /// Encodes a batch's readings, in their order, each with the epoch of its partition.
  func encode(_ batch: SinkBatch, epochs: [Int32: Int32], into documents: inout BSONBatch) {
    documents.removeAll(keepingCapacity: true)
    for (index, reading) in batch.readings.readings.enumerated() {
      let origin = batch.origins[index]
      document.append(
        reading, of: batch.readings, from: origin, epoch: epochs[origin.partition] ?? 0, to: &documents)
    }
  }

  /// Inserts some documents at once.
  /// - Parameter portion: how many it may be the next time.
  func insert(_ documents: BSONBatch, _ indices: [Int], _ portion: inout Portion) -> StoreOutcome {
    let start = Clock.monotonic()
    let outcome = insert(documents, indices)
    if outcome.failure == nil {
      portion.answered(indices.count, after: Clock.monotonic() - start)
    } else if outcome.isUnknown {
      portion.failed(indices.count)
    }
    return outcome
  }

  private func insert(_ documents: BSONBatch, _ indices: [Int]) -> StoreOutcome {
    var outcome = StoreOutcome()
    do throws(MongoError) {
      let result = try pool.withClient { (client) throws(MongoError) in
        try client.insertMany(database, DatabaseSchema.readings, documents, indices: indices)
      }
      // A duplicate key is a reading that is stored already.
      for error in result.errors where !error.isDuplicateKey {
        if error.isRefusal {
          outcome.refused.append((error.index, "MongoDB refused the document: \(error.message) (code \(error.code))"))
        } else {
          outcome.remaining.append(error.index)
          outcome.failure = error.error
        }
      }
      if let error = result.writeConcernError {
        // Stored, but perhaps not to stay: only what the database promises to keep counts.
        outcome.remaining = indices.filter { index in !outcome.refused.contains { $0.index == index } }
        outcome.failure = error
        outcome.isUnknown = true
      }
    } catch {
      return isolate(error, documents, indices)
    }
    return outcome
  }

  /// What a failure of a whole insert means: when one document is to blame, it is looked for in halves.
  private func isolate(_ error: MongoError, _ documents: BSONBatch, _ indices: [Int]) -> StoreOutcome {
    if error.isRetriable || error.isAuthentication || error.isReadOnlyOrFull || error.outcomeUnknown {
      return StoreOutcome(remaining: indices, failure: error, isUnknown: error.outcomeUnknown)
    }
    guard indices.count > 1 else {
      return StoreOutcome(refused: [(indices[0], "MongoDB refused the document: \(error)")])
    }
    let half = indices.count / 2
    var outcome = insert(documents, Array(indices[..<half]))
    let second = insert(documents, Array(indices[half...]))
    outcome.refused += second.refused
    outcome.remaining += second.remaining
    outcome.failure = outcome.failure ?? second.failure
    outcome.isUnknown = outcome.isUnknown || second.isUnknown
    return outcome
  }

  /// Brings the collection `devices` up to date with some devices, or the first of them: as many as make a command that leaves
  /// little behind in memory. One whose document the database refuses (with too many sensors) stays as it was.
  /// - Parameters:
  ///   - portion: how many it may be the next time.
  ///   - updates: memory for the statements; its content is overwritten.
  /// - Returns: which devices these were, and what the database refused.
  func update(
    _ devices: borrowing DeviceStates, _ numbers: Range<Int>, _ portion: inout Portion, _ updates: inout BSONBatch
  ) throws(MongoError) -> (Range<Int>, [WriteError]) {
    updates.removeAll(keepingCapacity: updates.byteCount <= 2 * Self.updateBytes)
    let numbers = devices.append(numbers, to: &updates, upTo: Self.updateBytes)
    let start = Clock.monotonic()
    do throws(MongoError) {
      let errors = try pool.withClient { (client) throws(MongoError) in
        let errors = try client.bulkUpdate(database, DatabaseSchema.devices, updates).errors
        // Of two sinks that make a device at once one is refused, and finds it there the next time.
        guard errors.contains(where: \.isDuplicateKey) else { return errors }
        return try client.bulkUpdate(database, DatabaseSchema.devices, updates).errors
      }
      if let error = errors.first(where: { !$0.isRefusal || $0.isDuplicateKey }) { throw error.error }
      portion.answered(numbers.count, after: Clock.monotonic() - start)
      return (numbers, errors)
    } catch {
      if error.outcomeUnknown { portion.failed(numbers.count) }
      guard error.isOfContent, numbers.count == 1 else { throw error }
      return (numbers, [WriteError(index: 0, code: error.code, message: error.message)])
    }
  }
}
