import Foundation
import HTTP
import Synchronization
import TestServers
import Testing

@Suite struct StopTests {
  @Test func `What is in progress is finished, and its connection closed`() throws {
    try withServer { server, service in
      let client = try RawClient(server.port)
      let idle = try RawClient(server.port)
      client.send(request("POST", "/held", "Content-Length: 1", body: "x"))
      try eventually("held") { service.held.withLock { $0.count } == 1 }
      server.quiesce()
      #expect(!TestServers.accepts(server.port))
      // An open connection is still served, once.
      idle.send(request("GET", "/ok"))
      let last = try idle.untilClosed()
      #expect(last.hasPrefix("HTTP/1.1 200") && last.lowercased().contains("connection: close"))
      let stopped = DispatchSemaphore(value: 0)
      DispatchQueue.global().async {
        server.stop(timeout: .seconds(30))
        stopped.signal()
      }
      #expect(stopped.wait(timeout: .now() + 0.2) == .timedOut)
      service.held.withLock { $0[0].respond(Response(status: 200, body: .constant("done"))) }
      let answer = try client.untilClosed()
      #expect(answer.hasSuffix("done") && answer.lowercased().contains("connection: close"))
      #expect(stopped.wait(timeout: .now() + 20) == .success)
      #expect(service.counts.withLock { $0.abandoned } == 0)
    }
  }

  @Test func `What is not finished in time is answered 503`() throws {
    try withServer { server, service in
      let clients = try (0..<50).map { _ in try RawClient(server.port) }
      for client in clients { client.send(request("POST", "/held", "Content-Length: 1", body: "x")) }
      let sending = try RawClient(server.port)
      sending.send(request("POST", "/echo", "Content-Length: 100", body: "x"))
      try eventually("held") { service.held.withLock { $0.count } == 50 }
      try eventually("begun") { service.counts.withLock { $0.begun } == 51 }
      server.stop(timeout: .milliseconds(100))
      for client in clients {
        let answer = try client.untilClosed()
        #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("Retry-After: 1"))
      }
      #expect(try sending.untilClosed() == "")
      #expect(service.counts.withLock { $0.abandoned == 1 && $0.completed == 51 })
      // Answers that come too late do no harm.
      for exchange in service.held.withLock({ $0 }) { exchange.respond(Response(status: 200)) }
    }
  }

  @Test(arguments: [1, 2])
  func `It stops in the middle of traffic, twice at once, and again`(threads: Int) throws {
    for round in 0..<5 {
      try withServer(settings { $0.threads = threads }) { server, service in
        let answered = Mutex(0)
        let group = DispatchGroup()
        for worker in 0..<6 {
          DispatchQueue.global().async(group: group) {
            while let client = try? RawClient(server.port) {
              let path = ["/later", "/echo", "/instant"][worker % 3]
              while client.send(request("POST", path, "Content-Length: 2", body: "ab")),
                let answer = try? client.response()
              {
                if answer.status == 200 { answered.withLock { $0 += 1 } }
              }
            }
          }
        }
        try eventually("traffic") { answered.withLock { $0 } > 50 * (round + 1) }
        DispatchQueue.concurrentPerform(iterations: 2) { _ in server.stop(timeout: .seconds(5)) }
        server.stop(timeout: .seconds(5))
        group.wait()
        service.counts.withLock {
          #expect($0.begun <= $0.completed && $0.abandoned + $0.finished >= $0.begun)
        }
      }
    }
  }

  @Test func `An idle server stops at once, and its port is free`() throws {
    let service = TestService()
    let first = try HTTPServer(.init(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: service)
    let idle = try RawClient(first.port)
    try eventually("connected") { first.connectionCount == 1 }
    first.stop(timeout: .seconds(30))
    #expect(try idle.untilClosed() == "")
    let second = try HTTPServer(.init(listen: ListenAddress(host: "127.0.0.1", port: first.port)), handler: service)
    #expect(second.port == first.port)
    // Its end is the end of the server, without a stop.
  }
}
