import Foundation
import HTTP
import Ingest
import Kafka
import Keys
import Operations
import Synchronization
import TestServers
import Testing

/// A client that floods the API, and another that does not, over sockets.
@Suite struct TurnsTests {
  /// The API with a key each. Time stands still, so that both stay there.
  private final class TwoClients {
    let publisher: FakePublisher
    let server: HTTPServer
    private var secrets: [String: String] = [:]
    private let routes: Routes

    init(_ publisher: FakePublisher = FakePublisher()) throws {
      var file = KeyFile()
      for name in ["calm", "greedy", "slow"] {
        secrets[name] = try file.create(name: name, at: 0) { key in
          key.prefixes = [""]
          if name == "slow" { (key.rate, key.burst) = (1, 10) }
        }.secret
      }
      let ring = KeyRing()
      ring.replace(with: file.keys)
      let metrics = Metrics()
      self.publisher = publisher
      routes = Routes(
        publisher, metrics: metrics,
        authenticator: Authenticator(ring: ring, metrics: metrics, now: { Routes.now }, clock: { 1 }))
      server = try HTTPServer(
        HTTPServer.Configuration(listen: HTTP.ListenAddress(host: "127.0.0.1", port: 0)), handler: routes.service)
    }

    deinit { server.stop(timeout: .seconds(5)) }

    /// Sends a request on a connection of its own; its device is the client.
    func post(as name: String) throws -> Connection {
      let body = reading(name)
      return try Connection(
        server.port,
        "POST /v1/readings HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(secrets[name]!)\r\n"
          + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// How many requests of a client have been passed on.
    func published(_ name: String) -> Int { publisher.published.count { $0.contains("\"\(name)\"") } }

    /// A request of the calm client is passed on and answered, whatever waits.
    func expectCalm() throws {
      let before = published("calm")
      let calm = try post(as: "calm")
      try eventually("it is passed on") { published("calm") == before + 1 }
      for (receiver, index) in publisher.takeWaiting(device: "calm") { receiver.delivered(.init(index: index)) }
      #expect(try calm.status() == 202)
    }
  }

  private final class Connection {
    private let descriptor: Int32

    init(_ port: UInt16, _ request: String) throws {
      descriptor = try TestServers.connect(port)
      var timeout = timeval(tv_sec: 60, tv_usec: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
      let bytes = Array(request.utf8)
      #expect(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }

    deinit { close(descriptor) }

    var isAnswered: Bool {
      var byte: UInt8 = 0
      return recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) == 1
    }

    /// Of the answer; 0 when there is none.
    func status() throws -> Int {
      var bytes = [UInt8](repeating: 0, count: 4_096)
      let count = recv(descriptor, &bytes, bytes.count, 0)
      return Int(
        String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ").dropFirst().first ?? "")
        ?? 0
    }
  }

  @Test func aFloodStandsInALineOfItsOwn() throws {
    let clients = try TwoClients()
    try clients.expectCalm()
    let flood = try (0..<200).map { _ in try clients.post(as: "greedy") }
    try eventually("as many as may be are passed on") { clients.published("greedy") == 64 }
    for _ in 0..<10 { try clients.expectCalm() }
    #expect(clients.published("greedy") == 64)
    // Each that is over lets one more come.
    var waiting = clients.publisher.takeWaiting()
    for _ in 0..<3 {
      let (receiver, index) = waiting.removeFirst()
      receiver.delivered(.init(index: index))
    }
    try eventually("three more are passed on") { clients.published("greedy") == 67 }
    for (receiver, index) in waiting { receiver.delivered(.init(index: index)) }
    withExtendedLifetime(flood) {}
  }

  @Test func allOfAFloodIsAnswered() throws {
    let clients = try TwoClients()
    try clients.expectCalm()
    var flood = try (0..<300).map { _ in try clients.post(as: "greedy") }
    try eventually("as many as may be are passed on") { clients.published("greedy") == 64 }
    // Some go away while they wait.
    flood.removeLast(100)
    try eventually("all others are answered") {
      clients.publisher.report()
      return flood.allSatisfy(\.isAnswered)
    }
    for connection in flood { #expect(try connection.status() == 202) }
    // No turn was lost.
    let before = clients.published("greedy")
    let again = try (0..<100).map { _ in try clients.post(as: "greedy") }
    try eventually("as many as may be are passed on") { clients.published("greedy") == before + 64 }
    try clients.expectCalm()
    // What waits at the end is told to come again.
    clients.server.stop(timeout: .milliseconds(100))
    #expect(try again.map { try $0.status() }.allSatisfy { $0 == 503 })
    clients.publisher.report()
  }

  @Test func whoIsAloneDoesNotWait() throws {
    let clients = try TwoClients()
    let flood = try (0..<200).map { _ in try clients.post(as: "greedy") }
    try eventually("all are passed on") { clients.published("greedy") == 200 }
    clients.publisher.report()
    for connection in flood { #expect(try connection.status() == 202) }
  }

  @Test func aFloodBeyondItsRateLetsOthersBe() throws {
    let clients = try TwoClients(FakePublisher(reportsAtOnce: true))
    let flood = try (0..<50).map { _ in try clients.post(as: "slow") }
    for _ in 0..<20 { #expect(try clients.post(as: "calm").status() == 202) }
    let statuses = try flood.map { try $0.status() }
    #expect(statuses.count { $0 == 202 } == 10 && statuses.count { $0 == 429 } == 40)
  }
}
