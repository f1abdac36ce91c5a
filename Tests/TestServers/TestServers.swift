import Foundation
import Glibc
import Operations
import Synchronization

/// What tests need to own their servers: free ports, temporary folders, waiting for conditions.
package enum TestServers {
  /// The folder with real servers (`kafka/kafka`, `mongodb/mongodb`); tests that need one are skipped where it is missing.
  package static let serversFolder: String = {
    if let named = ProcessInfo.processInfo.environment["SLUICE_TEST_SERVERS"], !named.isEmpty { return named }
    let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return repository.deletingLastPathComponent().appendingPathComponent("shared/servers").path
  }()

  /// The executable `sluice`, beside the program or the tests' bundle that runs.
  package static let sluice: String = {
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let here = CommandLine.arguments.first { $0.contains(".xctest") }.map { URL(fileURLWithPath: $0) } ?? program
    return here.deletingLastPathComponent().appendingPathComponent("sluice").path
  }()

  /// Whether tests that take minutes are run too; use in `.enabled(if:)`.
  package static let runsLongTests = ProcessInfo.processInfo.environment["SLUICE_TEST_LONG"] == "1"

  /// All that this test process writes is below this folder; `make test` ends and removes what is left in it.
  package static let root: String = {
    let base = ProcessInfo.processInfo.environment["SLUICE_TEST_FOLDER"] ?? NSTemporaryDirectory()
    let folder = URL(fileURLWithPath: base).appendingPathComponent("sluice-tests-\(getpid())").path
    try! FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }()

  /// A new empty folder.
  package static func temporaryFolder(_ name: String) -> String {
    let path = "\(root)/\(name)-\(UUID().uuidString.prefix(8))"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  /// Ports that are this process's own, and have not been handed out yet.
  private static let ports = Mutex<Range<UInt16>>(0..<0)

  /// A TCP port on 127.0.0.1 that nothing listens on, and that no test process has been or will be handed while this one runs.
  package static func freePort() -> UInt16 { freePorts(1) }

  /// The first of `count` ports in a row that are free.
  package static func freePorts(_ count: Int) -> UInt16 {
    ports.withLock { own in
      while true {
        if own.count < count { own = claimPorts() }
        let range = own.prefix(count)
        if range.allSatisfy(isFree) {
          own = range.endIndex..<own.upperBound
          return range.startIndex
        }
        own = own.dropFirst()
      }
    }
  }

  /// A port that is free now may be so because another process's server has not started yet, or is about to start again:
  /// so each process has its own, by a name that only one can have and that is free again when it ends.
  private static func claimPorts() -> Range<UInt16> {
    // Below the range that the kernel gives to outgoing connections (32768 and up).
    let size = 200
    for first in stride(from: 11_000, to: 31_000, by: size).shuffled() {
      let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      // Behind a zero, a name of this machine's, not a file's (unix(7)).
      withUnsafeMutableBytes(of: &address.sun_path) { $0.dropFirst().copyBytes(from: "sluice-tests-\(first)".utf8) }
      let code = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      if code == 0 { return UInt16(first)..<UInt16(first + size) }
      close(descriptor)
    }
    fatalError("all ports for tests are taken")
  }

  private static func isFree(_ port: UInt16) -> Bool { withSocket(port) { Glibc.bind($0, $1, $2) } == 0 }

  /// Whether something accepts connections on a port of 127.0.0.1.
  package static func accepts(_ port: UInt16) -> Bool { withSocket(port) { Glibc.connect($0, $1, $2) } == 0 }

  /// A TCP socket connected to a port of 127.0.0.1, for the caller to close.
  /// - Parameter configure: what to do with it before it is connected.
  package static func connect(_ port: UInt16, configure: (Int32) -> Void = { _ in }) throws -> Int32 {
    let (descriptor, code) = openSocket(port) {
      configure($0)
      return Glibc.connect($0, $1, $2)
    }
    guard code == 0 else {
      close(descriptor)
      throw TestServerError("cannot connect to port \(port)")
    }
    return descriptor
  }

  /// A TCP socket that listens on a port of 127.0.0.1, for the caller to close.
  package static func listen(_ port: UInt16) throws -> Int32 {
    let (descriptor, code) = openSocket(port) { Glibc.bind($0, $1, $2) }
    guard code == 0, Glibc.listen(descriptor, 64) == 0 else {
      close(descriptor)
      throw TestServerError("cannot listen on port \(port)")
    }
    return descriptor
  }

  private static func withSocket(
    _ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    let (descriptor, code) = openSocket(port, body)
    close(descriptor)
    return code
  }

  private static func openSocket(
    _ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> (descriptor: Int32, code: Int32) {
    // Closed on exec, for a server started meanwhile would inherit it and hold the port.
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return (descriptor, code)
  }

  /// Waits until SIGSTOP has reached all threads of a process: until then one of them may still answer.
  package static func waitUntilStopped(_ pid: String) throws {
    try eventually("process \(pid) is stopped") {
      let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
      return tasks.allSatisfy { task in
        // proc(5): the state comes behind the command's name in parentheses.
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/stat", encoding: .utf8),
          let end = stat.lastIndex(of: ")")
        else { return true }
        return stat[end...].dropFirst(2).first == "T"
      }
    }
  }

  /// Runs a program to its end.
  /// - Returns: its exit code and what it printed.
  @discardableResult
  package static func run(_ arguments: [String], timeout: Duration = .seconds(120)) throws -> (
    code: Int32, output: String
  ) {
    let file = "\(root)/run-\(UUID().uuidString)"
    let child = try ChildProcess(arguments, output: file)
    guard let code = child.wait(timeout: timeout) else {
      child.kill()
      throw TestServerError("\(arguments[0]) did not end in \(timeout)")
    }
    defer { try? FileManager.default.removeItem(atPath: file) }
    return (code, (try? String(contentsOfFile: file, encoding: .utf8)) ?? "")
  }
}

/// A server could not be started, or a condition did not come true.
package struct TestServerError: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// Waits until a condition is true.
/// - Throws: when it is not within `timeout`, naming `what`.
package func eventually(
  timeout: Duration = .seconds(30), _ what: String, _ condition: () throws -> Bool
) throws {
  let deadline = ContinuousClock.now + timeout
  // Soon at first and then seldom: looking costs the servers time that what is waited for needs. To count what is in a
  // time series may take half a second.
  var pause: Duration = .milliseconds(5)
  while true {
    let start = ContinuousClock.now
    if try condition() { return }
    let end = ContinuousClock.now
    if end >= deadline { throw TestServerError("not within \(timeout): \(what)") }
    let rest = min(max(pause, (end - start) * 4), deadline - end)
    usleep(UInt32(max(rest / .microseconds(1), 1)))
    pause = min(pause * 1.5, .milliseconds(300))
  }
}
