import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct StartTests {
  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), (":8080", "", 8080), ("0.0.0.0:80", "0.0.0.0", 80),
    ("localhost:0", "localhost", 0), ("a.example:65535", "a.example", 65_535),
  ])
  func `Addresses`(text: String, host: String, port: Int) throws {
    let address = try ListenAddress(parsing: text)
    #expect(address.host == host && Int(address.port) == port)
    #expect(address.description == text)
  }

  @Test(arguments: [
    "", "8080", "localhost", "a:", "a:b", "a:-1", "a:+1", "a:65536", "::1:80", "[::1]", "[::1:80", "[]:80", "a b:80",
    "http://a:80", "a:80 ",
  ])
  func `What is no address is named`(text: String) throws {
    let error = try #require(throws: HTTPServerError.self) { try ListenAddress(parsing: text) }
    #expect(error.code == .badAddress && error.message.contains("'\(text)'"))
  }

  private func start(_ address: String, _ adjust: (inout HTTPServer.Configuration) -> Void = { _ in }) throws
    -> HTTPServer
  {
    var configuration = HTTPServer.Configuration(listen: try ListenAddress(parsing: address))
    adjust(&configuration)
    return try HTTPServer(configuration, handler: TestService())
  }

  @Test func `An address that cannot be had is named`() throws {
    let server = try start("127.0.0.1:0")
    defer { server.stop(timeout: .zero) }
    let inUse = try #require(throws: HTTPServerError.self) { try start("127.0.0.1:\(server.port)") }
    #expect(inUse.code == .addressInUse && inUse.message.contains("127.0.0.1:\(server.port)"))
    let foreign = try #require(throws: HTTPServerError.self) { try start("192.0.2.1:0") }
    #expect(foreign.code == .addressRefused && foreign.message.contains("192.0.2.1"))
    let unknown = try #require(throws: HTTPServerError.self) { try start("nowhere.invalid:0") }
    #expect(unknown.code == .badAddress && unknown.message.contains("nowhere.invalid"))
  }

  @Test func `Every interface`() throws {
    let server = try start(":0")
    defer { server.stop(timeout: .zero) }
    let client = try RawClient(server.port)
    client.send(request("GET", "/head"))
    // The address is written as IPv4 even though the socket takes both families.
    #expect(try client.response().body.hasPrefix("GET 127.0.0.1 "))
  }

  @Test func `The library's messages go to the callback`() throws {
    let messages = Mutex<[String]>([])
    let server = try start("127.0.0.1:0") { $0.log = { message in messages.withLock { $0.append(message) } } }
    defer { server.stop(timeout: .zero) }
    let client = try RawClient(server.port)
    client.send("GET / HTTP/9.9\r\n\r\n")
    #expect(try client.untilClosed().hasPrefix("HTTP/1.1 505"))
    #expect(messages.withLock { $0.contains { $0.contains("505") && !$0.hasSuffix("\n") } })
  }

  @Test func `TLS`() throws {
    let files = try TLSFixture()
    let server = try start("127.0.0.1:0") {
      $0.tls = .init(certificate: files.certificate, key: files.key)
      $0.bodyTimeout = .milliseconds(500)
    }
    defer { server.stop(timeout: .seconds(1)) }
    let url = "https://localhost:\(server.port)"
    let curl = [
      "/usr/bin/curl", "-s", "--cacert", files.certificate, "--resolve", "localhost:\(server.port):127.0.0.1",
    ]
    let echo = try TestServers.run(
      curl + ["-d", "one", "\(url)/echo", "--next", "-s", "--cacert", files.certificate, "-d", "two", "\(url)/later"])
    #expect(echo.code == 0 && echo.output == "onetwo")
    let untrusted = try TestServers.run(["/usr/bin/curl", "-s", "\(url)/ok"])
    #expect(untrusted.code == 60)
    let refused = try TestServers.run(
      curl + [
        "-w", "%{http_code}", "-o", "/dev/null", "-H", "Transfer-Encoding: chunked", "-d", "too long", "\(url)/limit/3",
      ])
    #expect(refused.output == "413")
    // No TLS at all, then a body that does not come: both end.
    let plain = try RawClient(server.port)
    plain.send(request("GET", "/ok"))
    #expect(!(try plain.untilClosed().contains("HTTP/1.1 200")))
    let slow = try TestServers.run(
      [
        "/bin/sh", "-c",
        "printf 'POST /echo HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 9\\r\\n\\r\\nx' | timeout 15 openssl s_client -quiet -connect 127.0.0.1:\(server.port) 2>/dev/null; echo ended",
      ])
    #expect(slow.output.contains("ended"))
    try eventually("closed") { server.connectionCount == 0 }
  }

  @Test func `Bad TLS files are named`() throws {
    let files = try TLSFixture()
    let other = try TLSFixture()
    func failure(_ certificate: String, _ key: String) throws -> HTTPServerError {
      try #require(throws: HTTPServerError.self) {
        try start("127.0.0.1:0") { $0.tls = .init(certificate: certificate, key: key) }
      }
    }
    let missing = try failure(files.certificate, "/nowhere/key.pem")
    #expect(missing.code == .badCertificate && missing.message.contains("/nowhere/key.pem"))
    for error in [
      try failure(files.certificate, other.key), try failure(files.key, files.key),
      try failure(files.certificate, "/dev/null"), try failure("/etc/hostname", files.key),
    ] {
      #expect(error.code == .badCertificate && error.message.contains("TLS"), "\(error)")
    }
  }
}
