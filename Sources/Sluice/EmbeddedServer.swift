import Glibc
import Operations

/// A server of another program that this process starts, and that never outlives it.
struct EmbeddedServer {
  /// What people call it.
  let name: String
  private let process: ChildProcess
  private let logFile: String

  /// Starts a program that is to listen on 127.0.0.1.
  init(_ name: String, _ arguments: [String], logFile: String) throws(CommandError) {
    self.name = name
    self.logFile = logFile
    do {
      process = try ChildProcess(arguments, output: logFile)
    } catch {
      throw .failed("\(name): \(error)")
    }
  }

  /// Waits until it accepts connections.
  func waitUntilAccepting(port: UInt16, timeout: Duration) throws(CommandError) {
    let deadline = Clock.monotonic() + timeout
    while !Self.accepts(port) {
      if let end { throw .failed("\(end) while it started") }
      guard Clock.monotonic() < deadline else {
        throw .failed("\(name) does not accept connections on port \(port) within \(timeout): see \(logFile)")
      }
      // A server says nothing when it begins to listen.
      usleep(10_000)
    }
  }

  /// That it has ended, and its last words; nil while it runs.
  var end: String? {
    guard !process.isRunning, let code = process.wait(timeout: .zero) else { return nil }
    let log = (try? SystemFile.read(logFile, limit: 16 << 20)) ?? []
    let last = log.split(whereSeparator: { $0 == UInt8(ascii: "\n") }).last.map { String(decoding: $0, as: UTF8.self) }
    return "\(name) ended with \(code)\(last.map { " (\($0))" } ?? ""), see \(logFile),"
  }

  /// Ends it. Returns when it is gone.
  func end(timeout: Duration) { process.end(timeout: timeout) }

  private static func accepts(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    } == 0
  }
}

/// Finds programs.
enum ProgramSearch {
  /// The first of these folders, and then those in PATH, that has the program.
  static func find(_ name: String, in folders: [String] = []) -> String? {
    let path = Settings.processEnvironment["PATH"] ?? ""
    return (folders + path.split(separator: ":").map(String.init)).lazy.map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 }
  }

  /// The virtual environments beside the working folder and the folders above this executable: a build's is below the
  /// repository's, which has one.
  static var virtualEnvironments: [String] {
    var folders = [".venv/bin"]
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    guard count > 0 else { return folders }
    var path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)[...]
    while let slash = path.lastIndex(of: "/") {
      path = path[..<slash]
      folders.append("\(path)/.venv/bin")
    }
    return folders
  }
}
