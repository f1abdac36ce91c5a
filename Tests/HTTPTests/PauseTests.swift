import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

/// Clients that are made to wait in the middle of their bodies.
@Suite struct PauseTests {
  private func chunked(_ body: String, _ size: Int) -> String {
    var rest = body.utf8[...]
    var framed = ""
    while !rest.isEmpty {
      let part = rest.prefix(size)
      framed += "\(String(part.count, radix: 16))\r\n\(String(decoding: part, as: UTF8.self))\r\n"
      rest = rest.dropFirst(size)
    }
    return framed + "0\r\n\r\n"
  }

  @Test(arguments: [1, 3, 1_000, 100_000]) func `Each piece is paused, and none is lost or comes twice`(_ size: Int)
    throws
  {
    try withServer { server, service in
      let body = (0..<(size < 10 ? 400 : 40_000)).map { "\($0)," }.joined()
      let client = try RawClient(server.port)
      for _ in 0..<2 {
        client.send(request("POST", "/stutter", "Transfer-Encoding: chunked", body: chunked(body, size)))
        #expect(try client.response().body == body)
        client.send(request("POST", "/stutter", "Content-Length: \(body.utf8.count)", body: body))
        #expect(try client.response().body == body)
      }
      // Pipelined behind it.
      client.send(
        request("POST", "/stutter", "Transfer-Encoding: chunked", body: chunked("a", 1)) + request("GET", "/ok"))
      #expect(try client.response().body == "a" && client.response().body == "fine")
    }
  }

