import Foundation
import HTTPClient
import MongoDB
import Operations
import TestServers

/// A `sluice dev` with ports and a folder of its own.
final class DevProcess {
  /// Where `make install-dependencies` puts the embedded database.
  static let secantusd: String? = {
    let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let program = repository.appendingPathComponent(".venv/bin/secantusd-py").path
    return FileManager.default.isExecutableFile(atPath: program) ? program : nil
  }()
  static let isAvailable = secantusd != nil && MosquittoServer.isAvailable

  static let environment: [String: String] = {
    var environment = ["PATH": "/usr/bin:/bin"]
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
    return environment
  }()

  let http = TestServers.freePort()
  let management = TestServers.freePort()
  let mqtt = TestServers.freePort()
  let mongodb = TestServers.freePort()
  let folder = TestServers.temporaryFolder("dev")
  private(set) var process: ChildProcess
  private let flags: [String]
  private let client: HTTPClient

  /// Starts it and waits until it is ready.
  init(_ flags: [String] = []) throws {
    client = try HTTPClient()
    self.flags =
      [
        "dev", "--data", "\(folder)/data", "--http-listen", "127.0.0.1:\(http)", "--management-listen",
        "127.0.0.1:\(management)", "--mqtt-port", "\(mqtt)", "--mongodb-port", "\(mongodb)", "--secantusd",
        Self.secantusd ?? "",
      ] + flags
    process = try Self.launch(self.flags, folder)
    try waitUntilReady()
  }

  deinit { process.kill() }

  private static func launch(_ flags: [String], _ folder: String) throws -> ChildProcess {
    try ChildProcess([TestServers.sluice] + flags, environment: environment, output: "\(folder)/log")
  }

  /// Starts it again after its end, with its data.
  func restart() throws {
    process = try Self.launch(flags, folder)
    try waitUntilReady()
  }

  private func waitUntilReady() throws {
    try eventually(timeout: .seconds(120), "sluice dev is ready; its log: \(folder)/log") {
      guard process.isRunning else { throw TestServerError("sluice dev ended: \(log)") }
      return readiness == 200
    }
  }

  /// The status of `/readyz`; nil when nobody answers.
  var readiness: Int? {
    (try? client.send("GET", "http://127.0.0.1:\(management)/readyz", timeout: .seconds(5)))?.status
  }

  /// What it has written.
  var log: String { (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? "" }

  /// Posts readings.
  func post(_ body: String) throws -> HTTPResponse {
    try client.send(
      "POST", "http://127.0.0.1:\(http)/v1/readings", headers: [("Content-Type", "application/json")],
      body: Array(body.utf8), timeout: .seconds(60))
  }

  /// How many documents the database has, and how many sets of device, sensor and value they hold.
  func stored() throws -> (documents: Int, different: Int) {
    let pool = try MongoPool(
      uri: "mongodb://127.0.0.1:\(mongodb)/?directConnection=true", applicationName: "tests", maximumSize: 1,
      timeout: .seconds(60))
    defer { pool.close() }
    var count = 0
    var values: Set<String> = []
    try pool.withClient { (client) throws(MongoError) in
      try client.find("sluice", "readings", options: ["projection": ["_id": 0, "meta": 1, "value": 1]]) { document in
        count += 1
        values.insert("\(document)")
      }
    }
    return (count, values.count)
  }

  /// The servers that it has started, by their program's name.
  func children() throws -> [(pid: Int32, name: String)] {
    var children: [(Int32, String)] = []
    for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.pid)/task") {
      let text = try? String(contentsOfFile: "/proc/\(process.pid)/task/\(thread)/children", encoding: .utf8)
      for pid in (text ?? "").split(separator: " ").compactMap({ Int32($0) }) {
        let name = try String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)
        children.append((pid, name.trimmingCharacters(in: .newlines)))
      }
    }
    return children
  }

  /// Whether a process is there and has not ended.
  static func isAlive(_ pid: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    // The state stands behind the name, which is in brackets.
    return stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].dropFirst(2).first != "Z"
  }
}
