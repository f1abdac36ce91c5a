import Foundation
import HTTP
import HTTPClient
import Ingest
import Keys
import Operations
import Readings
import Testing
import WebSocket

/// The API with keys and every route, and what its document says of it.
private final class Described {
  let publisher: FakePublisher
  let routes: Routes
  let document: APIDocument
  private(set) var secrets: [String: String] = [:]
  /// `POST /v1/readings 202`: what was answered.
  private(set) var seen: Set<String> = []

  init(_ publisher: FakePublisher = FakePublisher(reportsAtOnce: true), asksForKeys: Bool = true) throws {
    self.publisher = publisher
    var file = KeyFile()
    for name in ["all", "one", "uplinks", "packs", "slow"] {
      secrets[name] = try file.create(name: name, at: 0) { key in
        key.prefixes = [""]
        switch name {
        case "one": (key.prefixes, key.devices) = ([], ["mine"])
        case "uplinks": key.dialects = ["ttn"]
        case "packs": key.dialects = ["senml"]
        case "slow": (key.rate, key.burst) = (0.1, 10)
        default: break
        }
      }.secret
    }
    let ring = KeyRing()
    ring.replace(with: file.keys)
    let metrics = Metrics()
    routes = Routes(
      publisher, readings: 20, metrics: metrics,
      authenticator: Authenticator(
        ring: asksForKeys ? ring : nil, metrics: metrics, now: { Routes.now }, clock: { 1_000_000_000_000 }),
      streams: try WebSocketServer(WebSocketServer.Configuration()))
    document = try APIDocument(routes.begin(.get, "/openapi.json", length: nil).text)
  }

  /// A request that an operation describes, filled in with its examples.
  struct Call {
    let method: HTTP.Method
    /// As in the document.
    let template: String
    let operation: [String: Any]
    var path: String
    var query: [(String, String)] = []
    var headers: [(String, String)] = []
    var body: String?

    var name: String { "\(method) \(template)" }
    var statuses: Set<String> { Set((operation["responses"] as? [String: Any] ?? [:]).keys) }
  }

  /// One for each body of each operation.
  var calls: [Call] {
    document.operations.flatMap { template, methods in
      methods.flatMap { method, operation in
        var call = Call(method: HTTP.Method(method), template: template, operation: operation, path: template)
        for parameter in operation["parameters"] as? [[String: Any]] ?? [] {
          guard let name = parameter["name"] as? String, let example = parameter["example"] as? String else { continue }
          switch parameter["in"] as? String {
          case "path": call.path = call.path.replacingOccurrences(of: "{\(name)}", with: example)
          case "query": call.query.append((name, example))
          default: call.headers.append((name, example))
          }
        }
        let content = (operation["requestBody"] as? [String: Any])?["content"] as? [String: [String: Any]]
        guard let content else { return [call] }
        return content.compactMap { type, body in
          guard let example = body["example"] else { return nil }
          let text =
            (example as? String)
            ?? String(decoding: (try? JSONSerialization.data(withJSONObject: example)) ?? Data(), as: UTF8.self)
          var call = call
          call.headers.append(("Content-Type", type))
          call.body = text
          return call
        }
      }
    }
  }

  /// Sends a call and holds the answer against the document.
  /// - Parameter length: of the body, as it is announced; nil: not at all.
  @discardableResult
  func send(
    _ call: Call, key: String? = "all", headers: [(String, String)] = [], body: String? = nil, length: Int?? = .none
  ) -> Request {
    let body = Array((body ?? call.body ?? "").utf8)
    let credentials = key.map { [("Authorization", "Bearer \(secrets[$0] ?? $0)")] } ?? []
    let announced: Int? = if case .some(let given) = length { given } else { call.body == nil ? nil : body.count }
    let request = Request(
      routes.service.begin(
        RequestHead(
          method: call.method, path: call.path, headers: headers + call.headers + credentials, query: call.query,
          contentLength: announced.map { Int64($0) })))
    request.send(body)
    request.finish()
    publisher.report { .timedOut($0) }
    check(request, call)
    return request
  }

