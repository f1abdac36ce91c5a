import CMongoC

extension MongoClient {
  /// Updates the first document that matches.
  ///
  /// - Parameters:
  ///   - update: operators (`$set`, …) or a whole new document.
  ///   - upsert: make a document if none matches. Two that do so at once may both make one, or one may fail as a duplicate
  ///     key: `isDuplicateKey`, and repeating it then updates.
  package func updateOne(
    _ database: String, _ collection: String, filter: BSONDocument, update: BSONDocument, upsert: Bool = false
  ) throws(MongoError) -> UpdateResult {
    try self.update(
      database, collection, ["q": .document(filter), "u": .document(update), "upsert": .bool(upsert)])
  }

  /// Updates the first document that matches by an aggregation pipeline, which can refer to the document as it is.
  package func updateOne(
    _ database: String, _ collection: String, filter: BSONDocument, pipeline: [BSONDocument], upsert: Bool = false
  ) throws(MongoError) -> UpdateResult {
    let stages = BSONValue.array(pipeline.map { .document($0) })
    return try update(database, collection, ["q": .document(filter), "u": stages, "upsert": .bool(upsert)])
  }

  /// Updates every document that matches, by operators.
  package func updateMany(
    _ database: String, _ collection: String, filter: BSONDocument, update: BSONDocument, upsert: Bool = false
  ) throws(MongoError) -> UpdateResult {
    try self.update(
      database, collection,
      ["q": .document(filter), "u": .document(update), "upsert": .bool(upsert), "multi": true])
  }

  private func update(
    _ database: String, _ collection: String, _ statement: BSONDocument
  ) throws(MongoError) -> UpdateResult {
    let reply = try write(database, ["update": .string(collection), "updates": [.document(statement)]])
    if let error = reply.writeErrors.first { throw error.error }
    let counts = BulkUpdateResult(reply)
    return UpdateResult(matched: counts.matched, modified: counts.modified, upserted: counts.upserted > 0)
  }

  /// Carries out many updates in as few messages as may be.
  ///
  /// - Parameter statements: each `{q: filter, u: update or pipeline, upsert: Bool, multi: Bool, …}`, as the server's
  ///   `update` command has them; see `BSONBatch.appendUpdate`.
  /// - Throws: `MongoError` if the server did not answer for every statement. Its `outcomeUnknown` is true also when
  ///   only the earlier messages of several were carried out.
  package func bulkUpdate(
    _ database: String, _ collection: String, _ statements: BSONBatch, ordered: Bool = false
  ) throws(MongoError) -> BulkUpdateResult {
    var total = BulkUpdateResult()
    var first = 0
    while first < statements.count {
      let last = statements.end(of: first, bytes: 8 << 20, count: 10_000)
      do throws(MongoError) {
        let reply = try unsafe workspace.encode { writer in
          writer.appendString("update", collection)
          writer.append("ordered", ordered)
          writer.beginArray("updates")
          unsafe statements.withBytes { bytes in
            for index in first..<last {
              unsafe writer.appendElement(encoded: UnsafeRawBufferPointer(rebasing: bytes[statements.range(of: index)]))
            }
          }
          writer.endArray()
        } lending: {
          unsafe write(database, $0)
        }.get()
        total.add(BulkUpdateResult(reply), from: first)
      } catch {
        var error = error
        if first > 0 { error.outcomeUnknown = true }
        throw error
      }
      if ordered && !total.errors.isEmpty { break }
      first = last
    }
    return total
  }

  /// Deletes every document that matches.
  ///
  /// - Returns: how many there were.
  package func deleteMany(
    _ database: String, _ collection: String, filter: BSONDocument
  ) throws(MongoError) -> Int {
    let reply = try write(
      database,
      ["delete": .string(collection), "deletes": [["q": .document(filter), "limit": 0]]])
    if let error = reply.writeErrors.first { throw error.error }
    return Int(reply["n"]?.int ?? 0)
  }

