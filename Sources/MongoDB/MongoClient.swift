import CMongoC

/// A connection to MongoDB, lent to one thread by `MongoPool.withClient`. It must not be kept: afterwards its calls throw.
///
/// Every call blocks until the server has answered or a timeout of the pool has passed. A call that throws `MongoError` has
/// done nothing, unless the error's `outcomeUnknown` says that it may have.
@safe package final class MongoClient {
  private var lent: OpaquePointer?
  let workspace: BSONWorkspace

  init(_ lent: OpaquePointer, _ workspace: BSONWorkspace) {
    unsafe self.lent = lent
    self.workspace = workspace
  }

  func invalidate() { unsafe lent = nil }

  /// libmongoc's client, while it is lent.
  var handle: OpaquePointer {
    get throws(MongoError) {
      guard let lent = unsafe lent else { throw .closed }
      return unsafe lent
    }
  }

  // MARK: Commands

  /// Asks the server whether it is there.
  package func ping() throws(MongoError) { _ = try command("admin", ["ping": 1]) }

  /// The server's version.
  package func serverVersion() throws(MongoError) -> MongoVersion {
    let answer = try command("admin", ["buildInfo": 1])
    return MongoVersion(answer["version"]?.string ?? "")
  }

  /// Runs any command that answers with one document. No write concern is added: name it in commands that write.
  ///
  /// - Returns: the server's answer, also when it holds write errors.
  package func command(_ database: String, _ command: BSONDocument) throws(MongoError) -> BSONDocument {
    try unsafe command.bytes.withUnsafeBytes { bytes in
      unsafe run(bytes) { client, command, reply, error in
        unsafe mongoc_client_command_simple(client, database, command, nil, reply, error)
      }
    }.get()
  }

  /// Runs a command that writes, on the primary and with the pool's write concern.
  func write(_ database: String, _ command: BSONDocument) throws(MongoError) -> BSONDocument {
    try unsafe command.bytes.withUnsafeBytes { unsafe write(database, $0) }.get()
  }

  /// The same with a command of which only the bytes are there.
  func write(_ database: String, _ command: UnsafeRawBufferPointer) -> Result<BSONDocument, MongoError> {
    unsafe run(command) { client, command, reply, error in
      unsafe mongoc_client_write_command_with_opts(client, database, command, nil, reply, error)
    }
  }

  private typealias Command = (
    OpaquePointer, OpaquePointer, OpaquePointer, UnsafeMutablePointer<bson_error_t>
  ) -> Bool

  // A result, for the functions that lend bytes do not know typed errors.
  private func run(_ command: UnsafeRawBufferPointer, _ body: Command) -> Result<BSONDocument, MongoError> {
    guard let client = unsafe lent else { return .failure(.closed) }
    let block = workspace.block
    let reply = unsafe block.slot(3)
    var error = bson_error_t()
    unsafe sluice_bson_empty(reply)
    defer { unsafe bson_destroy(reply) }
    guard let view = unsafe block.view(0, command) else { return .failure(.malformed) }
    let succeeded = unsafe body(client, view, reply, &error)
    let answer = unsafe BSONDocument(copying: reply)
    return succeeded ? .success(answer) : .failure(MongoError(error, reply: answer))
  }

  // MARK: Collections

  /// Lends libmongoc's handle of a collection.
  func withCollection<R>(
    _ database: String, _ name: String, _ body: (OpaquePointer) throws(MongoError) -> R
  ) throws(MongoError) -> R {
    guard let collection = unsafe mongoc_client_get_collection(try handle, database, name) else { throw .closed }
    defer { unsafe mongoc_collection_destroy(collection) }
    return try unsafe body(collection)
  }

  /// Reads all that a cursor has, and destroys it.
  func drain(
    _ cursor: OpaquePointer?, _ each: (BSONDocument) throws(MongoError) -> Void
  ) throws(MongoError) {
    guard let cursor = unsafe cursor else { throw .malformed }
    defer { unsafe mongoc_cursor_destroy(cursor) }
    var document: OpaquePointer?
    while unsafe mongoc_cursor_next(cursor, &document), let found = unsafe document {
      try each(unsafe BSONDocument(copying: found))
    }
    var error = bson_error_t()
    var reply: OpaquePointer?
    if unsafe mongoc_cursor_error_document(cursor, &error, &reply) {
      throw MongoError(error, reply: unsafe reply.map { unsafe BSONDocument(copying: $0) })
    }
  }

  /// Lends libbson's views of two documents.
  func withViews<R>(
    _ first: BSONDocument, _ second: BSONDocument, _ body: (OpaquePointer, OpaquePointer) -> R
  ) throws(MongoError) -> R {
    let block = workspace.block
    let result = unsafe first.bytes.withUnsafeBytes { first in
      unsafe second.bytes.withUnsafeBytes { second -> R? in
        guard let one = unsafe block.view(0, first), let two = unsafe block.view(1, second) else { return nil }
        return unsafe body(one, two)
      }
    }
    guard let result = result else { throw .malformed }
    return result
  }
}

extension MongoError {
  /// A document was read from outside, and is none.
  static let malformed = MongoError(.client, code: 0, message: "an argument is not a BSON document")
}

/// A server's version, `major.minor.patch`.
package struct MongoVersion: Sendable, Comparable, CustomStringConvertible {
  package let description: String
  package let major: Int
  package let minor: Int
  package let patch: Int

  /// Reads `8.2.1` and also `8.2.1-rc0`; what is missing is 0.
  package init(_ text: String) {
    description = text
    let numbers = text.split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 } + [0, 0, 0]
    (major, minor, patch) = (numbers[0], numbers[1], numbers[2])
  }

  package static func < (one: Self, other: Self) -> Bool {
    (one.major, one.minor, one.patch) < (other.major, other.minor, other.patch)
  }

  package static func == (one: Self, other: Self) -> Bool { !(one < other) && !(other < one) }
}
