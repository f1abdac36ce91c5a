import MongoDB
import Operations
import Sink

extension DevCommand {
  /// Where the ledger's collection keeps what the last run of the embedded Kafka added to its offsets.
  private static let name = "sluice dev: added to offsets"
  /// No run has as many messages, and as many runs with the clock set back fit into the integers that a double holds.
  private static let runLength: Int64 = 1_000_000_000_000

  /// What to add to the offsets of the embedded Kafka, which counts from zero again at every start, so that the database
  /// does not take its messages for those of an earlier run.
  ///
  /// A thousand for each millisecond of the calendar, for no partition gets more; the database remembers it, for the case
  /// that the clock is set back.
  static func offsetBase(_ settings: Settings) throws(CommandError) -> Int64 {
    let database = settings.string(.mongodbDatabase)
    let pool = try Service.pool(settings, size: 1)
    defer { pool.close() }
    do {
      return try pool.withClient { (client) throws(MongoError) in
        let filter: BSONDocument = ["_id": .string(name)]
        let last = try client.findOne(database, DatabaseSchema.ledger, filter: filter)?["base"]?.int
        let base = max(Clock.nowMilliseconds() * 1_000, last.map { $0 + runLength } ?? 0)
        _ = try client.updateOne(
          database, DatabaseSchema.ledger, filter: filter, update: ["$set": ["base": .int64(base)]], upsert: true)
        return base
      }
    } catch {
      throw .failed("SLUICE_MONGODB_URI (\(pool.servers)): \(error)")
    }
  }
}