  func check(_ request: Request, _ call: Call) {
    guard let answer = request.answer else {
      Issue.record("\(call.name): no answer")
      return
    }
    seen.insert("\(call.name) \(answer.status)")
    let problem = document.problem(answer.status, answer.headers, Array(request.text.utf8), to: call.operation)
    #expect(problem == nil, "\(call.name)")
  }
}

/// `/openapi.json` and the service say the same.
@Suite struct DocumentTests {
  @Test func `Every route is in the document, and every operation of the document is a route`() throws {
    let described = try Described()
    let documented = described.document.operations.flatMap { path, methods in methods.keys.map { "\($0) \(path)" } }
    let routed = described.routes.service.routes.map {
      "\($0.method) \($0.pattern.replacingOccurrences(of: "...}", with: "}"))"
    }
    #expect(Set(documented) == Set(routed) && documented.count == routed.count && documented.count >= 18)
    let names = described.calls.map { $0.operation["operationId"] as? String ?? "" }
    #expect(Set(names).count == documented.count && !names.contains(""))
  }

  @Test func `A path answers the methods of the document and no others`() throws {
    let described = try Described()
    let methods: [HTTP.Method] = [.get, .post, .put, .patch, .delete, .other("QUERY")]
    for call in described.calls {
      let documented = Set(described.document.operations[call.template]?.keys.map { $0 } ?? [])
      for method in methods where !documented.contains("\(method)") {
        let request = described.routes.begin(method, call.path, length: nil)
        #expect(request.status == 405, "\(method) \(call.path)")
        described.check(request, call)
        let allowed = Set((request.header("Allow") ?? "").components(separatedBy: ", "))
        #expect(allowed.subtracting(["HEAD", "OPTIONS"]) == documented)
      }
    }
  }

  @Test func `Every example is taken, and answered as its operation says`() throws {
    for asksForKeys in [true, false] {
      let described = try Described(asksForKeys: asksForKeys)
      for call in described.calls where call.template != "/v1/stream" {
        let request = described.send(call, key: asksForKeys ? "all" : nil)
        #expect((200...206).contains(request.status ?? 0), "\(call.name): \(request.text)")
      }
      #expect(described.publisher.published.count >= 14)
      let security = described.calls.map { ($0.operation["security"] as? [Any])?.isEmpty == false }
      #expect(security.contains(true) == asksForKeys)
    }
  }

  /// What each operation answers to a body of its own.
  private static let bodies: [(path: String, body: String, status: Int)] = [
    ("/v1/readings", "[]", 422), ("/v1/readings", "[{}]", 422), ("/v1/readings", "{", 400),
    ("/v1/readings", #"[{"device":"d","sensor":"s","value":1},1]"#, 207),
    ("/v1/readings", "[\([String](repeating: "1", count: 21).joined(separator: ","))]", 413),
    ("/api/v2/write", "m,device=d v=1\nbad", 400), ("/api/v2/write", "bad", 400), ("/api/v2/write", "", 204),
    ("/write", "m,device=d v=1\nbad", 400), ("/write", "bad", 400), ("/write", "", 204),
    ("/boxes/{box}/data", "{}", 422), ("/boxes/{box}/data", "{", 400),
    ("/boxes/{box}/{sensor}", #"{"value":"x"}"#, 422), ("/boxes/{box}/{sensor}", "{}", 400),
    ("/data.php", #"{"sensordatavalues":[]}"#, 422), ("/data.php", "{}", 400),
    ("/data.php", #"{"sensordatavalues":[{"value_type":"t","value":"x"}]}"#, 422),
    ("/data.php", #"{"sensordatavalues":[{"value_type":"t","value":"x"},{"value_type":"t","value":"1"}]}"#, 207),
    ("/v1/ttn", #"{"end_device_ids":{"device_id":"d"},"join_accept":{}}"#, 200), ("/v1/ttn", "{}", 400),
    ("/v1/ttn", #"{"end_device_ids":{"device_id":"!"},"uplink_message":{}}"#, 422),
    (
      "/v1/ttn", #"{"end_device_ids":{"device_id":"d"},"uplink_message":{"decoded_payload":{"a":1,"b":"nan"}}}"#, 207
    ),
    ("/v1.1/Observations", "[]", 422), ("/v1.1/Observations", "{}", 400),
    ("/v1.1/Observations", #"[{"result":1,"Datastream":{"@iot.id":1}},{}]"#, 207),
    ("/v1.1/{stream}/Observations", "[]", 422), ("/v1.1/{stream}/Observations", #"[{"result":1},{}]"#, 207),
  ]

  /// The same operation under other paths.
  private static let sames = [
    "/v1/push-sensor-data/": "/data.php", "/v1/push-sensor-data": "/data.php", "/v1/ttn/{kind}": "/v1/ttn",
    "/v1.0/Observations": "/v1.1/Observations", "/v1.0/{stream}/Observations": "/v1.1/{stream}/Observations",
  ]

  @Test func `Every answer is described, and every answer of the document is given`() throws {
    let described = try Described()
    let late = try Described(FakePublisher())
    for call in described.calls where call.body != nil {
      let isOf = { (path: String) in path == Self.sames[call.template] ?? call.template }
      described.send(call)
      if call.headers.contains(where: { $0.1 == "application/json" || $0.1 == "text/plain" }) {
        for (path, body, status) in Self.bodies where isOf(path) {
          #expect(described.send(call, body: body).status == status, "\(call.name): \(body)")
        }
      }
      described.send(call, key: nil)
      described.send(call, key: call.template.hasPrefix("/v1/ttn") ? "packs" : "uplinks")
      described.send(call, key: "one")
      described.send(call, headers: [("Content-Encoding", "br")])
      described.send(call, headers: [("Idempotency-Key", "a b")])
      described.send(call, length: .some(nil))
      described.send(call, length: 1 << 20)
      for _ in 0..<11 { described.send(call, key: "slow") }
      described.publisher.unavailability = "Kafka is away"
      described.send(call)
      described.publisher.unavailability = nil
      late.send(call)
      if call.path != call.template, !isOf("/v1/ttn") {
        var elsewhere = call
        elsewhere.path = call.path.replacingOccurrences(of: "5386e5fca0a2a8a0163c8ea1", with: "garden")
          .replacingOccurrences(of: "Datastreams", with: "Things")
        described.send(elsewhere)
      }
      var other = call
      other.headers = [("Content-Type", "application/xml")]
      if isOf("/v1/readings") || call.template.hasPrefix("/boxes") { described.send(other) }
    }
    for call in described.calls where call.body == nil {
      described.send(call)
      if call.template == "/health" {
        described.publisher.unavailability = "Kafka is away"
        described.send(call)
        described.publisher.unavailability = nil
      }
    }
    // Given before a request comes to its route: see the test below, and the one of methods.
    let always: Set = ["405", "408", "431", "501"]
    for call in described.calls {
      let given = described.seen.union(late.seen).filter { $0.hasPrefix(call.name + " ") }
        .map { String($0.dropFirst(call.name.count + 1)) }
      let missing = call.statuses.subtracting(given).subtracting(always)
      let byServer: Set = ["400", "403", "503"]
      if call.template == "/v1/stream" {
        #expect(missing == ["101", "400", "401", "403", "503"])
      } else {
        #expect(call.body == nil ? missing.isSubset(of: byServer) : missing.isEmpty, "\(call.name): \(missing)")
      }
    }
  }

  @Test func `What the server itself answers is described for every path`() throws {
    var options = Served.Options()
    options.others = .refusedLocally
    options.bodyTimeout = .milliseconds(100)
    try withServed(options) { served in
      let described = try Described()
      for call in described.calls {
        let length = call.body == nil ? 0 : 1
        func ask(_ fields: String..., status: Int, method: String? = nil) throws {
          let connection = try RawConnection(served.server.port)
          let lines = ["\(method ?? "\(call.method)") \(call.path) HTTP/1.1"] + fields
          connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
          let answer = try connection.receiveWhole()
          #expect(answer.status == status, "\(call.name)")
          let problem = described.document.problem(answer.status, answer.headers, answer.body, to: call.operation)
          #expect(problem == nil, "\(call.name)")
        }
        let host = "Host: 127.0.0.1"
        try ask("Host: a", "Host: b", status: 400)
        try ask(host, "Origin: https://evil.example", "Content-Length: \(length)", status: 403)
        try ask(host, status: 405, method: "DELETE")
        if call.body != nil { try ask(host, "Content-Type: application/json", "Content-Length: 1", status: 408) }
        try ask(host, "X: \(String(repeating: "x", count: 9_000))", status: 431)
        try ask(host, "Transfer-Encoding: gzip", status: 501)
        if call.template == "/v1/stream" {
          try ask(
            host, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", status: 101)
          try ask(
            host, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x",
            status: 400)
        }
      }
    }
  }

  /// With a body of their own and a thread that answers, they need a server.
  @Test func `Jobs answer as their operations say`() throws {
    try withServed { served in
      let document = try APIDocument(try served.get("/openapi.json").text)
      let paths = document.operations.filter { $0.key.hasPrefix("/v1/jobs") }
      #expect(paths.mapValues { Set($0.keys) } == ["/v1/jobs": ["GET", "POST"], "/v1/jobs/{id}": ["DELETE", "GET"]])
      func check(
        _ template: String, _ method: String, _ status: Int, path: String? = nil, _ headers: [(String, String)] = [],
        _ body: String? = nil
      ) throws -> HTTPResponse {
        let url = "http://127.0.0.1:\(served.server.port)\(path ?? template)"
        let answer = try HTTPClient().send(method, url, headers: headers, body: body.map { Array($0.utf8) } ?? [])
        #expect(answer.status == status, "\(method) \(template): \(answer.text)")
        let operation = try #require(paths[template]?[method])
        let headers = answer.headers.map { ($0.name, $0.value) }
        let problem = document.problem(answer.status, headers, answer.body, to: operation)
        #expect(problem == nil, "\(method) \(template) \(status)")
        return answer
      }
      let csv = ("Content-Type", "text/csv")
      let one = #"{"url":"https://example.org/a.csv","format":"csv"}"#
      let jobs = "/v1/jobs"
      let taken = try check(jobs, "POST", 202, [Served.lines], "\(reading("d"))\n{}\n")
      _ = try check(jobs, "POST", 202, [csv], "device,temperature\nd,21.5\n")
      _ = try check(jobs, "POST", 400, [Served.lines, ("Content-Encoding", "gzip")], "no gzip")
      _ = try check(jobs, "POST", 400, [Served.json], "{}")
      _ = try check(jobs, "POST", 403, [Served.json], one)
      _ = try check(jobs, "POST", 413, [Served.json], String(repeating: " ", count: 17 << 10))
      _ = try check(jobs, "POST", 415, [("Content-Type", "application/xml")], "<a/>")
      _ = try check(jobs, "POST", 415, [Served.lines, ("Content-Encoding", "br")], "a")
      _ = try check(jobs, "GET", 200)
      let path = try #require(taken.header("Location"))
      _ = try check("\(jobs)/{id}", "GET", 200, path: path)
      _ = try check("\(jobs)/{id}", "DELETE", 200, path: path)
      for method in ["GET", "DELETE"] { _ = try check("\(jobs)/{id}", method, 404, path: "\(jobs)/none") }
    }
  }
}
