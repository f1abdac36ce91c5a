import Foundation
import HTTP
import HTTPClient
import Ingest
import Operations
import TestServers
import Testing

/// What a job says of itself.
struct JobView: Decodable {
  struct Fault: Decodable {
    let line: Int
    let reason: String
  }

  let id: String
  let state: String
  let reason: String?
  let ended: String?
  let bytes: Int
  let lines: Int
  let accepted: Int
  let rejected: Int
  let inDoubt: Int
  let errors: [Fault]?

  enum CodingKeys: String, CodingKey {
    case id, state, reason, ended, bytes, lines, accepted, rejected, errors
    case inDoubt = "in_doubt"
  }
}

extension Served {
  var jobsURL: String { "http://127.0.0.1:\(server.port)/v1/jobs" }

  /// Sends a job as a whole, on a connection of its own.
  func postJob(
    _ body: [UInt8], _ headers: [(String, String)] = [lines], query: String = "", timeout: Duration = .seconds(60)
  ) throws -> HTTPResponse {
    try HTTPClient().send("POST", jobsURL + query, headers: headers, body: body, timeout: timeout)
  }

  func get(_ path: String, method: String = "GET", headers: [(String, String)] = []) throws -> HTTPResponse {
    try HTTPClient().send(method, "http://127.0.0.1:\(server.port)\(path)", headers: headers)
  }

  func job(_ id: String, headers: [(String, String)] = []) throws -> JobView {
    let answer = try get("/v1/jobs/\(id)", headers: headers)
    try #require(answer.status == 200, "\(answer.text)")
    return try JSONDecoder().decode(JobView.self, from: Data(answer.body))
  }

  func jobs(headers: [(String, String)] = []) throws -> [JobView] {
    try JSONDecoder().decode([String: [JobView]].self, from: Data(get("/v1/jobs", headers: headers).body))["jobs"] ?? []
  }

  /// The job that a test has begun, which is the only one.
  func onlyJob() throws -> JobView {
    let jobs = try jobs()
    try #require(jobs.count == 1)
    return try job(jobs[0].id)
  }

  /// Fetches, and waits for the end.
  func fetch(_ url: String, _ format: String = "ndjson", gzip: Bool? = nil) throws -> JobView {
    let packed = gzip.map { ",\"gzip\":\($0)" } ?? ""
    let answer = try postJob(Array("{\"url\":\"\(url)\",\"format\":\"\(format)\"\(packed)}".utf8), [Served.json])
    try #require(answer.status == 202, "\(answer.text)")
    let begun = try JSONDecoder().decode(JobView.self, from: Data(answer.body))
    #expect(begun.state == "running" && begun.accepted == 0)
    #expect(answer.header("Location") == "/v1/jobs/\(begun.id)")
    try eventually("the job ends") { try job(begun.id).ended != nil }
    return try job(begun.id)
  }
}

extension JobSettings {
  static func with(_ change: (inout JobSettings) throws -> Void) rethrows -> JobSettings {
    var settings = JobSettings(allowance: try! FetchAllowance())
    try change(&settings)
    return settings
  }
}

extension Served.Options {
  static func jobs(_ change: (inout JobSettings) throws -> Void) rethrows -> Served.Options {
    var options = Served.Options()
    options.jobs = try JobSettings.with(change)
    return options
  }
}

/// A job whose body comes chunk by chunk.
struct JobConnection {
  let connection: RawConnection

  init(_ port: UInt16, _ fields: String...) throws {
    connection = try RawConnection(port)
    connection.send(
      "POST /v1/jobs HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
        + (fields.isEmpty ? ["Content-Type: application/x-ndjson"] : fields).map { "\($0)\r\n" }.joined() + "\r\n")
  }

  @discardableResult
  func send(_ bytes: some Collection<UInt8>, piece: Int = .max) -> Bool {
    var rest = bytes[...]
    var framed: [UInt8] = []
    while !rest.isEmpty {
      let part = rest.prefix(piece)
      rest = rest.dropFirst(part.count)
      framed += Array("\(String(part.count, radix: 16))\r\n".utf8) + part + Array("\r\n".utf8)
    }
    return connection.send(framed)
  }

  func finish() { connection.send("0\r\n\r\n") }
}

/// Lines of NDJSON, a reading each, numbered.
func numbered(_ range: Range<Int>, devices: Int = 10) -> String {
  range.reduce(into: "") { $0 += "\(reading("d\($1 % devices)", "n", value: "\($1)"))\n" }
}
