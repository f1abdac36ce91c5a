import MongoDB
import Synchronization
import TestServers

/// A database of a test's own in the server that all tests share.
struct Database: Sendable {
  private static let numbers = Atomic<Int>(0)

  let pool: MongoPool
  let name: String

  init(_ uri: String? = nil, timeout: Duration = .seconds(20), maximumSize: Int = 4) throws {
    pool = try MongoPool(
      uri: try uri ?? MongoServer.shared().uri, applicationName: "sluice tests", maximumSize: maximumSize,
      timeout: timeout)
    name = "test\(Self.numbers.add(1, ordering: .relaxed).newValue)"
  }

  func insert(_ collection: String, _ documents: [BSONDocument]) throws(MongoError) -> InsertResult {
    var batch = BSONBatch()
    for document in documents { batch.append(document) }
    let (name, full) = (name, batch)
    return try pool.withClient { client throws(MongoError) in try client.insertMany(name, collection, full) }
  }

  func count(_ collection: String, _ filter: BSONDocument = [:]) throws(MongoError) -> Int {
    try pool.withClient { client throws(MongoError) in try client.count(name, collection, filter: filter) }
  }

  /// The error that a call ends with, if any.
  func failure(_ body: (MongoClient) throws(MongoError) -> Void) -> MongoError? {
    do throws(MongoError) {
      try pool.withClient(body)
      return nil
    } catch {
      return error
    }
  }
}
