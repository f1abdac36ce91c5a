import HTTP
import Testing

@Suite struct CrossOriginTests {
  private static func serve(_ origins: [String], _ body: (RawClient) throws -> Void) throws {
    try withServer(
      settings {
        $0.crossOrigin.origins = origins
        $0.crossOrigin.requestHeaders = ["Authorization"]
        $0.crossOrigin.exposedHeaders = ["Retry-After"]
      }
    ) { server, _ in try body(try RawClient(server.port)) }
  }

  private static let preflight = [
    "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization",
  ]

  @Test func `A page of a known origin may send and read`() throws {
    try Self.serve(["https://a.example", "https://b.example"]) { client in
      client.send(request("POST", "/later", "Origin: https://b.example", "Content-Length: 1", body: "x"))
      let head = try client.response().head
      #expect(head.contains("Access-Control-Allow-Origin: https://b.example\r\n") && head.contains("Vary: Origin"))
      #expect(head.contains("Access-Control-Expose-Headers: Retry-After"))
      #expect(!head.contains("Allow-Credentials"))
    }
    try Self.serve(["https://a.example"]) { client in
      client.send(request("OPTIONS", "/echo", "Origin: https://a.example", Self.preflight[0], Self.preflight[1]))
      let answer = try client.response()
      #expect(answer.status == 204 && answer.head.contains("Access-Control-Allow-Origin: https://a.example\r\n"))
      #expect(answer.head.contains("Access-Control-Allow-Methods: GET, POST, DELETE"))
      #expect(answer.head.contains("Access-Control-Allow-Headers: Authorization"))
      #expect(answer.head.contains("Access-Control-Max-Age: 600"))
    }
  }

  @Test(arguments: ["https://evil.example", "https://a.example.evil", "null", "http://a.example", "HTTPS://A.EXAMPLE"])
  func `Others may not`(origin: String) throws {
    try Self.serve(["https://a.example"]) { client in
      client.send(request("GET", "/ok", "Origin: \(origin)"))
      let answer = try client.response()
      #expect(answer.status == 200 && !answer.head.contains("Access-Control") && answer.head.contains("Vary: Origin"))
    }
    try Self.serve(["https://a.example"]) { client in
      client.send(request("OPTIONS", "/ok", "Origin: \(origin)", Self.preflight[0]))
      let answer = try client.response()
      #expect(answer.status == 204 && !answer.head.contains("Access-Control"))
    }
  }

  @Test func `The star is for all`() throws {
    try Self.serve(["*"]) { client in
      client.send(request("GET", "/ok", "Origin: https://any.example"))
      let asked = try client.response().head
      #expect(asked.contains("Access-Control-Allow-Origin: *\r\n"))
      client.send(request("GET", "/ok"))
      let plain = try client.response().head
      #expect(!plain.contains("Access-Control"))
    }
  }

  @Test func `It is off unless somebody is named`() throws {
    try Self.serve([]) { client in
      client.send(request("GET", "/ok", "Origin: https://a.example"))
      let head = try client.response().head
      #expect(!head.contains("Access-Control") && !head.contains("Vary"))
    }
  }

  private static func ask(
    _ others: CrossOrigin.Others, origins: [String] = [], method: String = "POST", host: String, origin: String?
  ) throws -> (status: Int, head: String) {
    var answer = (status: 0, head: "")
    try withServer(
      settings {
        $0.crossOrigin.others = others
        $0.crossOrigin.origins = origins
      }
    ) { server, _ in
      let client = try RawClient(server.port)
      let lines = ["\(method) /ok HTTP/1.1", "Host: \(host)"] + (origin.map { ["Origin: \($0)"] } ?? [])
      client.send((lines + ["Content-Length: 1", "", "x"]).joined(separator: "\r\n"))
      let received = try client.response()
      answer = (received.status, received.head)
    }
    return answer
  }

  @Test(arguments: [
    "https://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:80801", "http://localhost:8080",
    "127.0.0.1:8080",
  ])
  func `Foreign pages are refused`(origin: String) throws {
    for others in [CrossOrigin.Others.refused, .refusedLocally] {
      for method in ["POST", "GET", "OPTIONS"] {
        let answer = try Self.ask(others, method: method, host: "127.0.0.1:8080", origin: origin)
        #expect(answer.status == 403 && !answer.head.contains("Access-Control"), "\(answer.head)")
      }
      // One that was named may, and so may all with the star.
      #expect(try Self.ask(others, origins: [origin], host: "127.0.0.1:8080", origin: origin).status != 403)
      #expect(try Self.ask(others, origins: ["*"], host: "127.0.0.1:8080", origin: origin).status != 403)
      #expect(try Self.ask(others, origins: ["http://a"], host: "127.0.0.1:8080", origin: origin).status == 403)
    }
  }

  @Test(arguments: ["127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080", "sluice.localhost:1", "192.0.2.1"])
  func `The server's own pages, and programs that are none, are answered`(host: String) throws {
    for others in [CrossOrigin.Others.refused, .refusedLocally] {
      for origin in ["http://\(host)", "https://\(host)", nil] {
        #expect(try Self.ask(others, host: host, origin: origin).status != 403)
      }
    }
  }

  @Test(arguments: ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[evil", "[::1.evil]", ""])
  func `A name that may be anybody's is not the server's own on a loopback address`(host: String) throws {
    #expect(try Self.ask(.refusedLocally, host: host, origin: "http://\(host)").status == 403)
    #expect(try Self.ask(.refusedLocally, host: host, origin: nil).status != 403)
    #expect(try Self.ask(.refused, host: host, origin: "http://\(host)").status != 403)
  }
}
