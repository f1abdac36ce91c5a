import MongoDB

/// The collection `summaries` in the database: for a device, a sensor and a day (UTC) the documents of `SummarySeries.Kind`.
/// Hours are written from the stored readings, days from the hours, and each replaces what was there: so it does not matter
/// how often it is done.
struct SummaryStore {
  /// How long a turn lasts without being prolonged.
  static let turn: Int64 = 60_000
  /// Documents that are written at once.
  private static let batch = 500

  let pool: MongoPool
  private let database: String
  /// Milliseconds that readings are kept.
  let retention: Int64
  /// How many marks are held at once, and those of one device more: after an import there may be one for each of its hours.
  let marksAtOnce: Int
  /// Tells this process's turns from others'.
  private let owner = Int64.random(in: 1...Int64.max)

  init(pool: MongoPool, schema: DatabaseSchema, marksAtOnce: Int = 500_000) {
    self.pool = pool
    self.marksAtOnce = marksAtOnce
    database = schema.database
    retention = schema.retention * 1_000
  }

  /// Whether it is this process's turn, which begins or is prolonged: one at a time does the work. A turn that ends much
  /// later than one that began now is of a clock that is wrong, and would keep all others off until then.
  func takeTurn(now: Int64) throws(MongoError) -> Bool {
    do throws(MongoError) {
      _ = try pool.withClient { (client) throws(MongoError) in
        try client.updateOne(
          database, DatabaseSchema.summaries,
          filter: [
            "_id": "turn",
            "$or": [
              ["owner": .int64(owner)], ["ends": ["$lt": .date(now)]], ["ends": ["$gt": .date(now + 10 * Self.turn)]],
            ],
          ],
          update: ["$set": ["owner": .int64(owner), "ends": .date(now + Self.turn)]], upsert: true)
      }
      return true
    } catch {
      // Another's, which is why the filter did not find it.
      if error.isDuplicateKey { return false }
      throw error
    }
  }

  /// Devices with something due that were summarised before: of those whose names come after one, the first.
  func due(after name: String = "") throws(MongoError) -> [SummaryPlan.Device] {
    var devices: [SummaryPlan.Device] = []
    var count = 0
    try pool.withClient { (client) throws(MongoError) in
      try client.find(
        database, DatabaseSchema.devices,
        filter: ["_id": ["$gt": .string(name)], "summarized": true, "due": ["$exists": true]],
        options: ["projection": ["due": 1], "sort": ["_id": 1]]
      ) { document in
        guard let name = document["_id"]?.string, let due = document["due"]?.document, !due.isEmpty else { return }
        guard count < marksAtOnce else { return }
        devices.append(SummaryPlan.Device(name: name, due: Self.marks(due)))
        count += devices.last!.size
      }
    }
    return devices
  }

  /// Devices that were never summarised: of those whose names come after one, the first.
  func neverSummarised(after name: String = "") throws(MongoError) -> [SummaryPlan.Device] {
    var devices: [SummaryPlan.Device] = []
    try pool.withClient { (client) throws(MongoError) in
      try client.find(
        database, DatabaseSchema.devices, filter: ["_id": ["$gt": .string(name)], "summarized": ["$ne": true]],
        options: ["projection": ["due": 1, "firstSeen": 1, "lastSeen": 1], "sort": ["_id": 1], "limit": 100]
      ) { document in
        guard let name = document["_id"]?.string, let first = document["firstSeen"]?.date,
          let last = document["lastSeen"]?.date, first <= last
        else { return }
        devices.append(
          SummaryPlan.Device(
            name: name, due: Self.marks(document["due"]?.document ?? [:]),
            backlog: first / SummaryPlan.hour...last / SummaryPlan.hour))
      }
    }
    return devices
  }

  private static func marks(_ due: BSONDocument) -> [Int64: Int64] {
    due.reduce(into: [:]) { marks, field in
      if let hour = Int64(field.key.dropFirst()), let mark = field.value.int { marks[hour] = mark }
    }
  }

  /// Takes the marks away of what was summarised. Hours that changed since they were read keep theirs.
  /// - Parameter mayGoOn: asked before each write; what is left keeps its marks.
  func done(_ devices: [SummaryPlan.Device], while mayGoOn: () throws(MongoError) -> Bool) throws(MongoError) {
    var statements = BSONBatch()
    for device in devices {
      for (hour, mark) in device.due {
        statements.appendUpdate(
          filter: BSONDocument([("_id", .string(device.name)), ("due.h\(hour)", .int64(mark))]),
          update: ["$unset": .document(BSONDocument([("due.h\(hour)", BSONValue.bool(true))]))], upsert: false)
        if statements.count >= Self.batch {
          guard try mayGoOn() else { return }
          try write(&statements, to: DatabaseSchema.devices)
        }
      }
      if device.backlog != nil {
        statements.appendUpdate(
          filter: ["_id": .string(device.name)], update: ["$set": ["summarized": true]], upsert: false)
      }
    }
    guard try mayGoOn() else { return }
    try write(&statements, to: DatabaseSchema.devices)
  }

