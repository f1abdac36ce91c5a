import Foundation
import HTTPClient
import TestServers
import Testing

/// A server of Python's standard library, which says what it got.
private final class PythonServer {
  let port = TestServers.freePort()
  private let scheme: String
  private let ended = DispatchSemaphore(value: 0)

  init(certificate: String? = nil, key: String? = nil) throws {
    let program = """
      import http.server, ssl, sys, time, json, threading
      class H(http.server.BaseHTTPRequestHandler):
          protocol_version = 'HTTP/1.1'
          def do(self):
              body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
              if self.path == '/slow': time.sleep(5)
              if self.path == '/stop': threading.Thread(target=s.shutdown).start()
              if self.path == '/break': self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nabc'); self.close_connection = True; return
              if self.path == '/garbage': self.wfile.write(b'what?\\r\\n\\r\\n'); self.close_connection = True; return
              if self.path == '/interim': self.send_response_only(102); self.send_header('X-Interim', '1'); self.end_headers()
              out = b'x' * 100000 if self.path == '/large' else json.dumps(
                  {'method': self.command, 'path': self.path, 'headers': [[k, v] for k, v in self.headers.items()],
                   'body': body.decode(), 'client': self.client_address[1]}).encode()
              self.send_response(404 if self.path == '/404' else 200)
              self.send_header('X-Answer', '  spaced out ')
              self.send_header('Content-Length', str(len(out)))
              self.end_headers()
              if self.command != 'HEAD': self.wfile.write(out)
              if self.path == '/close': self.close_connection = True
          do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do
          def log_message(self, *a): pass
      s = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), H)
      if len(sys.argv) > 2:
          c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2], sys.argv[3])
          s.socket = c.wrap_socket(s.socket, server_side=True)
      s.serve_forever()
      """
    scheme = certificate == nil ? "http" : "https"
    let words = ["python3", "-c", program, "\(port)"] + [certificate, key].compactMap { $0 }
    Thread.detachNewThread { [ended] in
      _ = try? TestServers.run(words)
      ended.signal()
    }
    try eventually("python listens") { TestServers.accepts(port) }
  }

  deinit {
    var options = HTTPClient.Options()
    options.verifiesCertificates = false
    _ = try? HTTPClient(options).send("GET", "\(scheme)://127.0.0.1:\(port)/stop")
    ended.wait()
  }
}

private struct Seen: Decodable {
  let method: String
  let path: String
  let headers: [[String]]
  let body: String
  let client: Int

  func header(_ name: String) -> [String] { headers.filter { $0[0].lowercased() == name.lowercased() }.map { $0[1] } }
}

private func seen(_ response: HTTPResponse) throws -> Seen {
  try JSONDecoder().decode(Seen.self, from: Data(response.body))
}

@Suite struct HTTPClientTests {
  @Test func `Methods, bodies and header fields arrive, on one connection`() throws {
    let server = try PythonServer()
    let client = try HTTPClient()
    let base = "http://127.0.0.1:\(server.port)"
    var connections: Set<Int> = []
    for round in 0..<3 {
      for method in ["POST", "GET", "PUT", "HEAD", "POST", "DELETE", "GET", "POST"] {
        let headers = round == 1 ? [("X-A", "1"), ("Content-Type", "text/plain"), ("X-Empty", "")] : [("X-B", "2")]
        let response = try client.send(
          method, "\(base)/p/\(round)", headers: headers, body: Array("body \(round)".utf8))
        #expect(response.status == 200)
        #expect(response.header("x-ANSWER") == "spaced out" && response.header("nothing") == nil)
        if method == "HEAD" {
          #expect(response.body.isEmpty)
          continue
        }
        let got = try seen(response)
        connections.insert(got.client)
        #expect(got.method == method && got.path == "/p/\(round)")
        #expect(got.body == (method == "GET" ? "" : "body \(round)"))
        #expect(got.header("X-A") == (round == 1 ? ["1"] : []) && got.header("X-B") == (round == 1 ? [] : ["2"]))
        #expect(got.header("Content-Type") == (round == 1 ? ["text/plain"] : []))
        #expect(got.header("X-Empty") == (round == 1 ? [""] : []))
        #expect(got.header("User-Agent") == ["sluice"])
      }
    }
    #expect(connections.count == 1)
    let empty = try seen(client.send("POST", "\(base)/"))
    #expect(empty.header("Content-Length") == ["0"] && empty.body == "")
    let large = String(repeating: "y", count: 3_000_000)
    #expect(try seen(client.send("POST", "\(base)/", body: Array(large.utf8))).body == large)
  }

  @Test func `An answer with a bad status is an answer`() throws {
    let server = try PythonServer()
    let client = try HTTPClient()
    #expect(try client.send("GET", "http://127.0.0.1:\(server.port)/404").status == 404)
    let interim = try client.send("GET", "http://127.0.0.1:\(server.port)/interim")
    #expect(interim.status == 200 && interim.header("X-Interim") == nil)
    // A connection that the server closed is replaced.
    for _ in 0..<5 { #expect(try client.send("POST", "http://127.0.0.1:\(server.port)/close").status == 200) }
  }

  private func failure(_ url: String, _ options: HTTPClient.Options = .init(), timeout: Duration = .seconds(10)) throws
    -> HTTPClientError
  {
    let client = try HTTPClient(options)
    return try #require(throws: HTTPClientError.self) { try client.send("POST", url, body: [1], timeout: timeout) }
  }

  @Test func `Failures say what failed`() throws {
    let server = try PythonServer()
    let base = "http://127.0.0.1:\(server.port)"
    let nobody = try failure("http://127.0.0.1:\(TestServers.freePort())/")
    #expect(nobody.code == .unreachable && nobody.isRetriable && nobody.message.contains("127.0.0.1"))
    #expect(try failure("http://nowhere.invalid/").code == .unreachable)
    let slow = try failure("\(base)/slow", timeout: .milliseconds(200))
    #expect(slow.code == .timeout && slow.isRetriable)
    #expect(try failure("\(base)/break").code == .broken)
    #expect(try failure("\(base)/garbage").isRetriable)
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "http://a b/", ""] {
      let error = try failure(url)
      #expect(error.code == .badRequest && !error.isRetriable, "\(url): \(error)")
    }
    var options = HTTPClient.Options()
    options.bodyLimit = 99_999
    #expect(try failure("\(base)/large", options).code == .tooLarge)
    options.bodyLimit = 100_000
    #expect(try HTTPClient(options).send("GET", "\(base)/large").body.count == 100_000)
    let client = try HTTPClient()
    for header in [("X", "a\r\nY: b"), ("", "x"), ("A\nB", "c")] {
      #expect(throws: HTTPClientError.self) { try client.send("GET", base, headers: [header]) }
    }
    // After all that it still works.
    #expect(try client.send("GET", base + "/").status == 200)
  }

  @Test func `TLS is verified`() throws {
    let folder = TestServers.temporaryFolder("tls")
    let (certificate, key) = ("\(folder)/certificate.pem", "\(folder)/key.pem")
    let made = try TestServers.run([
      "/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
      "-days",
      "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
    ])
    #expect(made.code == 0)
    let server = try PythonServer(certificate: certificate, key: key)
    let url = "https://127.0.0.1:\(server.port)/"
    #expect(try failure(url).code == .tls)
    var options = HTTPClient.Options()
    options.certificateAuthority = certificate
    #expect(try HTTPClient(options).send("GET", url).status == 200)
    options.certificateAuthority = "/nowhere.pem"
    #expect(try failure(url, options).code == .tls)
  }
}
