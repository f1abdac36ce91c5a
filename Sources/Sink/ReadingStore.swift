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
}

/// Writes readings and device states to the database.
final class ReadingStore: Sendable {
  private let pool: MongoPool
  private let database: String
  private let document: ReadingDocument
  private let schema: DatabaseSchema

  init(pool: MongoPool, database: String, topic: String, layout: Layout, retention: Duration) {
    self.pool = pool
    self.database = database
    document = ReadingDocument(layout: layout, topic: topic)
    schema = DatabaseSchema(database: database, layout: layout, retention: retention)
  }

  /// Whether the database answers, and what is wrong with it when it does.
  func check() throws(MongoError) -> String? {
    try pool.withClient { (client) throws(MongoError) in try schema.problem(client) }
  }

  /// Encodes a batch's readings, in their order.
  func encode(_ batch: SinkBatch, epoch: Int32, into documents: inout BSONBatch) {
    documents.removeAll(keepingCapacity: true)
    for (index, reading) in batch.readings.readings.enumerated() {
      document.append(reading, of: batch.readings, from: batch.origins[index], epoch: epoch, to: &documents)
    }
  }

  /// Inserts documents, those of one device and sensor behind one another, which time-series collections store best.
  func insert(_ documents: BSONBatch, _ indices: [Int]) -> StoreOutcome {
    var outcome = StoreOutcome()
    do throws(MongoError) {
      let result = try pool.withClient { (client) throws(MongoError) in
        try client.insertMany(database, DatabaseSchema.readings, documents, indices: indices)
      }
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
      }
    } catch {
      outcome.remaining = indices
      outcome.failure = error
    }
    return outcome
  }

  /// Brings the collection `devices` up to date. A device whose document the database refuses (one with too many sensors)
  /// stays as it was.
  func update(_ devices: borrowing DeviceStates) throws(MongoError) -> [WriteError] {
    let updates = devices.updates()
    return try pool.withClient { (client) throws(MongoError) in
      try client.bulkUpdate(database, DatabaseSchema.devices, updates).errors
    }
  }
}
