import MongoDB

/// The ledger in the database: what `LedgerEntry` says, carried out on the collection `ledger`, and the copies of
/// readings that it is about.
struct LedgerStore: Sendable {
  /// A stored reading: where it came from, whose it is, and the hour since 1970 in which it was measured.
  typealias Copy = (offset: Int64, epoch: Int32, device: String, hour: Int64)

  private let pool: MongoPool
  /// For looking through the readings of a claim.
  private let recoveryPool: MongoPool
  private let database: String
  private let topic: String

  /// - Parameter recoveryPool: with a timeout that leaves time to look through many readings.
  init(pool: MongoPool, recoveryPool: MongoPool, database: String, topic: String) {
    self.pool = pool
    self.recoveryPool = recoveryPool
    self.database = database
    self.topic = topic
  }

  /// Takes a partition.
  /// - Returns: its entry then; nil when it is another epoch's than `known`.
  func take(_ partition: Int32, over known: Int32?) throws(MongoError) -> LedgerEntry? {
    var filter: BSONDocument = ["_id": id(partition)]
    if let known { filter = ["_id": id(partition), "epoch": .int32(known)] }
    let document = try pool.withClient { (client) throws(MongoError) in
      try client.findAndModify(
        database, DatabaseSchema.ledger, filter: filter,
        update: ["$inc": ["epoch": 1], "$setOnInsert": ["claims": []], "$currentDate": ["taken": true]],
        options: ["new": true, "upsert": .bool(known == nil)])
    }
    return document.map(Self.entry)
  }

  /// The entries of some partitions; those that have none are left out.
  func entries(_ partitions: [Int32]) throws(MongoError) -> [Int32: LedgerEntry] {
    var entries: [Int32: LedgerEntry] = [:]
    let names = Dictionary(uniqueKeysWithValues: partitions.map { (name($0), $0) })
    try pool.withClient { (client) throws(MongoError) in
      try client.find(
        database, DatabaseSchema.ledger, filter: ["_id": ["$in": .array(partitions.map(id))]], options: [:]
      ) { document in
        if let name = document["_id"]?.string, let partition = names[name] { entries[partition] = Self.entry(document) }
      }
    }
    return entries
  }

  /// Has a partition begin at another offset, under a new epoch.
  /// - Parameter epoch: the one that it has; nothing is changed when it is another by now.
  func rewind(_ partition: Int32, from epoch: Int32, to next: Int64) throws(MongoError) {
    _ = try pool.withClient { (client) throws(MongoError) in
      try client.updateOne(
        database, DatabaseSchema.ledger, filter: ["_id": id(partition), "epoch": .int32(epoch)],
        update: ["$inc": ["epoch": 1], "$set": ["next": .int64(next), "claims": []]])
    }
  }

  /// Records changes of several partitions.
  /// - Returns: the partitions whose change was refused.
  func record(_ changes: [Int32: LedgerChange]) throws(MongoError) -> Set<Int32> {
    if changes.isEmpty { return [] }
    var statements = BSONBatch()
    for (partition, change) in changes {
      var set: [(String, BSONValue)] = []
      if let progress = change.progress {
        set.append(("next", .int64(progress.next)))
        set.append(("streams", ["$literal": .array(progress.seen.streams.map(Self.value))]))
      }
      // A pipeline: operators could not take a claim out of the array and put one in at once.
      let others: BSONValue = [
        "$filter": ["input": "$claims", "cond": ["$ne": ["$$this.epoch", .int32(change.epoch)]]]
      ]
      let added: [BSONValue] = change.claim.map { [["$literal": .document(Self.document($0))]] } ?? []
      set.append(("claims", ["$concatArrays": [others, .array(added)]]))
      statements.append([
        "q": ["_id": id(partition), "epoch": .int32(change.epoch)], "u": [["$set": .document(BSONDocument(set))]],
      ])
    }
    let result = try pool.withClient { (client) throws(MongoError) in
      try client.bulkUpdate(database, DatabaseSchema.ledger, statements)
    }
    if let error = result.errors.first { throw error.error }
    if result.matched == changes.count { return [] }
    // Which were refused the answer does not say. A change that was made and then taken over counts as refused.
    let entries = try entries(Array(changes.keys))
    return Set(changes.filter { entries[$0.key]?.epoch != $0.value.epoch }.keys)
  }

