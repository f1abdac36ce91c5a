import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct TLSTests {
  private static func serve(
    _ files: TLSFixture, authorities: String? = nil, bodyTimeout: Duration = .seconds(20),
    _ body: (HTTPServer, TestService) throws -> Void
  ) throws {
    try withServer(
      settings {
        $0.tls = .init(certificate: files.certificate, key: files.key, clientAuthorities: authorities)
        $0.bodyTimeout = bodyTimeout
      }, body)
  }

  private static func curl(
    _ server: HTTPServer, trusting certificate: String, _ path: String, _ more: [String] = []
  ) throws -> (code: Int32, output: String) {
    try TestServers.run(
      [
        "/usr/bin/curl", "-s", "--max-time", "30", "--cacert", certificate, "--resolve",
        "localhost:\(server.port):127.0.0.1",
      ] + more + ["https://localhost:\(server.port)\(path)"])
  }

  private static func copy(_ from: TLSFixture, to: TLSFixture) throws {
    for (source, target) in [(from.certificate, to.certificate), (from.key, to.key)] {
      try String(contentsOfFile: source, encoding: .utf8).write(toFile: target, atomically: true, encoding: .utf8)
    }
  }

  @Test func `A new certificate is for new connections, and the open ones go on`() throws {
    let files = try TLSFixture()
    let old = try TLSFixture()
    let new = try TLSFixture()
    try Self.copy(old, to: files)
    try Self.serve(files) { server, service in
      let open = DispatchSemaphore(value: 0)
      let output = Mutex("")
      Thread.detachNewThread {
        let answer = try? Self.curl(server, trusting: old.certificate, "/held", ["-d", "on the old connection"])
        output.withLock { $0 = answer?.output ?? "" }
        open.signal()
      }
      try eventually("held") { service.held.withLock { $0.count == 1 } }
      #expect(try !server.reloadTLS(), "nothing is new")
      try Self.copy(new, to: files)
      #expect(try server.reloadTLS())
      #expect(try Self.curl(server, trusting: new.certificate, "/ok").output == "fine")
      #expect(try Self.curl(server, trusting: old.certificate, "/ok").code == 60)
      service.held.withLock { $0[0].respond(Response(status: 200, body: .constant("done"))) }
      open.wait()
      #expect(output.withLock { $0 } == "done")
    }
  }

  @Test func `A broken pair leaves the last good one`() throws {
    let files = try TLSFixture()
    let good = try TLSFixture()
    let other = try TLSFixture()
    try Self.copy(good, to: files)
    try Self.serve(files) { server, _ in
      let key = try String(contentsOfFile: other.key, encoding: .utf8)
      for text in [key, "", "nonsense"] {
        try text.write(toFile: files.key, atomically: true, encoding: .utf8)
        let error = try #require(throws: HTTPServerError.self) { try server.reloadTLS() }
        #expect(error.code == .badCertificate && error.message.contains(files.key))
        #expect(!error.message.contains("PRIVATE"))
        #expect(try Self.curl(server, trusting: good.certificate, "/ok").output == "fine")
      }
      unlink(files.key)
      #expect(throws: HTTPServerError.self) { try server.reloadTLS() }
      try Self.copy(other, to: files)
      #expect(try server.reloadTLS())
      #expect(try Self.curl(server, trusting: other.certificate, "/ok").output == "fine")
    }
  }

  @Test func `Old versions of TLS are refused`() throws {
    let files = try TLSFixture()
    try Self.serve(files) { server, _ in
      func handshake(_ version: String) throws -> String {
        try TestServers.run([
          "/bin/sh", "-c",
          "echo | timeout 20 openssl s_client -\(version) -cipher 'ALL:@SECLEVEL=0' -connect 127.0.0.1:\(server.port) 2>&1",
        ]).output
      }
      for (version, answer) in [
        ("tls1", "Cipher is (NONE)"), ("tls1_1", "Cipher is (NONE)"), ("tls1_2", "Protocol  : TLSv1.2"),
        ("tls1_3", "New, TLSv1.3, Cipher is TLS"),
      ] {
        let output = try handshake(version)
        #expect(output.contains(answer), "\(output)")
      }
    }
  }

  /// With the client paused, or sending, or silent; or too slow; or as slow as it likes.
  @Test(arguments: [0, 1, 2, 3, 4]) func `In the middle of a body there is an answer too`(_ state: Int) throws {
    let files = try TLSFixture()
    let fifo = "\(TestServers.temporaryFolder("body"))/fifo"
    #expect(mkfifo(fifo, 0o600) == 0)
    // Also for reading, so that opening it does not wait.
    let writer = open(fifo, O_RDWR | O_CLOEXEC)
    defer { close(writer) }
    func send(_ text: String) { #expect(write(writer, text, text.utf8.count) == text.utf8.count) }
    try Self.serve(files, bodyTimeout: state >= 3 ? .milliseconds(300) : .seconds(20)) { server, service in
      let answer = Mutex<String?>(nil)
      let client = Thread {
        let command =
          "exec timeout 30 openssl s_client -quiet -connect 127.0.0.1:\(server.port) -CAfile \(files.certificate) < \(fifo)"
        let output = try? TestServers.run(["/bin/sh", "-c", command]).output
        answer.withLock { $0 = output ?? "" }
      }
      client.start()
      send(request("POST", state == 4 ? "/patient" : "/paused", "Content-Length: 1000000", body: "a"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      let exchange = service.held.withLock { $0[0] }
      if state > 0 { exchange.resume() }
      if state == 4 { usleep(700_000) }
      if state != 3 { exchange.cutOff(.error(409, code: "cancelled", message: "no more")) }
      if state == 1 { send(String(repeating: "b", count: 10_000)) }
      try eventually("the connection has ended") { answer.withLock { $0 != nil } }
      let text = answer.withLock { $0 ?? "" }
      #expect(text.contains(state == 3 ? "HTTP/1.1 408 " : "HTTP/1.1 409 "), "\(text)")
      #expect(text.contains("no more") == (state != 3))
    }
  }

  @Test func `A client's certificate counts when an authority vouches for it`() throws {
    let files = try TLSFixture()
    let authority = try TLSFixture()
    let stranger = try TLSFixture()
    let folder = TestServers.temporaryFolder("client")
    let made = try TestServers.run([
      "/bin/sh", "-c",
      """
      cd \(folder) && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=sensor \
      -keyout key.pem -out request.pem && openssl x509 -req -days 2 -in request.pem -CA \(authority.certificate) \
      -CAkey \(authority.key) -CAcreateserial -out certificate.pem
      """,
    ])
    #expect(made.code == 0, "\(made.output)")
    let own = ["--cert", "\(folder)/certificate.pem", "--key", "\(folder)/key.pem"]
    let foreign = ["--cert", stranger.certificate, "--key", stranger.key]
    try Self.serve(files, authorities: authority.certificate) { server, _ in
      func shown(_ more: [String]) throws -> String {
        try Self.curl(server, trusting: files.certificate, "/certificate", more).output
      }
      let (known, without, unknown) = (try shown(own), try shown([]), try shown(foreign))
      #expect(known.hasSuffix("bytes") && without == "none" && unknown == "none")
    }
    // Nobody is asked without authorities.
    try Self.serve(files) { server, _ in
      let answer = try Self.curl(server, trusting: files.certificate, "/certificate", own)
      #expect(answer.output == "none")
    }
    #expect(throws: HTTPServerError.self) { try Self.serve(files, authorities: files.key) { _, _ in } }
  }
}
