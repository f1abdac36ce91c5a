import Foundation
import HTTPClient
import Operations
import TestServers

/// A process of the executable, and what it says of itself.
final class RunningRole {
  let process: ChildProcess
  let management: UInt16
  private let name: String
  private let logFile: String
  private let client: HTTPClient

  init(_ name: String, _ process: ChildProcess, management: UInt16, log: String) throws {
    self.name = name
    self.process = process
    self.management = management
    logFile = log
    client = try HTTPClient()
  }

  /// What `/readyz` says; nil while nobody answers.
  var readiness: HTTPResponse? { fetch("/readyz") }

  func waitUntilReady(timeout: Duration = .seconds(60)) throws {
    try eventually(timeout: timeout, "\(name) is ready: \(readiness?.text ?? "no answer"); its log: \(log)") {
      guard process.isRunning else { throw TestServerError("\(name) ended: \(log)") }
      return readiness?.status == 200
    }
  }

  /// Waits until it is not ready, and says this word in its reason.
  func waitUntilFailing(_ word: String, timeout: Duration = .seconds(60)) throws {
    try eventually(timeout: timeout, "\(name) is not ready for '\(word)': \(readiness?.text ?? "no answer")") {
      guard process.isRunning else { throw TestServerError("\(name) ended: \(log)") }
      return readiness.map { $0.status == 503 && $0.text.contains(word) } ?? false
    }
  }

  /// Stops it in order.
  /// - Returns: its exit code; nil when it did not end within the timeout.
  func terminate(timeout: Duration = .seconds(20)) -> Int32? {
    process.signal(SIGTERM)
    return process.wait(timeout: timeout)
  }

  /// The sum of a metric's series.
  func metric(_ name: String) -> Int {
    let lines = fetch("/metrics")?.text.split(separator: "\n") ?? []
    return lines.reduce(0) { sum, line in
      guard line.hasPrefix("\(name) ") || line.hasPrefix("\(name){"), let value = line.split(separator: " ").last
      else { return sum }
      return sum + Int(Double(value) ?? 0)
    }
  }

  /// The most memory that it ever held, in bytes (proc(5)).
  func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
    else { throw TestServerError("no VmHWM in \(status)") }
    return kibibytes << 10
  }

  /// What it has written.
  var log: String { (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? "" }

  /// How many lines it has written that contain a text.
  func lines(_ text: String) -> Int { log.split(separator: "\n").count { $0.contains(text) } }

  private func fetch(_ path: String) -> HTTPResponse? {
    try? client.send("GET", "http://127.0.0.1:\(management)\(path)", timeout: .seconds(5))
  }
}
