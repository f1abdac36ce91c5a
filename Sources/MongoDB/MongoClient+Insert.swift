import CMongoC

extension MongoClient {
  /// The largest document that MongoDB stores, 16 MiB.
  package static let largestDocument = 16 * 1024 * 1024
  /// BSONObjectTooLarge, with which a server would answer.
  private static let tooLargeCode = 10334

  /// Inserts many documents; those without `_id` get one.
  ///
  /// A document that is too large to be sent is reported like one that the server refuses, so it stops no other.
  ///
  /// - Parameters:
  ///   - indices: which documents, in ascending order; all if nil. Errors name them by their index in `documents`.
  ///   - ordered: whether to stop at the first that fails. Time-series collections store unordered inserts faster.
  /// - Returns: how many were stored, and which were not, if the server answered for every one of them.
  /// - Throws: `MongoError` if it did not. Unless its `outcomeUnknown` is false some or all may be stored.
  package func insertMany(
    _ database: String, _ collection: String, _ documents: BSONBatch, indices: [Int]? = nil, ordered: Bool = false
  ) throws(MongoError) -> InsertResult {
    var chosen: [Int] = []
    var errors: [WriteError] = []
    chosen.reserveCapacity(indices?.count ?? documents.count)
    for index in indices ?? Array(0..<documents.count) {
      let size = documents.range(of: index).count
      if size <= Self.largestDocument {
        chosen.append(index)
      } else {
        let message = "the document has \(size) bytes; MongoDB stores at most \(Self.largestDocument)"
        errors.append(WriteError(index: index, code: Self.tooLargeCode, message: message))
        if ordered { break }
      }
    }
    if chosen.isEmpty { return InsertResult(inserted: 0, errors: errors, writeConcernError: nil) }

    let (reply, failure) = try insert(database, collection, documents, chosen, ordered: ordered)
    let inserted = Int(reply["insertedCount"]?.int ?? 0)
    let refused = (reply["writeErrors"]?.array ?? []).compactMap { WriteError($0) }
    let concern = reply["writeConcernErrors"]?.array?.first?.document
    // Only what the server answered for counts as answered; a later part of a large insert may have failed as a whole.
    let answered = ordered && !refused.isEmpty ? (refused[0].index + 1) : chosen.count
    if var failure, failure.isNetwork || (refused.isEmpty && concern == nil) || inserted + refused.count != answered {
      if inserted + refused.count > 0 { failure.outcomeUnknown = true }
      throw failure
    }
    for error in refused where chosen.indices.contains(error.index) {
      errors.append(WriteError(index: chosen[error.index], code: error.code, message: error.message))
    }
    // Stopped by a refusal, an ordered insert never came to the document that is too large.
    if ordered && !refused.isEmpty {
      errors.removeAll { $0.code == Self.tooLargeCode && $0.index > chosen[refused[0].index] }
    }
    return InsertResult(
      inserted: inserted, errors: errors.sorted { $0.index < $1.index },
      writeConcernError: concern.map {
        MongoError(
          .writeConcern, code: Int($0["code"]?.int ?? 0), message: $0["errmsg"]?.string ?? "")
      })
  }

  /// Hands the documents to libmongoc, which copies them into its message.
  private func insert(
    _ database: String, _ collection: String, _ documents: BSONBatch, _ chosen: [Int], ordered: Bool
  ) throws(MongoError) -> (reply: BSONDocument, failure: MongoError?) {
    // Validation would walk over every field again, looking for what the writer cannot produce.
    _ = try unsafe handle
    let options: BSONDocument = ["ordered": .bool(ordered), "validate": false]
    let views = workspace.documents(chosen.count)
    let reply = unsafe workspace.block.slot(3)
    var error = bson_error_t()
    unsafe sluice_bson_empty(reply)
    defer { unsafe bson_destroy(reply) }
    let succeeded = try unsafe withCollection(database, collection) { handle throws(MongoError) in
      try unsafe withViews(options, [:]) { options, _ in
        unsafe documents.withBytes { bytes -> Bool? in
          for (place, index) in chosen.enumerated() {
            let document = unsafe UnsafeRawBufferPointer(rebasing: bytes[documents.range(of: index)])
            if unsafe views.view(place, document) == nil { return nil }
          }
          return unsafe mongoc_collection_insert_many(handle, views.list, chosen.count, options, reply, &error)
        }
      }
    }
    guard let succeeded else { throw .malformed }
    let answer = unsafe BSONDocument(copying: reply)
    return (answer, succeeded ? nil : MongoError(error, reply: answer))
  }
}
