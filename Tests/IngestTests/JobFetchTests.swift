import Foundation
import HTTPClient
import Ingest
import Operations
import TestServers
import Testing

/// Jobs that fetch, from a server of Python's.
@Suite struct JobFetchTests {
  private final class Files {
    let port = TestServers.freePort()
    private let process: ChildProcess

    /// - Parameter other: the port of a server that redirects lead to.
    init(other: UInt16 = 1) throws {
      let program = """
        import http.server, sys, gzip, time
        port, other = int(sys.argv[1]), sys.argv[2]
        lines = b''.join(b'{"device":"d%d","sensor":"s","value":%d}\\n' % (i % 10, i) for i in range(20000))
        class H(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split('?')[0]
                def answer(status, body, **fields):
                    self.send_response(status)
                    self.send_header('Content-Length', str(len(body)))
                    for k, v in fields.items(): self.send_header(k, v)
                    self.end_headers()
                    self.wfile.write(body)
                if path == '/data/lines': answer(200, lines)
                elif path == '/data/lines.gz': answer(200, gzip.compress(lines, 1))
                elif path == '/data/rows': answer(200, b'device,sensor,value\\n' + b'd,s,1\\n' * 500 + b'no\\n')
                elif path == '/data/near': answer(302, b'there', Location='lines?x=1')
                elif path == '/data/far': answer(302, b'there', Location='http://127.0.0.1:%s/data/lines' % other)
                elif path == '/data/up': answer(307, b'there', Location='/secret')
                elif path == '/data/round': answer(302, b'there', Location='/data/round')
                elif path == '/secret': answer(200, lines)
                elif path == '/data/part':
                    self.send_response(200); self.send_header('Content-Length', '1000000'); self.end_headers()
                    self.wfile.write(lines[:100000])
                elif path == '/data/hang':
                    self.send_response(200); self.send_header('Content-Length', '1000000'); self.end_headers()
                    self.wfile.write(lines[:100000]); self.wfile.flush(); time.sleep(60)
                elif path == '/data/mute': time.sleep(60)
                else: answer(404, b'no')
            def log_message(self, *a): pass
        http.server.ThreadingHTTPServer(('127.0.0.1', port), H).serve_forever()
        """
      process = try ChildProcess(
        ["python3", "-c", program, "\(port)", "\(other)"], output: "\(TestServers.temporaryFolder("fetch"))/out")
      try eventually("python listens") { [port] in TestServers.accepts(port) }
    }

    deinit { process.kill() }

    var url: String { "http://127.0.0.1:\(port)" }
  }

  private func withFiles(silence: Duration = .seconds(60), _ body: (Served, Files) throws -> Void) throws {
    let files = try Files()
    let options = try Served.Options.jobs { settings in
      settings.allowance = try FetchAllowance("\(files.url)/data/")
      settings.silence = silence
    }
    try withServed(options) { try body($0, files) }
  }

  @Test func fetches() throws {
    try withFiles { served, files in
      for (path, gzip) in [("lines", nil), ("lines", false), ("lines.gz", nil), ("lines.gz", true), ("near", nil)] {
        let job = try served.fetch("\(files.url)/data/\(path)?sig=secret", gzip: gzip)
        #expect(job.state == "done" && job.accepted == 20_000 && job.lines == 20_000, "\(path): \(job)")
      }
      let rows = try served.fetch("\(files.url)/data/rows", "csv")
      #expect(rows.state == "done" && rows.accepted == 500 && rows.errors?.map(\.line) == [502], "\(rows)")
      #expect(!(try served.get("/v1/jobs/\(rows.id)").text.contains("secret")))
      #expect(try served.get("/v1/jobs").text.contains("\"url\":\"\(files.url)/data/rows\""))
    }
  }

  @Test func doesNotGoWhereItMayNot() throws {
    let other = try Files()
    let files = try Files(other: other.port)
    let options = try Served.Options.jobs { $0.allowance = try FetchAllowance("\(files.url)/data/") }
    try withServed(options) { served in
      func post(_ url: String) throws -> (status: Int, text: String) {
        let answer = try served.postJob(Array("{\"url\":\"\(url)\",\"format\":\"ndjson\"}".utf8), [Served.json])
        return (answer.status, answer.text)
      }
      for url in ["\(other.url)/data/lines", "\(files.url)/secret", "http://localhost:\(files.port)/data/lines"] {
        let answer = try post(url)
        #expect(answer.status == 403 && apiErrorCode(answer.text) == "url_not_allowed", "\(answer)")
      }
      for url in ["file:///etc/passwd", "\(files.url)/data/../secret", "http://u@127.0.0.1:\(files.port)/data/lines"] {
        #expect(try post(url).status == 400)
      }
      #expect(try served.jobs().isEmpty)
      for path in ["far", "up"] {
        let job = try served.fetch("\(files.url)/data/\(path)")
        #expect(job.state == "failed" && job.accepted == 0 && job.reason?.contains("redirects to where") == true)
      }
      #expect(try served.fetch("\(files.url)/data/round").reason?.contains("more than 5 redirects") == true)
      #expect(try served.stored().isEmpty)
    }
    try withServed { served in
      let answer = try served.postJob(
        Array("{\"url\":\"\(files.url)/data/lines\",\"format\":\"ndjson\"}".utf8), [Served.json])
      #expect(answer.status == 403)
    }
  }

  @Test func saysWhyAFetchFailed() throws {
    try withFiles(silence: .seconds(1)) { served, files in
      let missing = try served.fetch("\(files.url)/data/none?sig=secret")
      #expect(missing.state == "failed" && missing.reason == "\(files.url)/data/none: the server answered 404")
      for path in ["hang", "mute"] {
        let job = try served.fetch("\(files.url)/data/\(path)")
        #expect(job.state == "failed" && job.reason?.contains("nothing came for") == true, "\(job)")
        #expect((job.accepted > 1_000) == (path == "hang"))
      }
      let part = try served.fetch("\(files.url)/data/part?sig=secret")
      #expect(part.state == "failed" && part.accepted > 1_000, "\(part)")
      #expect(part.reason?.contains("\(files.url)/data/part") == true && part.reason?.contains("secret") == false)
      let packed = try served.fetch("\(files.url)/data/lines", gzip: true)
      #expect(packed.state == "failed" && packed.reason?.contains("packed") == true)
    }
  }

  @Test func aFetchIsCancelledAndStopped() throws {
    try withFiles(silence: .seconds(50)) { served, files in
      let body = Array("{\"url\":\"\(files.url)/data/hang\",\"format\":\"ndjson\"}".utf8)
      #expect(try served.postJob(body, [Served.json]).status == 202)
      try eventually("it runs") { try served.onlyJob().accepted > 1_000 }
      let id = try served.onlyJob().id
      _ = try served.get("/v1/jobs/\(id)", method: "DELETE")
      try eventually(timeout: .seconds(10), "it ends") { try served.job(id).ended != nil }
      #expect(try served.job(id).state == "cancelled")
      #expect(try served.postJob(body, [Served.json]).status == 202)
      try eventually("it runs") { try served.jobs()[0].accepted > 1_000 }
      served.jobService.stop(timeout: .seconds(10))
      #expect(try served.jobs()[0].state == "failed")
      #expect(try served.postJob(body, [Served.json]).status == 503)
    }
  }
}
