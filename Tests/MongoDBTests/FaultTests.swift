import Dispatch
import Foundation
import MongoDB
import Synchronization
import TestServers
import Testing

/// Servers that are away, hang, or refuse; each test has its own.
@Suite(.enabled(if: MongoServer.isAvailable, "needs the MongoDB server"), .timeLimit(.minutes(3)))
struct FaultTests {
  @Test func noServerAtAll() throws {
    let database = try Database("mongodb://127.0.0.1:\(TestServers.freePort())", timeout: .milliseconds(500))
    let error = try #require(database.failure { client throws(MongoError) in try client.ping() })
    #expect(error.domain == .serverSelection && error.isNetwork && error.isRetriable && !error.outcomeUnknown)
    #expect(!error.message.isEmpty)
    #expect(throws: MongoError.self) { try database.insert("c", [["a": 1]]) }
  }

  @Test func aServerThatIsKilledAndComesBack() throws {
    // This server takes `j: true` but only keeps to it with this option; MongoDB always does.
    let server = try MongoServer(options: ["--sync-on-commit"])
    let database = try Database(server.uri, timeout: .seconds(2))
    #expect(try database.insert("c", [["_id": 1]]).inserted == 1)
    server.kill()
    for _ in 0..<2 {
      let error = try #require(throws: MongoError.self) { try database.insert("c", [["_id": 2]]) }
      #expect(error.isNetwork && error.isRetriable)
    }
    try server.restart()
    // What was acknowledged survived; and the pool connects again by itself.
    try eventually("the pool reaches the server again") { (try? database.count("c", ["_id": 1])) == 1 }
    #expect(try database.insert("c", [["_id": 3]]).inserted == 1)
  }

  @Test func aServerThatHangs() throws {
    let server = try MongoServer()
    let database = try Database(server.uri, timeout: .seconds(2))
    #expect(try database.insert("c", [["_id": 1]]).inserted == 1)
    server.pause()
    // The connection is there and the insert is sent, so nobody can say what became of it.
    let (sent, id) = try firstFailure(from: 2) { id throws(MongoError) in
      try database.insert("c", [["_id": .int32(id)]])
    }
    #expect(sent.domain == .network && sent.isNetwork && sent.isRetriable && sent.outcomeUnknown)
    // A new connection is not answered either.
    let later = try #require(throws: MongoError.self) { try database.insert("c", [["n": 3]]) }
    #expect(later.isNetwork)
    let reading = try #require(throws: MongoError.self) { try database.count("c") }
    #expect(reading.isNetwork)
    server.resume()
    try eventually("the pool reaches the server again") { (try? database.count("c", ["_id": 1])) == 1 }
    // The insert that was sent once is there at most once: repeating it stores it, or finds it.
    let again = try database.insert("c", [["_id": .int32(id)]])
    #expect(again.inserted == 1 || again.errors.first?.isDuplicateKey == true)
  }

  /// Not twice, as the library's own repetition of reads would: who is to stop would be late.
  @Test func aReadFromAServerThatHangsTakesTheTimeoutOnce() throws {
    let server = try MongoServer()
    let timeout = Duration.seconds(4)
    let database = try Database(server.uri, timeout: timeout)
    #expect(try database.count("c") == 0)
    server.pause()
    let start = ContinuousClock.now
    #expect(throws: MongoError.self) { try database.count("c") }
    #expect(ContinuousClock.now - start < timeout * 1.9)
    server.resume()
  }

  /// Repeats a call until it fails. A signal takes a moment to stop all threads of a server, which may still answer.
  private func firstFailure<R>(
    from first: Int32, _ body: (Int32) throws(MongoError) -> R
  ) throws -> (error: MongoError, number: Int32) {
    for number in first... {
      do throws(MongoError) {
        _ = try body(number)
      } catch {
        return (error, number)
      }
    }
    throw MongoError(.client, code: 0, message: "it never failed")
  }

