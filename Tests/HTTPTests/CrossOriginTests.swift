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
      #expect(answer.head.contains("Access-Control-Allow-Methods: GET, POST"))
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
}
