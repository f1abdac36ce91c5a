import MongoDB
import TestServers
import Testing

@Suite(.enabled(if: MongoServer.isAvailable, "needs the MongoDB server"))
struct WriteTests {
  @Test func insertsManyAndNamesThoseThatFail() throws {
    let database = try Database()
    #expect(try database.insert("c", [["_id": 7]]) == InsertResult(inserted: 1))
    let documents: [BSONDocument] = (0..<10).map { ["_id": .int32($0), "n": .int32($0)] } + [["_id": 3], ["n": 1]]
    let result = try database.insert("c", documents)
    #expect(result.inserted == 10)
    #expect(result.errors.map(\.index) == [7, 10])
    #expect(result.errors.allSatisfy { $0.isDuplicateKey && $0.isRefusal && $0.code == 11000 && !$0.message.isEmpty })
    #expect(try database.count("c") == 11)
  }

  @Test func anOrderedInsertStopsAtTheFirstThatFails() throws {
    let database = try Database()
    var batch = BSONBatch()
    for id: Int32 in [1, 2, 1, 3] { batch.append { $0.append("_id", id) } }
    let result = try database.pool.withClient { client throws(MongoError) in
      try client.insertMany(database.name, "c", batch, ordered: true)
    }
    #expect(result.inserted == 2)
    #expect(result.errors.map(\.index) == [2])
    #expect(try database.count("c") == 2)
  }

  @Test func insertsAChoiceOfABatch() throws {
    let database = try Database()
    var batch = BSONBatch()
    for id: Int32 in 0..<10 { batch.append { $0.append("_id", id / 2) } }
    let result = try database.pool.withClient { client throws(MongoError) in
      try client.insertMany(database.name, "c", batch, indices: [2, 3, 5, 8])
    }
    #expect(result.inserted == 3)
    #expect(result.errors.map(\.index) == [3])
    let nothing = try database.pool.withClient { client throws(MongoError) in
      try client.insertMany(database.name, "c", batch, indices: [])
    }
    #expect(nothing == InsertResult(inserted: 0))
  }

  @Test func aDocumentThatIsTooLargeStopsNoOther() throws {
    let database = try Database()
    let large = String(repeating: "x", count: MongoClient.largestDocument)
    var batch = BSONBatch()
    batch.append { $0.append("_id", Int32(0)) }
    batch.append { $0.appendString("large", large) }
    batch.append { $0.append("_id", Int32(0)) }
    batch.append { $0.append("_id", Int32(3)) }
    for ordered in [false, true] {
      let result = try database.pool.withClient { client throws(MongoError) in
        try client.insertMany(database.name, ordered ? "o" : "u", batch, ordered: ordered)
      }
      #expect(result.inserted == (ordered ? 1 : 2))
      #expect(result.errors.map(\.index) == (ordered ? [1] : [1, 2]))
      #expect(result.errors[0].code == 10334 && result.errors[0].isRefusal && !result.errors[0].isDuplicateKey)
    }
  }

  @Test func moreThanOneMessage() throws {
    let database = try Database()
    // 60 MB: libmongoc sends at most 48 MB at once.
    let text = String(repeating: "x", count: 12 << 20)
    let documents: [BSONDocument] = (0..<6).map {
      ["_id": .int32($0 == 5 ? 1 : $0), "t": $0 < 5 ? .string(text) : "small"]
    }
    let result = try database.insert("c", documents)
    #expect(result.inserted == 5)
    #expect(result.errors.map(\.index) == [5])
  }

  @Test func timeSeries() throws {
    let database = try Database()
    let name = database.name
    try database.pool.withClient { client throws(MongoError) in
      let options: BSONDocument = [
        "timeseries": ["timeField": "ts", "metaField": "meta"], "expireAfterSeconds": 7_776_000,
      ]
      #expect(try client.createCollection(name, "readings", options: options))
      #expect(try !client.createCollection(name, "readings", options: options))
      let indexes: [BSONDocument] = [["key": ["meta.device": 1, "ts": -1]], ["key": ["k.p": 1], "name": "place"]]
      try client.createIndexes(name, "readings", indexes)
      try client.createIndexes(name, "readings", indexes)
      #expect(
        Set(try client.listIndexes(name, "readings").compactMap { $0["name"]?.string })
          .isSuperset(of: ["meta.device_1_ts_-1", "place"]))
      #expect(try client.listIndexes(name, "nowhere").isEmpty)
      let found = try client.listCollections(name, filter: ["name": "readings"])
      #expect(found.count == 1 && found[0]["type"] == "timeseries")
    }

