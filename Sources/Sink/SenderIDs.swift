import MongoDB
import Operations
import Readings

/// Senders' own ids, in the collection `seen`: a reading whose id was seen before within the window is a repeat.
///
/// Readings without an id cost nothing here.
struct SenderIDs: Sendable {
  private let pool: MongoPool
  private let database: String

  init(pool: MongoPool, database: String) {
    self.pool = pool
    self.database = database
  }

  /// Notes the ids of a batch.
  ///
  /// An entry holds the partition and offset that brought the id: after a crash between this and the storing of the
  /// readings, an id seen by the same offset is no repeat. Doing it again therefore changes nothing.
  /// - Returns: the indices of the repeats.
  func note(_ batch: SinkBatch, among indices: [Int]) throws(MongoError) -> [Int] {
    let identified = indices.filter { !batch.readings.readings[$0].id.isEmpty }
    if identified.isEmpty { return [] }
    let now = Clock.nowMilliseconds()
    var entries = BSONBatch()
    for index in identified {
      let origin = batch.origins[index]
      entries.append { entry in
        entry.appendString("_id", Self.key(batch, index))
        entry.append("p", origin.partition)
        entry.append("o", origin.offset)
        entry.appendDate("at", milliseconds: now)
      }
    }
    let result = try pool.withClient { (client) throws(MongoError) in
      try client.insertMany(database, DatabaseSchema.seen, entries)
    }
    if let error = result.writeConcernError { throw error }
    if let error = result.errors.first(where: { !$0.isDuplicateKey }) { throw error.error }
    let known = result.errors.map { identified[$0.index] }
    if known.isEmpty { return [] }
    let firsts = try firsts(of: known.map { Self.key(batch, $0) })
    return known.filter { index in
      // One that has expired since is no repeat either.
      guard let first = firsts[Self.key(batch, index)] else { return false }
      let origin = batch.origins[index]
      return first != Place(partition: origin.partition, offset: origin.offset)
    }
  }

  /// Takes back what was noted for some readings of a batch. What another offset noted stays.
  func forget(_ batch: SinkBatch, _ indices: [Int]) throws(MongoError) {
    for index in indices where !batch.readings.readings[index].id.isEmpty {
      let origin = batch.origins[index]
      _ = try pool.withClient { (client) throws(MongoError) in
        try client.deleteMany(
          database, DatabaseSchema.seen,
          filter: [
            "_id": .string(Self.key(batch, index)), "p": .int32(origin.partition), "o": .int64(origin.offset),
          ])
      }
    }
  }

  private struct Place: Equatable {
    let partition: Int32
    let offset: Int64
  }

  private func firsts(of keys: [String]) throws(MongoError) -> [String: Place] {
    var firsts: [String: Place] = [:]
    try pool.withClient { (client) throws(MongoError) in
      try client.find(
        database, DatabaseSchema.seen, filter: ["_id": ["$in": .array(keys.map { .string($0) })]], options: [:]
      ) { entry in
        if let key = entry["_id"]?.string, let partition = entry["p"]?.int, let offset = entry["o"]?.int {
          firsts[key] = Place(partition: Int32(truncatingIfNeeded: partition), offset: offset)
        }
      }
    }
    return firsts
  }

  /// Device and id; neither has a line break.
  private static func key(_ batch: SinkBatch, _ index: Int) -> String {
    let reading = batch.readings.readings[index]
    return String(decoding: batch.readings[reading.device], as: UTF8.self) + "\n"
      + String(decoding: batch.readings[reading.id], as: UTF8.self)
  }
}
