import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct RequestTests {
  @Test func `Requests share a connection`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      for index in 0..<20 {
        client.send(request("POST", "/echo", "Content-Length: \(String(index).count)", body: String(index)))
        let answer = try client.response()
        #expect(answer.status == 200 && answer.body == String(index))
        #expect(!answer.head.lowercased().contains("connection: close"))
        client.send(request("GET", "/ok"))
        #expect(try client.response().body == "fine")
        client.send(request("GET", "/missing"))
        #expect(try client.response().status == 404)
      }
      #expect(server.connectionCount == 1)
      #expect(service.counts.withLock { $0.begun } == 60)
      let summary = try #require(service.summaries.withLock { $0.first })
      #expect(summary.method == .post && summary.path == "/echo" && summary.status == 200)
      #expect(summary.receivedBytes == 1 && summary.duration > .zero && summary.duration < .seconds(30))
    }
  }

  @Test func `The head says what was sent`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      client.send(request("GET", "/head?a=x%20y+z&b&a=2&c=%zz", "X-TEST:  some value \t"))
      #expect(try client.response().body == "GET 127.0.0.1 [some value] [-] [x y z] [] [%zz] 10")
      for method in ["OPTIONS", "BREW", "PATCH", "DELETE", "get", "TRACE"] {
        client.send(request(method, "/head"))
        #expect(try client.response().body == "\(method) 127.0.0.1 [-] [-] [-] [-] [-] -1")
      }
      // A proxy's form of the target.
      client.send(request("GET", "http://test:80/ok?x"))
      #expect(try client.response().body == "fine")
      client.send(request("GET", "/%6fk"))
      #expect(try client.response().body.contains("no /%6fk"))
    }
  }

  @Test func `Answers without a body`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      client.send(request("HEAD", "/ok"))
      let answer = try client.response(toHead: true)
      #expect(
        answer.status == 200 && answer.head.contains("Content-Length: 4") && answer.head.contains("X-Custom: yes"))
      client.send(request("GET", "/none"))
      let none = try client.response()
      #expect(none.status == 204 && !none.head.contains("Content-Length"))
      client.send(request("POST", "/echo", "Content-Length: 0"))
      #expect(try client.response().status == 200)
    }
  }

  @Test func `Bodies arrive whole, however they are cut`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      for byte in request("POST", "/echo", "Content-Length: 5", body: "abcde").utf8 { client.send([byte]) }
      #expect(try client.response().body == "abcde")
      let chunked = "5\r\nabcde\r\n1;x=y\r\nf\r\n0\r\nTrailer: t\r\n\r\n"
      for byte in request("POST", "/echo", "Transfer-Encoding: Chunked", body: chunked).utf8 { client.send([byte]) }
      #expect(try client.response().body == "abcdef")
      client.send(request("POST", "/echo", "Transfer-Encoding: chunked", body: "0\r\n\r\n"))
      #expect(try client.response().body == "")
      let large = String(repeating: "0123456789", count: 300_000)
      DispatchQueue.global().async { client.send(request("POST", "/echo", "Content-Length: 3000000", body: large)) }
      #expect(try client.response().body == large)
    }
  }

  @Test func `Neither length nor chunks is known at the head`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      client.send(request("POST", "/length"))
      #expect(try client.response().status == 411)
      client.send(request("POST", "/length", "Content-Length: 1", body: "x"))
      #expect(try client.response().body == "x")
    }
  }

  @Test func `Pipelined requests are answered in order`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      let paths = ["/echo", "/later", "/instant", "/limit/100"]
      let all = (0..<400).map { index in
        request("POST", paths[index % 4], "Content-Length: 3", body: String(index + 100))
      }
      DispatchQueue.global().async { client.send(all.joined()) }
      for index in 0..<400 { #expect(try client.response().body == String(index + 100)) }
    }
  }

  @Test func `A client that waits is told to go on, or is refused before it sends`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/echo", "Content-Length: 2", "Expect: 100-continue"))
      #expect(try client.response().status == 100)
      client.send("ok")
      #expect(try client.response().body == "ok")
      client.send(request("POST", "/limit/10", "Content-Length: 11", "Expect: 100-continue"))
      #expect(try client.untilClosed().hasPrefix("HTTP/1.1 413"))
      #expect(service.counts.withLock { $0.abandoned } == 0)
    }
  }

  @Test func `HTTP 1.0`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      client.send("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
      #expect(try client.response().body == "hi")
      client.send("GET /ok HTTP/1.0\r\n\r\n")
      let answer = try client.untilClosed()
      #expect(answer.hasSuffix("\r\n\r\nfine") && answer.lowercased().contains("connection: close"))
    }
  }

  @Test func `What may be read in two ways is refused`() throws {
    let refused: [(String, Int)] = [
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\ncontent-length: 9\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n 2\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tContent-Length: 3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
      ("GET /o k HTTP/1.1\r\nHost: a\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n", 400),
      ("G(T /ok HTTP/1.1\r\nHost: a\r\n\r\n", 400),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
      ("GET /ok HTTP/3.0\r\nHost: a\r\n\r\n", 505),
      ("GET /ok HTTP/0.9\r\nHost: a\r\n\r\n", 505),
      ("GET /ok\r\n\r\n", 400),
      ("GET /\(String(repeating: "x", count: 40_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n", 431),
      ("GET /ok HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 40_000))\r\n\r\n", 431),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400),
      ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 413),
    ]
    try withServer { server, service in
      for (text, status) in refused {
        let client = try RawClient(server.port)
        // What follows must not be taken for a request of its own.
        client.send(text + "GET /ok HTTP/1.1\r\nHost: smuggled\r\n\r\n")
        let answer = try client.untilClosed()
        let shown = text.prefix(100).debugDescription
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(shown): \(answer)")
        #expect(!answer.contains("fine"), "\(shown)")
      }
      #expect(service.counts.withLock { $0.finished } == 0)
    }
  }

  @Test func `A prepared answer can be sent again and again`() throws {
    final class Constant: RequestHandler {
      let answer = Response.json(200, Array("[1]".utf8)).prepared()
      let constant = Response(status: 201, headers: [("A", "b")], body: .constant("static")).prepared()
      func begin(_ head: borrowing RequestHead) -> Disposition {
        .respond(head.path == "/c" ? constant : answer)
      }
    }
    let server = try HTTPServer(.init(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: Constant())
    defer { server.stop(timeout: .seconds(1)) }
    let client = try RawClient(server.port)
    for _ in 0..<100 {
      client.send(request("GET", "/") + request("GET", "/c"))
      let (a, b) = (try client.response(), try client.response())
      #expect(a.body == "[1]" && a.head.contains("Content-Type: application/json"))
      #expect(b.body == "static" && b.status == 201 && b.head.contains("A: b"))
    }
  }

  @Test func `Header fields that HTTP does not allow are left out`() throws {
    final class Odd: RequestHandler {
      func begin(_ head: borrowing RequestHead) -> Disposition {
        .respond(Response(status: 99, headers: [("X", "a\r\nInjected: b"), ("Content-Length", "7"), ("Y", "1")]))
      }
    }
    let server = try HTTPServer(.init(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: Odd())
    defer { server.stop(timeout: .seconds(1)) }
    let client = try RawClient(server.port)
    client.send(request("GET", "/"))
    let answer = try client.response()
    #expect(answer.status == 500 && answer.body == "")
    #expect(!answer.head.contains("Injected") && answer.head.contains("Y: 1"))
  }
}