  @Test func `Nothing is read while it is paused, and its time stands still`() throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/paused", "Transfer-Encoding: chunked", body: "1\r\na\r\n1\r\nb\r\n"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      // Longer than a body may take; that it is not ended is seen by nothing happening.
      usleep(1_000_000)
      #expect(service.counts.withLock { $0.pieces } == 1 && !client.hasNews)
      service.held.withLock { $0 }[0].resume()
      try eventually("it is paused again") { service.held.withLock { $0.count } == 2 }
      service.held.withLock { $0 }[1].resume()
      client.send("0\r\n\r\n")
      #expect(try client.response().body == "ab")
    }
  }

  @Test func `Paused at its end, it is asked once more`() throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      for number in 0..<2 {
        client.send(request("POST", "/again", "Content-Length: 3", body: "abc"))
        try eventually("it is paused") { service.held.withLock { $0.count } == number + 1 }
        service.held.withLock { $0[number] }.resume()
        #expect(try client.response().body == "abc")
      }
      #expect(service.counts.withLock { $0.finished } == 4)
      client.send(request("POST", "/again", body: ""))
      try eventually("it is paused") { service.held.withLock { $0.count } == 3 }
      server.stop(timeout: .milliseconds(100))
      #expect(try client.response().status == 503)
    }
  }

  @Test func `An answer comes later, and others meanwhile`() throws {
    try withServer { server, service in
      let clients = try (0..<20).map { _ in try RawClient(server.port) }
      for _ in 0..<2 {
        for client in clients { client.send(request("POST", "/delayed", "Content-Length: 3", body: "abc")) }
        try eventually("all are there") { service.counts.withLock { $0.finished } % 20 == 0 }
        let other = try RawClient(server.port)
        other.send(request("GET", "/ok"))
        #expect(try other.response().body == "fine")
        for client in clients { #expect(try client.response().body == "abc") }
      }
      clients[0].send(request("POST", "/delayed", "Content-Length: 3", body: "abc"))
      try eventually("it is there") { service.counts.withLock { $0.finished } == 41 }
      server.stop(timeout: .seconds(5))
      #expect(try clients[0].response().body == "abc")
    }
  }

  @Test func `Its time goes on afterwards`() throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/paused", "Content-Length: 100", body: "a"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      service.held.withLock { $0 }[0].resume()
      #expect(try client.response().status == 408)
      try eventually("it is abandoned") { service.counts.withLock { $0.abandoned } == 1 }
    }
  }

  /// With the client paused, or sending, or silent.
  @Test(arguments: [0, 1, 2]) func `It is cut off in the middle of the body`(_ state: Int) throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/paused", "Content-Length: 1000000", body: "a"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      let exchange = service.held.withLock { $0[0] }
      if state > 0 { exchange.resume() }
      exchange.cutOff(.error(409, code: "cancelled", message: "no more"))
      if state == 1 { client.send(String(repeating: "b", count: 10_000)) }
      let answer = try client.response()
      #expect(answer.status == 409 && answer.body.contains("no more"))
      #expect(try client.untilClosed() == "")
      #expect(service.counts.withLock { $0.pieces } <= 1)
    }
  }

  /// As by another thread while the pause begins.
  @Test func `It is cut off just before it is paused`() throws {
    try withServer(settings { $0.bodyTimeout = .seconds(300) }) { server, _ in
      let client = try RawClient(server.port)
      client.send(request("POST", "/cut", "Content-Length: 1000000", body: "a"))
      #expect(try client.response().status == 409)
      #expect(try client.untilClosed() == "")
    }
  }

  @Test func `A receiver that keeps the time itself gives as much as it likes`() throws {
    try withServer(settings { $0.bodyTimeout = .milliseconds(300) }) { server, service in
      let client = try RawClient(server.port)
      func wait(_ count: Int) throws {
        try eventually("it is paused") { service.held.withLock { $0.count } == count }
        service.held.withLock { $0 }[count - 1].resume()
        // Longer than another body may take, before the next piece comes.
        usleep(700_000)
        #expect(!client.hasNews)
      }
      client.send(request("POST", "/patient", "Content-Length: 3"))
      usleep(700_000)
      for (index, piece) in ["a", "b", "c"].enumerated() {
        client.send(piece)
        if index < 2 { try wait(index + 1) }
      }
      try eventually("it is paused") { service.held.withLock { $0.count } == 3 }
      service.held.withLock { $0 }[2].resume()
      #expect(try client.response().body == "abc")
      // It may also be enough at any time.
      client.send(request("POST", "/patient", "Content-Length: 3", body: "a"))
      try wait(4)
      service.held.withLock { $0 }[3].cutOff(.error(409, code: "cancelled", message: "no more"))
      #expect(try client.response().status == 409)
      // The next is like any other.
      let other = try RawClient(server.port)
      other.send(request("POST", "/patient", "Content-Length: 0"))
      #expect(try other.response().status == 200)
      other.send(request("POST", "/echo", "Content-Length: 3", body: "a"))
      #expect(try other.response().status == 408)
    }
  }

  @Test func `A client that left is noticed when it goes on`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/paused", "Content-Length: 100", body: "a"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      client.reset()
      service.held.withLock { $0 }[0].resume()
      try eventually("it is abandoned") { service.counts.withLock { $0.abandoned } == 1 }
    }
  }

  @Test(arguments: [false, true]) func `A server stops with a paused client`(_ goesOn: Bool) throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      client.send(request("POST", "/paused", "Content-Length: 100", body: "a"))
      try eventually("it is paused") { service.held.withLock { $0.count } == 1 }
      if goesOn { service.held.withLock { $0 }[0].resume() }
      server.stop(timeout: .milliseconds(100))
      _ = try client.untilClosed()
      service.held.withLock { $0 }[0].resume()
      service.held.withLock { $0 }[0].cutOff(Response(status: 200))
    }
  }

  /// Whoever resumes may do it before, while and after the pause begins.
  @Test func `Pauses and resumes that meet`() throws {
    try withServer(settings { $0.threads = 2 }) { server, service in
      let body = String(repeating: "0123456789", count: 2_000)
      DispatchQueue.concurrentPerform(iterations: 8) { _ in
        guard let client = try? RawClient(server.port) else {
          Issue.record("no connection")
          return
        }
        for _ in 0..<20 {
          client.send(request("POST", "/stutter", "Transfer-Encoding: chunked", body: chunked(body, 97)))
          #expect((try? client.response().body) == body)
        }
      }
    }
  }
}
