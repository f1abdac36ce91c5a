import CMongoC

extension MongoClient {
  /// Reads the documents that match, one at a time.
  ///
  /// - Parameters:
  ///   - options: `sort`, `limit`, `skip`, `projection`, `hint`, `batchSize`, `maxTimeMS`, … as libmongoc takes them.
  ///   - each: gets every document; what it throws ends the reading.
  package func find(
    _ database: String, _ collection: String, filter: BSONDocument = [:], options: BSONDocument = [:],
    _ each: (BSONDocument) throws(MongoError) -> Void
  ) throws(MongoError) {
    try unsafe withCollection(database, collection) { handle throws(MongoError) in
      let cursor = try unsafe withViews(filter, options) { filter, options in
        unsafe mongoc_collection_find_with_opts(handle, filter, options, nil)
      }
      try unsafe drain(cursor, each)
    }
  }

  /// Reads the first document that matches; nil if none does.
  package func findOne(
    _ database: String, _ collection: String, filter: BSONDocument = [:], options: BSONDocument = [:]
  ) throws(MongoError) -> BSONDocument? {
    var first: BSONDocument?
    let limited = BSONDocument(options.map { ($0.key, $0.value) }.filter { $0.0 != "limit" } + [("limit", 1)])
    try find(database, collection, filter: filter, options: limited) { document throws(MongoError) in
      first = first ?? document
    }
    return first
  }

  /// Runs an aggregation and reads what it gives, one document at a time.
  ///
  /// - Parameter options: `allowDiskUse`, `batchSize`, `hint`, `maxTimeMS`, …
  package func aggregate(
    _ database: String, _ collection: String, pipeline: [BSONDocument], options: BSONDocument = [:],
    _ each: (BSONDocument) throws(MongoError) -> Void
  ) throws(MongoError) {
    let stages: BSONDocument = ["pipeline": .array(pipeline.map { .document($0) })]
    try unsafe withCollection(database, collection) { handle throws(MongoError) in
      let cursor = try unsafe withViews(stages, options) { stages, options in
        unsafe mongoc_collection_aggregate(handle, MONGOC_QUERY_NONE, stages, options, nil)
      }
      try unsafe drain(cursor, each)
    }
  }

  /// Counts the documents that match, by looking at them.
  package func count(
    _ database: String, _ collection: String, filter: BSONDocument = [:], options: BSONDocument = [:]
  ) throws(MongoError) -> Int {
    _ = try unsafe handle
    let reply = unsafe workspace.block.slot(3)
    var error = bson_error_t()
    unsafe sluice_bson_empty(reply)
    defer { unsafe bson_destroy(reply) }
    let count = try unsafe withCollection(database, collection) { handle throws(MongoError) in
      try unsafe withViews(filter, options) { filter, options in
        unsafe mongoc_collection_count_documents(handle, filter, options, nil, reply, &error)
      }
    }
    if count < 0 { throw unsafe MongoError(error, reply: BSONDocument(copying: reply)) }
    return Int(count)
  }

  /// The database's collections with their options, as `listCollections` describes them.
  package func listCollections(
    _ database: String, filter: BSONDocument = [:]
  ) throws(MongoError) -> [BSONDocument] {
    var found: [BSONDocument] = []
    guard let handle = unsafe mongoc_client_get_database(try handle, database) else { throw .closed }
    defer { unsafe mongoc_database_destroy(handle) }
    let options: BSONDocument = ["filter": .document(filter)]
    let cursor = try unsafe withViews(options, [:]) { options, _ in
      unsafe mongoc_database_find_collections_with_opts(handle, options)
    }
    try unsafe drain(cursor) { document throws(MongoError) in found.append(document) }
    return found
  }

  /// The collection's indexes as `listIndexes` describes them; none if it does not exist.
  package func listIndexes(_ database: String, _ collection: String) throws(MongoError) -> [BSONDocument] {
    var found: [BSONDocument] = []
    try unsafe withCollection(database, collection) { handle throws(MongoError) in
      try unsafe drain(unsafe mongoc_collection_find_indexes_with_opts(handle, nil)) { document throws(MongoError) in
        found.append(document)
      }
    }
    return found
  }
}