  @Test func aServerThatHangsInTheMiddleOfReading() throws {
    let server = try MongoServer()
    let database = try Database(server.uri, timeout: .seconds(2))
    // In parts: a busy machine takes longer than the timeout for all at once.
    for first in stride(from: Int32(0), to: 20_000, by: 1_000) {
      _ = try database.insert("c", (first..<first + 1_000).map { ["_id": .int32($0)] })
    }
    var seen = 0
    let error = try #require(
      database.failure { client throws(MongoError) in
        try client.find(database.name, "c", options: ["batchSize": 10]) { _ throws(MongoError) in
          seen += 1
          if seen == 15 { server.pause() }
        }
      })
    #expect(error.isNetwork)
    #expect(seen >= 20 && seen % 10 == 0)
    server.resume()
    try eventually("the pool reaches the server again") { (try? database.count("c")) == 20_000 }
  }

  @Test func credentials() throws {
    let folder = TestServers.temporaryFolder("mongodb-auth")
    do {
      let open = try MongoServer(folder: folder)
      try Database(open.uri).pool.withClient { client throws(MongoError) in
        for (name, role) in [("writer", "readWrite"), ("reader", "read")] {
          _ = try client.command(
            "admin",
            [
              "createUser": .string(name), "pwd": "secret",
              "roles": [["role": .string(role), "db": "sluice"]],
            ])
        }
      }
      open.stop()
    }
    let server = try MongoServer(auth: true, folder: folder)
    func attempt(_ uri: String) throws -> MongoError? {
      let database = try Database(uri, timeout: .seconds(5))
      return database.failure { client throws(MongoError) in
        var batch = BSONBatch()
        batch.append(["a": 1])
        _ = try client.insertMany("sluice", "c", batch)
      }
    }
    #expect(try attempt(server.uri(user: "writer", password: "secret")) == nil)
    let wrong = try #require(try attempt(server.uri(user: "writer", password: "wrong")))
    #expect(wrong.isAuthentication && !wrong.isNetwork && !wrong.isRetriable && !wrong.outcomeUnknown)
    #expect(!wrong.description.contains("wrong"))
    let nobody = try #require(try attempt(server.uri))
    #expect(nobody.isAuthentication && !nobody.outcomeUnknown && !nobody.isRetriable)
    let reader = try #require(try attempt(server.uri(user: "reader", password: "secret")))
    #expect(reader.isAuthentication && reader.code == 13 && !reader.outcomeUnknown)
  }

  @Test func closingWhileBusy() throws {
    let server = try MongoServer()
    let database = try Database(server.uri, timeout: .seconds(2), maximumSize: 1)
    try database.pool.withClient { client throws(MongoError) in
      try client.ping()
      database.pool.close()
      // Who has a client finishes with it; nobody gets another.
      try client.ping()
      let late = database.failure { client throws(MongoError) in try client.ping() }
      #expect(late?.domain == .client)
    }
    let after = database.failure { client throws(MongoError) in try client.ping() }
    #expect(after?.domain == .client && after?.isRetriable == false)
    database.pool.close()
  }

  @Test func threads() throws {
    let database = try Database(maximumSize: 2)
    let failures = Mutex<[String]>([])
    let threads = 6
    inParallel(threads) { thread in
      for round in 0..<20 {
        do {
          let documents: [BSONDocument] = (0..<10).map { ["_id": .int32(Int32(thread * 1_000 + round * 10 + $0))] }
          let result = try database.insert("c", documents)
          if result.inserted != 10 { failures.withLock { $0.append("\(result)") } }
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(try database.count("c") == threads * 200)
  }

  @Test func allClientsInUse() throws {
    let database = try Database(timeout: .milliseconds(300), maximumSize: 1)
    try database.pool.withClient { _ throws(MongoError) in
      let error = database.failure { client throws(MongoError) in try client.ping() }
      #expect(error?.domain == .client && error?.outcomeUnknown == false)
    }
    #expect(database.failure { client throws(MongoError) in try client.ping() } == nil)
  }

  @Test func aClientThatIsKeptDoesNothing() throws {
    let database = try Database()
    var kept: MongoClient?
    try database.pool.withClient { client throws(MongoError) in kept = client }
    #expect(throws: MongoError.self) { try kept?.ping() }
    #expect(throws: MongoError.self) { try kept?.count("a", "b") }
    #expect(throws: MongoError.self) { try kept?.insertMany("a", "b", Self.one) }
  }

  private static let one: BSONBatch = {
    var batch = BSONBatch()
    batch.append(["a": 1])
    return batch
  }()
}

@Suite struct PoolTests {
  @Test(arguments: [
    "", "127.0.0.1", "http://127.0.0.1", "mongodb://", "mongodb://user:p%ss@host/", "mongodb://host:99999/",
    "mongodb://host/?w=0", "mongodb://host/?tls=true&tlsInsecure=true&tlsAllowInvalidHostnames=true",
  ])
  func badConnectionStrings(uri: String) throws {
    let error = try #require(throws: MongoError.self) {
      try MongoPool(uri: uri, applicationName: "sluice", maximumSize: 1)
    }
    #expect(error.domain == .uri && !error.message.isEmpty && !error.isRetriable && !error.outcomeUnknown)
    #expect(!error.message.contains("p%ss"))
  }

  @Test func theLibrarysLogGoesToTheHandler() {
    let seen = Messages()
    MongoPool.installLogHandler { level, message in
      if level == .error { seen.all.withLock { $0.append(message) } }
    }
    #expect(throws: MongoError.self) {
      try MongoPool(uri: "mongodb://", applicationName: "sluice", maximumSize: 1)
    }
    #expect(seen.all.withLock { $0 }.contains { $0.hasPrefix("mongoc: ") })
  }

  @Test func noFileIsLeftInSharedMemory() {
    MongoPool.removeCounters()
    #expect(!FileManager.default.fileExists(atPath: "/dev/shm/mongoc-\(getpid())"))
  }

  @Test func whatTheConnectionStringSaysWins() throws {
    let plain = try MongoPool(uri: "mongodb://u:secret@one,two:27018/data", applicationName: "sluice", maximumSize: 3)
    #expect(plain.servers == "one:27017,two:27018")
    #expect(plain.defaultDatabase == "data")
    #expect(plain.maximumSize == 3)
    #expect(!plain.retriesWrites)
    let own = try MongoPool(
      uri: "mongodb://one/?retryWrites=true&maxPoolSize=50&appName=mine&socketTimeoutMS=1", applicationName: "sluice",
      maximumSize: 3)
    #expect(own.maximumSize == 50)
    #expect(own.retriesWrites)
    #expect(own.defaultDatabase == nil)
  }
}

private final class Messages: Sendable {
  let all = Mutex<[String]>([])
}

/// Runs `body` on threads of its own at once, and waits for all.
private func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread.detachNewThread {
      body(index)
      group.leave()
    }
  }
  group.wait()
}