  /// Reads what a part says, and writes its hours.
  /// - Parameter mayGoOn: asked before each write.
  func summarize(_ part: SummaryPlan.Part, while mayGoOn: () throws(MongoError) -> Bool) throws(MongoError) {
    var match: [(String, BSONValue)] = []
    if case .device(let name, _) = part { match.append(("meta.device", .string(name))) }
    match.append(
      (
        "ts",
        [
          "$gte": .date(part.hours.lowerBound * SummaryPlan.hour),
          "$lt": .date((part.hours.upperBound + 1) * SummaryPlan.hour),
        ]
      ))
    let key: BSONValue = [
      "device": "$meta.device", "sensor": "$meta.sensor", "hour": ["$dateTrunc": ["date": "$ts", "unit": "hour"]],
    ]
    let pipeline: [BSONDocument] = [
      ["$match": .document(BSONDocument(match))],
      ["$group": .document(BSONDocument([("_id", key)] + Summary.accumulators))],
    ]
    try pool.withClient { (client) throws(MongoError) in
      var output = Output()
      try client.aggregate(database, DatabaseSchema.readings, pipeline: pipeline) { row throws(MongoError) in
        guard !output.isOver, let id = row["_id"]?.document, let device = id["device"]?.string,
          let sensor = id["sensor"]?.string, let start = id["hour"]?.date, let summary = Summary(row)
        else { return }
        SummarySeries(device: device, sensor: sensor, day: start / SummaryPlan.hour / SummaryPlan.day)
          .append(summary, hour: start / SummaryPlan.hour % SummaryPlan.day, to: &output.statements)
        if output.statements.count >= Self.batch { try write(&output, with: client, while: mayGoOn) }
      }
      try write(&output, with: client, while: mayGoOn)
    }
  }

  /// Puts a day together from its hours, of one device or of all.
  func putTogether(_ day: SummaryPlan.Day, while mayGoOn: () throws(MongoError) -> Bool) throws(MongoError) {
    let prefix = SummarySeries.prefix(.hours, day: day.number, device: day.device)
    try pool.withClient { (client) throws(MongoError) in
      var output = Output()
      try client.find(
        database, DatabaseSchema.summaries,
        filter: ["_id": ["$gte": .string(prefix + "|"), "$lt": .string(prefix + "}")]]
      ) { document throws(MongoError) in
        guard !output.isOver, let meta = document["meta"]?.document, let device = meta["device"]?.string,
          let sensor = meta["sensor"]?.string
        else { return }
        let hours = (0..<SummaryPlan.day).compactMap {
          document[SummarySeries.slot($0)]?.document.flatMap { Summary($0) }
        }
        SummarySeries(device: device, sensor: sensor, day: day.number).append(day: hours, to: &output.statements)
        if output.statements.count >= Self.batch { try write(&output, with: client, while: mayGoOn) }
      }
      try write(&output, with: client, while: mayGoOn)
    }
  }

  /// What is to be written to `summaries`.
  private struct Output {
    var statements = BSONBatch()
    /// Whether another's turn has come, and nothing may be written any more.
    var isOver = false
  }

  private func write(
    _ output: inout Output, with client: MongoClient, while mayGoOn: () throws(MongoError) -> Bool
  ) throws(MongoError) {
    if !output.isOver { output.isOver = try !mayGoOn() }
    if !output.isOver { try write(&output.statements, with: client, to: DatabaseSchema.summaries) }
  }

  private func write(_ statements: inout BSONBatch, to collection: String) throws(MongoError) {
    if statements.isEmpty { return }
    try pool.withClient { (client) throws(MongoError) in try write(&statements, with: client, to: collection) }
  }

  private func write(
    _ statements: inout BSONBatch, with client: MongoClient, to collection: String
  ) throws(MongoError) {
    if statements.isEmpty { return }
    var errors = try client.bulkUpdate(database, collection, statements).errors
    // Two that make a document at once: one is refused, and comes again.
    if errors.allSatisfy(\.isDuplicateKey), !errors.isEmpty {
      errors = try client.bulkUpdate(database, collection, statements).errors
    }
    if let error = errors.first { throw error.error }
    statements.removeAll()
  }
}
