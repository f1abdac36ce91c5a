package import MongoDB

/// The collections and indexes of the database: what `sluice setup` makes and the sink relies on.
package struct DatabaseSchema: Sendable {
  package static let readings = "readings"
  package static let devices = "devices"
  package static let ledger = "ledger"
  package static let seen = "seen"
  package static let summaries = "summaries"

  package let database: String
  package let layout: Layout
  /// Seconds that a reading is kept.
  let retention: Int64
  /// Seconds that a sender's id is remembered.
  private let deduplicationWindow: Int64

  package init(database: String, layout: Layout, retention: Duration, deduplicationWindow: Duration) {
    self.database = database
    self.layout = layout
    self.retention = max(retention.components.seconds, 1)
    self.deduplicationWindow = max(deduplicationWindow.components.seconds, 1)
  }

  /// Makes what is missing and adapts the expiry; what is there already stays.
  /// - Returns: what was made, in words.
  /// - Throws: also when the collection is there in the other layout.
  package func create(_ client: MongoClient) throws(MongoError) -> [String] {
    var made: [String] = []
    switch layout {
    case .timeseries:
      let options: BSONDocument = [
        "timeseries": ["timeField": "ts", "metaField": "meta", "granularity": "seconds"],
        "expireAfterSeconds": .int64(retention),
      ]
      if try client.createCollection(database, Self.readings, options: options) {
        made.append("time-series collection \(Self.readings)")
      } else if try problem(client) == nil {
        _ = try client.command(
          database, ["collMod": .string(Self.readings), "expireAfterSeconds": .int64(retention)])
      }
    case .documents:
      if try client.createCollection(database, Self.readings) { made.append("collection \(Self.readings)") }
    }
    if let problem = try problem(client) {
      throw MongoError(.client, code: 0, message: problem, outcomeUnknown: false)
    }
    try client.createIndexes(database, Self.readings, indexes)
    made += try expire(client, Self.readings, after: retention, field: "ts", isTimeSeries: layout == .timeseries)
    for name in [Self.devices, Self.ledger, Self.seen, Self.summaries]
    where try client.createCollection(database, name) {
      made.append("collection \(name)")
    }
    made += try expire(client, Self.seen, after: deduplicationWindow, field: "at", isTimeSeries: false)
    try client.createIndexes(
      database, Self.summaries,
      [["key": ["kind": 1, "meta.sensor": 1, "until": 1], "name": "kind_sensor_until"]])
    made += try expire(client, Self.summaries, after: retention, field: "until", isTimeSeries: false)
    return made
  }

  /// What is wrong with the collection that the sink writes to; nil when all is well.
  package func problem(_ client: MongoClient) throws(MongoError) -> String? {
    let found = try client.listCollections(database, filter: ["name": .string(Self.readings)])
    guard let collection = found.first else {
      return "the collection \(database).\(Self.readings) does not exist: sluice setup creates it"
    }
    // Not its type: there are servers that call it a collection.
    let isTimeSeries = collection["options"]?.document?["timeseries"] != nil
    if isTimeSeries == (layout == .timeseries) { return nil }
    return "the collection \(database).\(Self.readings) is \(isTimeSeries ? "" : "not ")a time series, "
      + "which does not fit SLUICE_MONGODB_LAYOUT=\(layout.rawValue)"
  }

  /// The names of the indexes that the sink's collection should have and has not. Without them the sink works, but slows
  /// down as the collection grows.
  package func missingIndexes(_ client: MongoClient) throws(MongoError) -> [String] {
    let found = try client.listIndexes(database, Self.readings).compactMap { $0["name"]?.string }
    return indexes.compactMap { $0["name"]?.string }.filter { !found.contains($0) }
  }

  private var indexes: [BSONDocument] {
    switch layout {
    case .timeseries: [["key": ["meta.device": 1, "ts": -1], "name": "device_ts"]]
    case .documents: [["key": ["meta.device": 1, "meta.sensor": 1, "ts": -1], "name": "device_sensor_ts"]]
    }
  }

  /// The TTL index. On a time series it stands beside the collection's own expiry: it removes single readings rather than
  /// whole buckets, and allows another retention for some devices; servers before MongoDB 7 do not take it.
  private func expire(
    _ client: MongoClient, _ collection: String, after seconds: Int64, field: String, isTimeSeries: Bool
  ) throws(MongoError) -> [String] {
    var index: [(String, BSONValue)] = [
      ("key", .document(BSONDocument([(field, .int32(1))]))), ("name", "expiry"),
      ("expireAfterSeconds", .int64(seconds)),
    ]
    if isTimeSeries { index.append(("partialFilterExpression", ["meta.device": ["$gt": ""]])) }
    do throws(MongoError) {
      try client.createIndexes(database, collection, [BSONDocument(index)])
      return []
    } catch {
      // 85: it is there with another expiry. 67, 72: not on a time series of this server.
      if error.code == 85 {
        _ = try client.command(
          database,
          [
            "collMod": .string(collection),
            "index": ["name": "expiry", "expireAfterSeconds": .int64(seconds)],
          ])
        return ["expiry of \(collection)"]
      }
      if isTimeSeries, error.code == 67 || error.code == 72 { return [] }
      throw error
    }
  }
}
