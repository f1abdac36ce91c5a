import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct ExchangeTests {
  @Test(arguments: ["/later", "/instant", "/echo"], [1, 2])
  func `Each of many concurrent answers goes to its own request`(path: String, threads: Int) throws {
    try withServer(settings { $0.threads = threads }) { server, service in
      let wrong = Mutex(0)
      let right = Mutex(0)
      DispatchQueue.concurrentPerform(iterations: 8) { worker in
        guard let client = try? RawClient(server.port) else { return wrong.withLock { $0 += 1 } }
        for index in 0..<250 {
          let body = "\(worker):\(index):" + String(repeating: "x", count: index * 7)
          client.send(request("POST", path, "Content-Length: \(body.utf8.count)", body: body))
          let isRight = (try? client.response())?.body == body
          if isRight { right.withLock { $0 += 1 } } else { wrong.withLock { $0 += 1 } }
        }
      }
      #expect(right.withLock { $0 } == 2000 && wrong.withLock { $0 } == 0)
      #expect(service.counts.withLock { $0.abandoned } == 0)
    }
  }

  @Test func `A thousand connections stay open and are all served`() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = min(limit.rlim_max, 8192)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    try withServer { server, service in
      let clients = try (0..<1000).map { _ in try RawClient(server.port) }
      for round in 0..<3 {
        for (index, client) in clients.enumerated() {
          let body = "\(round)-\(index)"
          client.send(request("POST", "/later", "Content-Length: \(body.count)", body: body))
        }
        for (index, client) in clients.enumerated() { #expect(try client.response().body == "\(round)-\(index)") }
        #expect(server.connectionCount == 1000)
      }
      #expect(service.counts.withLock { $0.finished } == 3000)
    }
  }

  // The library's own loop waits once more when a round of events fills its list of 128 exactly.
  @Test(arguments: [128, 256])
  func `Requests that come all at once are all served, and answered when all are answered at once`(count: Int) throws {
    try withServer { server, service in
      let clients = try (0..<count).map { _ in try RawClient(server.port) }
      let gatekeeper = try RawClient(server.port)
      for round in 1...4 {
        gatekeeper.send(request("GET", "/gate"))
        try eventually("gate closed") { service.held.withLock { $0.count } == 1 }
        for client in clients { client.send(request("POST", "/held", "Content-Length: 1", body: "x")) }
        service.gate.signal()
        try eventually(timeout: .seconds(15), "round \(round) served") {
          service.held.withLock { $0.count } == count + 1
        }
        DispatchQueue(label: "reports").sync {
          for exchange in service.held.withLock({ $0 }) { exchange.respond(Response(status: 202)) }
        }
        service.held.withLock { $0 = [] }
        for client in clients + [gatekeeper] { #expect(try client.response().status == 202) }
      }
    }
  }

  @Test func `The first answer counts, and no answer is answered`() throws {
    try withServer { server, _ in
      let client = try RawClient(server.port)
      for _ in 0..<50 {
        client.send(request("POST", "/twice", "Content-Length: 1", body: "x"))
        #expect(try client.response().status == 200)
      }
      client.send(request("POST", "/nothing", "Content-Length: 1", body: "x"))
      #expect(try client.response().status == 500)
      client.send(request("GET", "/later"))
      #expect(try client.response().status == 200)
    }
  }

  @Test func `A client that only stopped sending still gets its answer`() throws {
    try withServer { server, service in
      for path in ["/echo", "/later", "/instant", "/held"] {
        let client = try RawClient(server.port)
        client.send(request("POST", path, "Content-Length: 2", body: "hi"))
        client.closeSending()
        if path == "/held" {
          try eventually("held") { service.held.withLock { $0.count } == 1 }
          service.held.withLock { $0[0].respond(Response(status: 200, body: .constant("hi"))) }
        }
        let answer = try client.untilClosed()
        #expect(answer.hasPrefix("HTTP/1.1 200") && answer.hasSuffix("hi"), "\(path): \(answer)")
      }
      try eventually("completed") { service.counts.withLock { $0.completed } == 4 }
      #expect(service.counts.withLock { $0.abandoned } == 0)
    }
  }

  @Test func `A client that goes away is noticed once, wherever it was`() throws {
    try withServer { server, service in
      func counts() -> TestService.Counts { service.counts.withLock { $0 } }
      // In the head: no request has begun.
      let inHead = try RawClient(server.port)
      inHead.send("POST /echo HTTP/1.1\r\nHost: a\r\n")
      try eventually("connected") { server.connectionCount == 1 }
      inHead.reset()
      try eventually("gone") { server.connectionCount == 0 }
      #expect(counts().begun == 0)
      // In the body.
      for (index, text) in [
        request("POST", "/echo", "Content-Length: 10", body: "abc"),
        request("POST", "/echo", "Transfer-Encoding: chunked", body: "3\r\nabc\r\n"),
        request("POST", "/echo", "Transfer-Encoding: chunked", body: "3\r\nabc\r\n0\r\nTrail"),
      ].enumerated() {
        let client = try RawClient(server.port)
        client.send(text)
        try eventually("begun") { counts().begun == index + 1 }
        client.reset()
        try eventually("abandoned") { counts().abandoned == index + 1 && counts().completed == index + 1 }
        #expect(counts().finished == 0)
      }
      // While it waits for its answer.
      let waiting = try RawClient(server.port)
      waiting.send(request("POST", "/held", "Content-Length: 1", body: "x"))
      try eventually("held") { service.held.withLock { $0.count } == 1 }
      waiting.reset()
      let exchange = service.held.withLock { $0.removeFirst() }
      #expect(!exchange.isAbandoned)
      exchange.respond(Response(status: 200))
      try eventually("abandoned") { counts().abandoned == 4 && counts().completed == 4 }
      #expect(exchange.isAbandoned)
      exchange.respond(Response(status: 200))
      // While the answer is written: it is larger than what the sockets hold.
      let reading = try RawClient(server.port)
      reading.send(request("POST", "/held", "Content-Length: 1", body: "x"))
      try eventually("held") { service.held.withLock { $0.count } == 1 }
      service.held.withLock { $0.removeFirst() }
        .respond(Response(status: 200, body: .bytes([UInt8](repeating: 0, count: 30_000_000))))
      reading.reset()
      try eventually("abandoned") { counts().abandoned == 5 && counts().completed == 5 }
      try eventually("gone") { server.connectionCount == 0 }
      #expect(service.summaries.withLock { $0.allSatisfy { $0.status == nil } })
    }
  }

  @Test func `Many clients that reset at any moment leave nothing behind`() throws {
    try withServer { server, service in
      DispatchQueue.concurrentPerform(iterations: 4) { worker in
        var random = SystemRandomNumberGenerator()
        for _ in 0..<150 {
          guard let client = try? RawClient(server.port) else { continue }
          let path = ["/echo", "/later", "/instant", "/limit/3"].randomElement(using: &random)!
          let text = request("POST", path, "Content-Length: 6", body: "abcdef") + request("GET", "/ok")
          client.send(String(text.prefix(Int.random(in: 0...text.count, using: &random))))
          if Bool.random(using: &random) { client.reset() }
        }
      }
      try eventually("gone") { server.connectionCount == 0 && server.requestsInProgress == 0 }
      try eventually("freed") { service.counts.withLock { $0.alive } == 0 }
      service.counts.withLock { #expect($0.begun == $0.completed) }
    }
  }

  @Test func `An exchange without a socket`() {
    let answers = Mutex<[Int]>([])
    let exchange = Exchange { response in answers.withLock { $0.append(response.status) } }
    exchange.suspend()
    exchange.respond(Response(status: 202))
    exchange.respond(Response(status: 500))
    #expect(answers.withLock { $0 } == [202])
  }
}
