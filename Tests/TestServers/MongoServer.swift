import Foundation
import Operations
import Synchronization

/// A MongoDB-compatible server on WiredTiger, owned by the tests.
package final class MongoServer: Sendable {
  /// Whether the server's program is there; use in `.enabled(if:)`.
  package static let isAvailable = FileManager.default.isExecutableFile(atPath: program)

  private static let program = "\(TestServers.serversFolder)/mongodb/secantusd-rs"
  private static let sharedServer = Mutex<MongoServer?>(nil)

  /// The one server that all tests of this process share: use a database of your own in it, and never stop it.
  package static func shared() throws -> MongoServer {
    try sharedServer.withLock { server in
      if let server { return server }
      let new = try MongoServer()
      server = new
      return new
    }
  }

  package let port: UInt16
  private let folder: String
  private let process: Mutex<ChildProcess>

  /// Starts a server and waits until it accepts clients.
  ///
  /// - Parameter folder: the data of an earlier server, to be used again (with `auth`, say).
  package init(auth: Bool = false, folder: String? = nil, options: [String] = []) throws {
    self.folder = folder ?? TestServers.temporaryFolder("mongodb")
    port = TestServers.freePort()
    let words = Self.words(port: port, folder: self.folder, options: options + (auth ? ["--auth"] : []))
    arguments = words
    process = Mutex(try Self.launch(words, port: port, folder: self.folder))
  }

  private let arguments: [String]

  deinit { process.withLock { $0.kill() } }

  /// A connection string, without a user.
  package var uri: String { "mongodb://127.0.0.1:\(port)/?directConnection=true" }
  /// A connection string for a user.
  package func uri(user: String, password: String) -> String {
    "mongodb://\(user):\(password)@127.0.0.1:\(port)/?directConnection=true"
  }
  /// Where its data are.
  package var dataFolder: String { folder }

  /// Kills it (SIGKILL).
  package func kill() { process.withLock { $0.kill() } }
  /// Freezes it (SIGSTOP): its port stays open, and nothing answers.
  package func pause() {
    process.withLock { child in
      child.signal(SIGSTOP)
      try? TestServers.waitUntilStopped("\(child.pid)")
    }
  }
  /// Ends a freeze.
  package func resume() { process.withLock { $0.signal(SIGCONT) } }
  /// Ends it cleanly; its data stay.
  package func stop() { process.withLock { $0.end() } }
  /// Starts it again with its data, on the same port.
  package func restart() throws {
    try process.withLock {
      $0.kill()
      $0 = try Self.launch(arguments, port: port, folder: folder)
    }
  }

  private static func words(port: UInt16, folder: String, options: [String]) -> [String] {
    [
      program, "--port", "\(port)", "--storage-path", "\(folder)/data", "--cache-size", "512M", "--log-level",
      "WARNING",
    ]
      + options
  }

  private static func launch(_ words: [String], port: UInt16, folder: String) throws -> ChildProcess {
    try FileManager.default.createDirectory(atPath: "\(folder)/data", withIntermediateDirectories: true)
    let child = try ChildProcess(words, output: "\(folder)/log")
    try eventually("the database accepts on port \(port)") {
      guard child.isRunning else { throw TestServerError("the database ended while starting; see \(folder)/log") }
      return TestServers.accepts(port)
    }
    return child
  }
}
