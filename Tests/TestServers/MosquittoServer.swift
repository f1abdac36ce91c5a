import Foundation
import Operations
import Synchronization

/// Debian's mosquitto, owned by the tests.
package final class MosquittoServer: Sendable {
  private static let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Whether the broker's program is there; use in `.enabled(if:)`.
  package static let isAvailable = program != nil

  package let port: UInt16
  private let folder: String
  private let process: Mutex<ChildProcess>

  /// Starts a broker with persistence, anonymous access and no limit on what it queues, and waits until it accepts clients.
  ///
  /// - Parameter configuration: lines of mosquitto.conf(5) that come after those.
  package init(_ configuration: String = "allow_anonymous true") throws {
    folder = TestServers.temporaryFolder("mosquitto")
    port = TestServers.freePort()
    let lines = """
      persistence true
      persistence_location \(folder)/
      autosave_interval 1
      max_queued_messages 0
      log_dest stderr
      listener \(port) 127.0.0.1
      \(getuid() == 0 ? "user root" : "")
      \(configuration)

      """
    try lines.write(toFile: "\(folder)/mosquitto.conf", atomically: true, encoding: .utf8)
    process = Mutex(try Self.launch(folder, port))
  }

  deinit { process.withLock { $0.kill() } }

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
  /// Has it write its sessions and messages to disk, and waits until it has: what it acknowledged is there then.
  package func save() throws {
    // The second time for what was on its way to it the first time.
    for _ in 0..<2 {
      let before = savedAt
      process.withLock { $0.signal(SIGUSR1) }
      try eventually("mosquitto has saved its messages") { savedAt != before }
    }
  }

  /// In nanoseconds; nil before the first time.
  private var savedAt: Int? {
    var status = stat()
    guard stat("\(folder)/mosquitto.db", &status) == 0 else { return nil }
    return status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
  }

  /// Ends it cleanly; sessions and messages are saved.
  package func stop() { process.withLock { $0.end() } }
  /// Starts it again on the same port, with what it had saved.
  package func restart() throws {
    try process.withLock {
      $0.kill()
      $0 = try Self.launch(folder, port)
    }
  }

  private static func launch(_ folder: String, _ port: UInt16) throws -> ChildProcess {
    guard let program else { throw TestServerError("mosquitto is not installed") }
    let child = try ChildProcess([program, "-c", "\(folder)/mosquitto.conf"], output: "\(folder)/log")
    try eventually("mosquitto accepts on port \(port)") {
      guard child.isRunning else { throw TestServerError("mosquitto ended while starting; see \(folder)/log") }
      return TestServers.accepts(port)
    }
    return child
  }
}
