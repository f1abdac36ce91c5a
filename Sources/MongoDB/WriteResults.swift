/// One document or statement of many that the server did not carry out.
package struct WriteError: Sendable, Equatable {
  /// Its place among those that were given.
  package let index: Int
  /// The server's code.
  package let code: Int
  /// In words, for people.
  package let message: String

  /// What happened to one of many.
  package init(index: Int, code: Int, message: String) {
    self.index = index
    self.code = code
    self.message = message
  }

  /// A document with the same `_id`, or another unique key, is there.
  package var isDuplicateKey: Bool { error.isDuplicateKey }

  /// The server refuses this document for what it is, and will again. Else the state of the server is to blame (read-only,
  /// full, interrupted, no permission), and the same document may be stored later.
  package var isRefusal: Bool { !error.isRetriable && !error.isAuthentication }

  /// The same as an error of its own.
  package var error: MongoError { MongoError(.server, code: code, message: message, outcomeUnknown: false) }

  init?(_ value: BSONValue) {
    guard let fields = value.document, let index = fields["index"]?.int else { return nil }
    self.init(
      index: Int(index), code: Int(fields["code"]?.int ?? 0), message: fields["errmsg"]?.string ?? "")
  }
}

/// What became of an insert that the server answered.
package struct InsertResult: Sendable, Equatable {
  /// How many documents were stored.
  package let inserted: Int
  /// Those that were not, by index.
  package let errors: [WriteError]
  /// Set when what was stored is not yet as safe as the write concern asks (too few nodes, no journal).
  package let writeConcernError: MongoError?

  /// What the server answered.
  package init(inserted: Int, errors: [WriteError] = [], writeConcernError: MongoError? = nil) {
    self.inserted = inserted
    self.errors = errors
    self.writeConcernError = writeConcernError
  }
}

/// What became of an update.
package struct UpdateResult: Sendable, Equatable {
  /// How many documents the filter matched.
  package let matched: Int
  /// How many of them changed.
  package let modified: Int
  /// Whether a document was made because none matched.
  package let upserted: Bool

  /// What the server answered.
  package init(matched: Int, modified: Int, upserted: Bool) {
    self.matched = matched
    self.modified = modified
    self.upserted = upserted
  }
}

/// What became of many updates.
package struct BulkUpdateResult: Sendable, Equatable {
  /// How many documents the filters matched.
  package internal(set) var matched = 0
  /// How many of them changed.
  package internal(set) var modified = 0
  /// How many were made because none matched.
  package internal(set) var upserted = 0
  /// The statements that were not carried out, by index.
  package internal(set) var errors: [WriteError] = []

  /// Nothing yet.
  package init() {}
}