  /// Says that nothing of a claim is on its way any more.
  func settle(_ claim: LedgerEntry.Claim, of partition: Int32) throws(MongoError) {
    _ = try pool.withClient { (client) throws(MongoError) in
      try client.updateOne(
        database, DatabaseSchema.ledger,
        filter: [
          "_id": id(partition),
          "claims": ["$elemMatch": ["epoch": .int32(claim.epoch), "from": .int64(claim.from)]],
        ], update: ["$set": ["claims.$.settled": true]])
    }
  }

  /// Forgets a claim of an earlier epoch.
  /// - Returns: false when `epoch` is no longer the partition's.
  func close(_ claim: LedgerEntry.Claim, of partition: Int32, under epoch: Int32) throws(MongoError) -> Bool {
    try pool.withClient { (client) throws(MongoError) in
      try client.updateOne(
        database, DatabaseSchema.ledger, filter: ["_id": id(partition), "epoch": .int32(epoch)],
        update: ["$pull": ["claims": ["epoch": .int32(claim.epoch), "from": .int64(claim.from)]]]
      ).matched > 0
    }
  }

  /// The copies of claims' readings that are stored, by partition, all with one look through the collection.
  func copies(of claims: [Int32: [LedgerEntry.Claim]]) throws(MongoError) -> [Int32: [Copy]] {
    var branches: [BSONValue] = []
    var earliest = Int64.max
    var latest = Int64.min
    for (partition, claims) in claims {
      for claim in claims {
        branches.append(.document(filter(claim, partition)))
        earliest = min(earliest, claim.tsMin)
        latest = max(latest, claim.tsMax)
      }
    }
    var copies: [Int32: [Copy]] = [:]
    if branches.isEmpty { return copies }
    try recoveryPool.withClient { (client) throws(MongoError) in
      try client.find(
        database, DatabaseSchema.readings,
        filter: [
          // True of every reading: with it the database can use the index on `ts`, which is a partial one.
          "meta.device": ["$gt": ""], "ts": ["$gte": .date(earliest), "$lte": .date(latest)],
          "$or": .array(branches),
        ], options: ["projection": ["_id": 0, "k": 1, "meta.device": 1, "ts": 1]]
      ) { document in
        if let origin = document["k"]?.document, let partition = origin["p"]?.int, let offset = origin["o"]?.int,
          let epoch = origin["e"]?.int, let device = document["meta"]?.document?["device"]?.string,
          let ts = document["ts"]?.date
        {
          copies[Int32(truncatingIfNeeded: partition), default: []].append(
            (offset, Int32(truncatingIfNeeded: epoch), device, ts / SummaryPlan.hour))
        }
      }
    }
    return copies
  }

  /// Deletes surplus copies.
  /// - Returns: how many there were.
  func delete(
    _ surplus: [Int32: [Int64]], of claim: LedgerEntry.Claim, in partition: Int32
  ) throws(MongoError) -> Int {
    var count = 0
    for (epoch, offsets) in surplus {
      count += try recoveryPool.withClient { (client) throws(MongoError) in
        try client.deleteMany(
          database, DatabaseSchema.readings,
          filter: BSONDocument(
            filter(claim, partition).filter { $0.key != "k.o" }.map { ($0.key, $0.value) }
              + [
                ("meta.device", ["$gt": ""]), ("k.e", .int32(epoch)),
                ("k.o", ["$in": .array(offsets.map { .int64($0) })]),
              ]))
      }
    }
    return count
  }