    var batch = BSONBatch()
    for offset: Int64 in 0..<5_000 {
      batch.append { writer in
        // Without a time a document cannot be stored here.
        if offset != 4_321 { writer.appendDate("ts", milliseconds: 1_700_000_000_000 + offset * 1_000) }
        writer.beginDocument("meta")
        writer.appendString("device", "d\(offset % 10)")
        writer.endDocument()
        writer.append("value", Double(offset))
        writer.beginDocument("k")
        writer.append("p", Int32(2))
        writer.append("o", offset)
        writer.endDocument()
      }
    }
    let full = batch
    let result = try database.pool.withClient { client throws(MongoError) in
      try client.insertMany(name, "readings", full)
    }
    #expect(result.inserted == 4_999)
    #expect(result.errors.map(\.index) == [4_321])
    #expect(result.errors.allSatisfy { $0.isRefusal && !$0.isDuplicateKey })
    #expect(try database.count("readings", ["meta.device": "d1"]) == 499)

    var offsets: [Int64] = []
    try database.pool.withClient { client throws(MongoError) in
      try client.find(
        name, "readings", filter: ["k.p": 2, "k.o": ["$gte": .int64(4_990)]],
        options: ["sort": ["k.o": 1], "projection": ["k": 1, "_id": 0]]
      ) { document throws(MongoError) in
        offsets.append(document["k"]?.document?["o"]?.int ?? -1)
      }
    }
    #expect(offsets == Array(4_990..<5_000))
  }

  @Test func updates() throws {
    let database = try Database()
    let name = database.name
    try database.pool.withClient { client throws(MongoError) in
      let new = try client.updateOne(name, "c", filter: ["_id": 1], update: ["$set": ["n": 1]], upsert: true)
      #expect(new == UpdateResult(matched: 0, modified: 0, upserted: true))
      let same = try client.updateOne(name, "c", filter: ["_id": 1], update: ["$set": ["n": 1]], upsert: true)
      #expect(same == UpdateResult(matched: 1, modified: 0, upserted: false))
      let changed = try client.updateOne(name, "c", filter: ["_id": 1, "n": 1], update: ["$inc": ["n": 1]])
      #expect(changed == UpdateResult(matched: 1, modified: 1, upserted: false))
      let missed = try client.updateOne(name, "c", filter: ["_id": 1, "n": 1], update: ["$inc": ["n": 1]])
      #expect(missed == UpdateResult(matched: 0, modified: 0, upserted: false))
      let computed = try client.updateOne(
        name, "c", filter: ["_id": 1], pipeline: [["$set": ["n": ["$max": ["$n", 40]]]]])
      #expect(computed.modified == 1)
      #expect(try client.findOne(name, "c", filter: ["_id": 1]) == ["_id": 1, "n": 40])

      _ = try client.updateOne(name, "c", filter: ["_id": 2], update: ["$set": ["n": 5]], upsert: true)
      let all = try client.updateMany(name, "c", filter: [:], update: ["$set": ["seen": true]])
      #expect(all == UpdateResult(matched: 2, modified: 2, upserted: false))

      let before = try client.findAndModify(name, "c", filter: ["_id": 1], update: ["$set": ["n": 41]])
      #expect(before?["n"] == 40)
      let after = try client.findAndModify(
        name, "c", filter: ["_id": 3], update: ["$set": ["n": 3]], options: ["upsert": true, "new": true])
      #expect(after == ["_id": 3, "n": 3])
      #expect(try client.findAndModify(name, "c", filter: ["_id": 99], update: ["$set": ["n": 3]]) == nil)

      #expect(try client.findOne(name, "c", filter: ["_id": 99]) == nil)
      #expect(try client.findOne(name, "c", options: ["sort": ["n": -1], "limit": 5])?["_id"] == 1)
      var sums: [BSONDocument] = []
      try client.aggregate(name, "c", pipeline: [["$group": ["_id": nil, "sum": ["$sum": "$n"]]]]) {
        document throws(MongoError) in sums.append(document)
      }
      #expect(sums.count == 1 && sums[0]["sum"]?.int == 49)

      #expect(try client.deleteMany(name, "c", filter: ["n": ["$gt": 4]]) == 2)
      #expect(try client.deleteMany(name, "c", filter: ["n": ["$gt": 4]]) == 0)
      #expect(try client.count(name, "c") == 1)
    }
  }

  @Test func bulkUpdatesKeepTheirIndices() throws {
    let database = try Database()
    let name = database.name
    var statements = BSONBatch()
    // More than one message holds: 10,000 statements at most.
    for device: Int32 in 0..<10_050 {
      let bad = device == 5 || device == 10_020
      statements.appendUpdate(
        filter: ["_id": .int32(device)], update: bad ? ["$nonsense": ["n": 1]] : ["$set": ["n": .int32(device)]],
        upsert: true)
    }
    let full = statements
    let first = try database.pool.withClient { client throws(MongoError) in try client.bulkUpdate(name, "c", full) }
    #expect(first.upserted == 10_048 && first.matched == 0)
    #expect(first.errors.map(\.index) == [5, 10_020])
    #expect(first.errors.allSatisfy { !$0.isDuplicateKey && !$0.message.isEmpty })
    let again = try database.pool.withClient { client throws(MongoError) in try client.bulkUpdate(name, "c", full) }
    #expect(again.upserted == 0 && again.matched == 10_048 && again.modified == 0)
    #expect(try database.count("c") == 10_048)
    let ordered = try database.pool.withClient { client throws(MongoError) in
      try client.bulkUpdate(name, "o", full, ordered: true)
    }
    #expect(ordered.upserted == 5 && ordered.errors.map(\.index) == [5])
    let none = try database.pool.withClient { client throws(MongoError) in
      try client.bulkUpdate(name, "o", BSONBatch())
    }
    #expect(none == BulkUpdateResult())
  }

  @Test func aWriteConcernThatCannotBeMet() throws {
    // The server is one node of one.
    let database = try Database(MongoServer.shared().uri + "&w=7&wtimeoutMS=200")
    let result = try database.insert("c", [["_id": 1], ["_id": 1]])
    #expect(result.inserted == 1 && result.errors.map(\.index) == [1])
    #expect(result.writeConcernError?.domain == .writeConcern && result.writeConcernError?.isRetriable == true)
    let error = try #require(
      database.failure { client throws(MongoError) in
        _ = try client.updateOne(database.name, "c", filter: ["_id": 1], update: ["$set": ["n": 1]])
      })
    #expect(error.domain == .writeConcern && error.outcomeUnknown && !error.isNetwork)
    #expect(try database.count("c", ["n": 1]) == 1)
  }

  @Test func errorsOfCommandsAreThrown() throws {
    let database = try Database()
    let unknown = try #require(
      database.failure { client throws(MongoError) in
        _ = try client.command("admin", ["noSuchCommand": 1])
      })
    #expect(unknown.domain == .server && unknown.code == 59 && !unknown.isRetriable && !unknown.outcomeUnknown)
    let update = try #require(
      database.failure { client throws(MongoError) in
        _ = try client.updateOne(database.name, "c", filter: [:], update: ["$nonsense": ["n": 1]])
      })
    #expect(update.domain == .server && !update.isRetriable)
    let find = try #require(
      database.failure { client throws(MongoError) in
        try client.find(database.name, "c", filter: ["n": ["$nonsense": 1]]) { _ throws(MongoError) in }
      })
    #expect(find.domain == .server && !find.isNetwork)
    let option = try #require(
      database.failure { client throws(MongoError) in
        try client.find(database.name, "c", options: ["limit": "five"]) { _ throws(MongoError) in }
      })
    #expect(!option.isNetwork && !option.outcomeUnknown || option.domain == .server)
    let count = try #require(
      database.failure { client throws(MongoError) in
        _ = try client.count(database.name, "c", filter: ["n": ["$nonsense": 1]])
      })
    #expect(count.domain == .server)
    let insert = try #require(
      database.failure { client throws(MongoError) in
        var batch = BSONBatch()
        batch.append(["a": 1])
        _ = try client.insertMany(database.name, "bad$name\u{7}..", batch)
      })
    #expect(!insert.isNetwork)
  }

  @Test func whatIsReadMayEndTheReading() throws {
    let database = try Database()
    _ = try database.insert("c", (0..<300).map { ["_id": .int32($0)] })
    var seen = 0
    let stop = MongoError(.client, code: 42, message: "enough")
    let error = database.failure { client throws(MongoError) in
      try client.find(database.name, "c", options: ["batchSize": 10]) { _ throws(MongoError) in
        seen += 1
        if seen == 25 { throw stop }
      }
    }
    #expect(error == stop && seen == 25)
    // The same client can be asked within the reading.
    seen = 0
    try database.pool.withClient { client throws(MongoError) in
      try client.find(database.name, "c", options: ["batchSize": 100]) { _ throws(MongoError) in
        if seen % 100 == 0 { #expect(try client.count(database.name, "c") == 300) }
        seen += 1
      }
    }
    #expect(seen == 300)
  }

  @Test func tellsItsVersion() throws {
    let database = try Database()
    let version = try database.pool.withClient { client throws(MongoError) in
      try client.ping()
      return try client.serverVersion()
    }
    #expect(version.major >= 5)
  }
}