  /// Changes one document and reads it, in one step that no other write can come between.
  ///
  /// - Parameter options: `new` (answer with the changed document), `upsert`, `sort`, `fields`, …
  /// - Returns: the document as it was, or with `new` as it is; nil if none matched, or was made without `new`.
  package func findAndModify(
    _ database: String, _ collection: String, filter: BSONDocument, update: BSONDocument, options: BSONDocument = [:]
  ) throws(MongoError) -> BSONDocument? {
    let command = BSONDocument(
      [("findAndModify", .string(collection)), ("query", .document(filter)), ("update", .document(update))]
        + options.map { ($0.key, $0.value) })
    return try write(database, command)["value"]?.document
  }

  /// Creates a collection, with the options of the server's `create` command.
  ///
  /// - Returns: false if there is one of that name already, whatever its options.
  package func createCollection(
    _ database: String, _ name: String, options: BSONDocument = [:]
  ) throws(MongoError) -> Bool {
    // `create` itself succeeds again when the options are the same.
    if try !listCollections(database, filter: ["name": .string(name)]).isEmpty { return false }
    do throws(MongoError) {
      _ = try write(database, BSONDocument([("create", .string(name))] + options.map { ($0.key, $0.value) }))
      return true
    } catch {
      if error.domain == .server && error.code == 48 { return false }  // NamespaceExists
      throw error
    }
  }

  /// Creates indexes; those that are there already are left as they are.
  ///
  /// On a collection with much data it may take longer than the pool's timeout; the server goes on, and the same call can
  /// be repeated.
  ///
  /// - Parameter indexes: each `{key: …, name: …, expireAfterSeconds: …, …}`; a name is made where there is none.
  package func createIndexes(
    _ database: String, _ collection: String, _ indexes: [BSONDocument]
  ) throws(MongoError) {
    let named = indexes.map { index -> BSONValue in
      if index["name"] != nil { return .document(index) }
      let name = (index["key"]?.document ?? [:]).map { field in
        "\(field.key)_\(field.value.int.map { String($0) } ?? field.value.string ?? "")"
      }
      return .document(
        BSONDocument(index.map { ($0.key, $0.value) } + [("name", .string(name.joined(separator: "_")))]))
    }
    if named.isEmpty { return }
    _ = try write(database, ["createIndexes": .string(collection), "indexes": .array(named)])
  }
}

extension BSONBatch {
  /// Appends a statement for `MongoClient.bulkUpdate`.
  package mutating func appendUpdate(filter: BSONDocument, update: BSONDocument, upsert: Bool) {
    append { writer in
      writer.append("q", filter)
      writer.append("u", update)
      writer.append("upsert", upsert)
    }
  }

  /// How far one message reaches that begins with document `first`: at least one document.
  func end(of first: Int, bytes: Int, count limit: Int) -> Int {
    let start = range(of: first).lowerBound
    var last = first + 1
    while last < count, last - first < limit, range(of: last).upperBound - start <= bytes { last += 1 }
    return last
  }
}

extension BSONDocument {
  /// The statements that a write command answered it did not carry out.
  var writeErrors: [WriteError] { (self["writeErrors"]?.array ?? []).compactMap { WriteError($0) } }
}

extension BulkUpdateResult {
  /// What the `update` command answered. Its `n` counts the upserted among the matched.
  init(_ reply: BSONDocument) {
    upserted = reply["upserted"]?.array?.count ?? 0
    matched = Int(reply["n"]?.int ?? 0) - upserted
    modified = Int(reply["nModified"]?.int ?? 0)
    errors = reply.writeErrors
  }

  /// Adds the result of a later message, whose statements began with number `first`.
  mutating func add(_ other: Self, from first: Int) {
    matched += other.matched
    modified += other.modified
    upserted += other.upserted
    errors += other.errors.map { WriteError(index: $0.index + first, code: $0.code, message: $0.message) }
  }
}