  /// Has the hours of some readings summarised again, as when readings come (`DeviceStates`).
  func mark(_ copies: [Copy]) throws(MongoError) {
    var due: [String: Set<Int64>] = [:]
    for copy in copies { due[copy.device, default: []].insert(copy.hour) }
    if due.isEmpty { return }
    let mark = Int64.random(in: 1...Int64.max)
    var statements = BSONBatch()
    for (device, hours) in due {
      statements.appendUpdate(
        filter: ["_id": .string(device)],
        update: ["$set": .document(BSONDocument(hours.map { ("due.h\($0)", .int64(mark)) }))], upsert: false)
    }
    let result = try pool.withClient { (client) throws(MongoError) in
      try client.bulkUpdate(database, DatabaseSchema.devices, statements)
    }
    // A device whose document is full cannot be marked, and must not keep the claim open.
    if let error = result.errors.first(where: { !$0.isRefusal }) { throw error.error }
  }

  /// Bounded by the times of the claim's readings. An index on `k.p` and `k.o` would make this exact, and costs more than
  /// a tenth of the inserts' speed, for something that is asked after a crash.
  private func filter(_ claim: LedgerEntry.Claim, _ partition: Int32) -> BSONDocument {
    [
      "k.p": .int32(partition), "k.o": ["$gte": .int64(claim.from), "$lt": .int64(claim.to)],
      "ts": ["$gte": .date(claim.tsMin), "$lte": .date(claim.tsMax)],
    ]
  }

  private func name(_ partition: Int32) -> String { "\(topic):\(partition)" }
  private func id(_ partition: Int32) -> BSONValue { .string(name(partition)) }

  private static func document(_ claim: LedgerEntry.Claim) -> BSONDocument {
    [
      "epoch": .int32(claim.epoch), "from": .int64(claim.from), "to": .int64(claim.to), "tsMin": .date(claim.tsMin),
      "tsMax": .date(claim.tsMax), "settled": .bool(claim.isSettled),
    ]
  }

  private static func value(_ stream: SeenSequences.Stream) -> BSONValue {
    let ends = stream.ranges.flatMap { [$0.lowerBound, $0.upperBound] }
    return [
      "id": .int64(Int64(bitPattern: stream.id)), "at": .date(stream.at),
      "ranges": .array(ends.map { .int64(Int64(bitPattern: $0)) }),
    ]
  }

  private static func stream(_ value: BSONValue) -> SeenSequences.Stream? {
    guard let stream = value.document, let id = stream["id"]?.int, let at = stream["at"]?.date else { return nil }
    let ends = (stream["ranges"]?.array ?? []).compactMap { $0.int.map { UInt64(bitPattern: $0) } }
    let ranges = stride(from: 0, to: ends.count - 1, by: 2).compactMap { index in
      ends[index] <= ends[index + 1] ? ends[index]...ends[index + 1] : nil
    }
    return ranges.isEmpty ? nil : SeenSequences.Stream(id: UInt64(bitPattern: id), ranges: ranges, at: at)
  }

  private static func entry(_ document: BSONDocument) -> LedgerEntry {
    LedgerEntry(
      epoch: Int32(truncatingIfNeeded: document["epoch"]?.int ?? 0), next: document["next"]?.int,
      seen: SeenSequences((document["streams"]?.array ?? []).compactMap(stream)),
      claims: (document["claims"]?.array ?? []).compactMap { value in
        guard let claim = value.document, let epoch = claim["epoch"]?.int, let from = claim["from"]?.int,
          let to = claim["to"]?.int, let tsMin = claim["tsMin"]?.date, let tsMax = claim["tsMax"]?.date
        else { return nil }
        return LedgerEntry.Claim(
          epoch: Int32(truncatingIfNeeded: epoch), from: from, to: to, tsMin: tsMin, tsMax: tsMax,
          isSettled: claim["settled"]?.bool ?? false)
      })
  }
}
