import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct LimitTests {
  @Test func `A body that is too long by its head is refused unread`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/limit/10", "Content-Length: 10000000000", body: "abc"))
      let answer = try client.untilClosed()
      #expect(answer.hasPrefix("HTTP/1.1 413") && answer.contains("too_large"))
      // A small one is dropped, and the connection stays.
      let other = try RawClient(server.port)
      for _ in 0..<3 {
        other.send(request("POST", "/limit/10", "Content-Length: 1000"))
        other.send(String(repeating: "x", count: 1000))
        let answer = try other.response()
        #expect(answer.status == 413 && !answer.head.contains("close"))
      }
      #expect(service.counts.withLock { $0.finished } == 0)
    }
  }

  @Test func `A client that sends on regardless sees why it was refused`() throws {
    try withServer { server, _ in
      for framing in ["Content-Length: 4000000", "Transfer-Encoding: chunked"] {
        for _ in 0..<10 {
          let client = try RawClient(server.port)
          let piece = String(repeating: "x", count: 65_536)
          let chunk = framing.hasPrefix("T") ? "10000\r\n\(piece)\r\n" : piece
          client.send(request("POST", "/limit/10", framing))
          // Far more than the sockets hold, so that the server must read or break the connection.
          for _ in 0..<60 where !client.send(chunk) { break }
          #expect(try client.untilClosed().hasPrefix("HTTP/1.1 413"))
        }
      }
    }
  }

  @Test func `A body that becomes too long is refused while it comes`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      for _ in 0..<3 {
        client.send(request("POST", "/limit/4", "Transfer-Encoding: chunked", body: "3\r\nabc\r\n"))
        client.send("3\r\ndef\r\n3\r\nghi\r\n0\r\n\r\n")
        #expect(try client.response().status == 413)
      }
      client.send(request("POST", "/limit/4", "Transfer-Encoding: chunked", body: "3\r\nabc\r\n0\r\n\r\n"))
      #expect(try client.response().body == "abc")
      #expect(service.counts.withLock { $0.finished == 1 && $0.abandoned == 0 })
    }
  }

  @Test(arguments: [
    "Content-Length: 10", "Content-Length: 1000000", "Transfer-Encoding: chunked",
  ])
  func `A body that stops coming is answered 408`(framing: String) throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/echo", framing, body: framing.hasPrefix("T") ? "3\r\nabc\r\n" : "abc"))
      let answer = try client.untilClosed()
      #expect(
        answer.hasPrefix("HTTP/1.1 408") && answer.contains("\"timeout\"") && answer.contains("Connection: close"))
      try eventually("abandoned") { service.counts.withLock { $0.abandoned == 1 && $0.completed == 1 } }
      #expect(service.summaries.withLock { $0[0].status } == 408)
    }
  }

  @Test(arguments: [
    ("Content-Length: 1000", "x", "x"), ("Transfer-Encoding: chunked", "", "1\r\nx\r\n"),
    // Bytes of which the handler never hears.
    ("Transfer-Encoding: chunked", "1;x=", "y"), ("Transfer-Encoding: chunked", "0\r\nX: y", "z"),
  ])
  func `A body that drips is answered 408`(framing: String, first: String, drop: String) throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(500) }) { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/echo", framing, body: first))
      let start = ContinuousClock.now
      // The dripping itself is the subject here.
      while ContinuousClock.now - start < .seconds(20), !client.hasNews, client.send(drop) { usleep(50_000) }
      #expect(ContinuousClock.now - start < .seconds(20))
      #expect(try client.untilClosed().hasPrefix("HTTP/1.1 408"))
      try eventually("abandoned") { service.counts.withLock { $0.abandoned == 1 && $0.completed == 1 } }
    }
  }

  @Test func `A long body may take its time if it keeps coming`() throws {
    try withServer(
      settings {
        $0.bodyTimeout = .milliseconds(600)
        $0.minimumBodyRate = 1000
      }
    ) { server, _ in
      let client = try RawClient(server.port)
      client.send(request("POST", "/echo", "Content-Length: 12000"))
      for _ in 0..<12 {
        client.send(String(repeating: "x", count: 1000))
        usleep(100_000)
      }
      #expect(try client.response().body.count == 12_000)
    }
  }

  @Test func `A refused body that stops coming ends with the refusal`() throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/limit/4", "Transfer-Encoding: chunked", body: "6\r\nabcdef\r\n"))
      #expect(try client.untilClosed().hasPrefix("HTTP/1.1 413"))
      try eventually("completed") { service.counts.withLock { $0.completed == 1 } }
      #expect(service.counts.withLock { $0.abandoned } == 0)
      #expect(service.summaries.withLock { $0[0].status } == 413)
    }
  }

  @Test func `A connection without a request is closed, also when the head drips`() throws {
    try withServer(settings { $0.idleTimeout = .milliseconds(400) }) { server, service in
      let silent = try RawClient(server.port)
      let served = try RawClient(server.port)
      let dripping = try RawClient(server.port)
      served.send(request("GET", "/ok"))
      #expect(try served.response().status == 200)
      #expect(try silent.untilClosed() == "")
      #expect(try served.untilClosed() == "")
      let start = ContinuousClock.now
      dripping.send("GET /ok HTTP/1.1\r\nX: ")
      while ContinuousClock.now - start < .seconds(20), !dripping.hasNews, dripping.send("x") { usleep(50_000) }
      #expect(ContinuousClock.now - start < .seconds(20))
      try eventually("closed") { server.connectionCount == 0 }
      #expect(service.counts.withLock { $0.begun } == 1)
    }
  }

  @Test func `A suspended request outlives the timeouts`() throws {
    try withServer(
      settings {
        $0.idleTimeout = .milliseconds(200)
        $0.bodyTimeout = .milliseconds(200)
      }
    ) { server, service in
      let client = try RawClient(server.port)
      let idle = try RawClient(server.port)
      client.send(request("POST", "/held", "Content-Length: 1", body: "x"))
      // A connection that is closed for idling tells that the time is over.
      #expect(try idle.untilClosed() == "")
      usleep(300_000)
      service.held.withLock { $0[0].respond(Response(status: 200, body: .constant("done"))) }
      #expect(try client.response().body == "done")
    }
  }

  @Test func `Connections beyond the limit wait their turn`() throws {
    try withServer(settings { $0.connectionLimit = 2 }) { server, _ in
      var first: RawClient? = try RawClient(server.port)
      let second = try RawClient(server.port)
      for client in [first!, second] {
        client.send(request("GET", "/ok"))
        #expect(try client.response().status == 200)
      }
      let third = try RawClient(server.port)
      third.send(request("GET", "/ok"))
      second.send(request("GET", "/ok"))
      #expect(try second.response().status == 200)
      #expect(server.connectionCount == 2 && third.received.isEmpty)
      first = nil
      #expect(try third.response().status == 200)
    }
  }

  @Test func `One address has a limit of its own`() throws {
    try withServer(settings { $0.perAddressLimit = 3 }) { server, _ in
      var clients = try (0..<3).map { _ in try RawClient(server.port) }
      for client in clients {
        client.send(request("GET", "/ok"))
        #expect(try client.response().status == 200)
      }
      #expect(try RawClient(server.port).untilClosed() == "")
      clients.removeLast()
      try eventually("closed") { server.connectionCount == 2 }
      let next = try RawClient(server.port)
      next.send(request("GET", "/ok"))
      #expect(try next.response().status == 200)
    }
  }
}
