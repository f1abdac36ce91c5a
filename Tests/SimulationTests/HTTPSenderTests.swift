import Foundation
import HTTP
import Operations
import Synchronization
import TestServers
import Testing

@testable import Simulation

struct HTTPSenderTests {
  private func plan(_ server: HTTPServer, count: Int) -> SimulationPlan {
    var plan = SimulationPlan()
    plan.http = SimulationPlan.HTTP(address: "http://127.0.0.1:\(server.port)")
    plan.count = count
    plan.rate = 0
    plan.devices = 37
    return plan
  }

  private func serve(_ api: ScriptedAPI) throws -> HTTPServer {
    try HTTPServer(HTTPServer.Configuration(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: api)
  }

  @Test(arguments: [1, 7, 50], [false, true]) func whatIsAcceptedIsWhatTheServerTook(batch: Int, gzip: Bool) throws {
    let api = ScriptedAPI { _ in .accept }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: 1_003)
    plan.http?.batch = batch
    plan.http?.usesGzip = gzip
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 1_003, refused: 0, unknown: 0))
    #expect(played.complaint == nil)
    #expect(Set(played.accepted) == Set(api.taken) && api.taken.count == 1_003)
    let inOrder = areInOrder(api.taken)
    #expect(inOrder)
    #expect(api.ids.isEmpty)
    #expect(api.types == [batch == 1 ? "application/json" : "application/x-ndjson"])
    #expect(api.requests >= 1_003 / batch)
    let fields = played.summary.split(separator: " ").map { $0.split(separator: "=") }
    #expect(fields.map(\.first) == ["accepted", "refused", "unknown", "seconds", "rate", "p50_ms", "p99_ms"])
    #expect(fields.allSatisfy { $0.count == 2 && Double($0[1]) != nil })
  }

  /// Without ids nothing is sent twice, and what the server says counts.
  @Test func faultsWithoutIDs() throws {
    let api = ScriptedAPI { [.accept, .partly, .turnAway, .uncertain, .accept, .accept, .accept, .accept][$0 % 8] }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: 1_000)
    plan.http?.batch = 20
    plan.http?.connections = 3
    let played = try Played(plan)
    #expect(played.complaint == nil)
    #expect(played.counts.refused > 0 && played.counts.unknown > 0)
    #expect(played.accepted.count + played.doubtful.count == 1_000)
    let taken = Set(api.taken)
    #expect(taken.count == api.taken.count)
    #expect(taken.isSuperset(of: played.accepted))
    #expect(taken.isSubset(of: played.accepted + played.doubtful))
    // Of a partial answer the server here takes one that it does not own up to, and that last.
    let accepted = Set(played.accepted)
    let inOrder = areInOrder(api.taken.filter(accepted.contains))
    #expect(inOrder)
  }

  /// With ids everything is accepted at last, under the same id each time.
  @Test func faultsWithIDs() throws {
    let api = ScriptedAPI { $0 > 30 ? .accept : [.accept, .partly, .turnAway, .uncertain, .accept][$0 % 5] }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: 1_000)
    plan.http?.batch = 20
    plan.http?.connections = 4
    plan.hasIDs = true
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 1_000, refused: 0, unknown: 0))
    #expect(played.complaint == nil)
    #expect(Set(api.taken) == Set(played.accepted))
    #expect(api.taken.count > 1_000)
    #expect(api.ids.count == api.taken.count)
    #expect(Set(api.ids).count == 1_000)
  }

  @Test func aRefusalIsReported() throws {
    let api = ScriptedAPI { $0 == 2 ? .refuse : .accept }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: 100)
    plan.http?.batch = 10
    plan.http?.connections = 1
    plan.hasIDs = true
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 90, refused: 10, unknown: 0))
    #expect(played.complaint?.contains("401") == true)
    #expect(Set(api.taken) == Set(played.accepted))
  }

  @Test(arguments: [false, true]) func nobodyListens(hasIDs: Bool) throws {
    var plan = SimulationPlan()
    plan.http = SimulationPlan.HTTP(address: "http://127.0.0.1:\(TestServers.freePort())")
    plan.rate = 0
    plan.duration = .milliseconds(300)
    plan.answerTimeout = .milliseconds(200)
    plan.hasIDs = hasIDs
    let played = try Played(plan)
    #expect(played.counts.accepted == 0 && played.counts.unknown == 0)
    #expect(played.counts.refused >= 8)
    #expect(played.complaint == nil)
  }

  @Test func anAnswerThatDoesNotComeIsUnknown() throws {
    let held = HeldAPI()
    let server = try HTTPServer(
      HTTPServer.Configuration(listen: ListenAddress(host: "127.0.0.1", port: 0)), handler: held)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: 30)
    plan.http?.batch = 10
    plan.http?.connections = 3
    plan.answerTimeout = .milliseconds(300)
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 0, refused: 0, unknown: 30))
    held.release()
  }

  /// The rate and the duration say how many, and what is due at the end is sent although its batch is not full.
  @Test func rateAndDuration() throws {
    let api = ScriptedAPI { _ in .accept }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    var plan = plan(server, count: .max)
    plan.rate = 25
    plan.duration = .milliseconds(1_900)
    plan.http?.connections = 1
    let played = try Played(plan)
    #expect(played.counts == .init(accepted: 48, refused: 0, unknown: 0))
    #expect(api.requests == 2)
    #expect(Set(api.taken) == Set(played.accepted))
  }

  @Test func stoppedInTheMiddle() throws {
    let api = ScriptedAPI { _ in .accept }
    let server = try serve(api)
    defer { server.stop(timeout: .seconds(5)) }
    let played = try Played(plan(server, count: .max)) { $0.counts.accepted > 2_000 }
    #expect(played.counts.accepted > 2_000)
    #expect(played.counts.refused == 0 && played.counts.unknown == 0)
    #expect(Set(api.taken) == Set(played.accepted) && api.taken.count == played.accepted.count)
  }

  /// A server that reads a request on a kept connection and goes away without an answer: was it carried out? Sent again by
  /// itself it might be carried out twice.
  @Test func aRequestIsNotSentTwiceByTheLibrary() throws {
    let server = try HangingUpServer(answersBefore: 3)
    var plan = SimulationPlan()
    plan.http = SimulationPlan.HTTP(address: "http://127.0.0.1:\(server.port)")
    plan.http?.connections = 1
    plan.http?.batch = 10
    plan.rate = 0
    plan.count = 80
    let played = try Played(plan)
    server.stop()
    #expect(played.counts == .init(accepted: 60, refused: 0, unknown: 20))
    #expect(server.bodies.count == 8)
    #expect(Set(server.bodies).count == 8)
  }

  @Test func plansThatCannotBe() throws {
    func failure(_ change: (inout SimulationPlan) -> Void) -> String {
      var plan = SimulationPlan()
      plan.http = SimulationPlan.HTTP(address: "http://127.0.0.1:1")
      change(&plan)
      let log = Log(component: "test", output: { _ in })
      do {
        _ = try Simulation(plan, supervisor: Supervisor(log: log), log: log)
        return ""
      } catch { return "\(error)" }
    }
    #expect(failure { _ in } == "")
    for prefix in ["", "a/", "-a", "ä", "a b", String(repeating: "a", count: 127)] {
      let isFine = prefix.isEmpty
      #expect(failure { $0.prefix = prefix }.hasPrefix("--prefix") != isFine, "\(prefix)")
    }
    #expect(failure { $0.devices = 0 }.hasPrefix("--devices"))
    #expect(failure { $0.http = nil }.hasPrefix("--url or --mqtt"))
    #expect(failure { $0.outcomeFile = "/nowhere/file" }.hasPrefix("--accepted-file"))
  }
}

/// An API that holds every request.
private final class HeldAPI: RequestHandler {
  private let held = Mutex<[Exchange]>([])

  func begin(_ head: borrowing RequestHead) -> Disposition { .receive(Receiver(self)) }

  func release() {
    for exchange in held.withLock({ $0 }) { exchange.respond(Response(status: 202)) }
  }

  private final class Receiver: BodyReceiver {
    private let api: HeldAPI
    init(_ api: HeldAPI) { self.api = api }
    func receive(_ piece: UnsafeRawBufferPointer) -> Response? { nil }
    func finish(_ exchange: Exchange) -> Response? {
      exchange.suspend()
      api.held.withLock { $0.append(exchange) }
      return nil
    }
    func abandoned() {}
  }
}

/// Answers some requests on each connection, reads one more, and closes.
private final class HangingUpServer: Sendable {
  let port: UInt16
  private let descriptor: Int32
  private let answers: Int
  private let received = Mutex<[String]>([])

  var bodies: [String] { received.withLock { $0 } }

  init(answersBefore answers: Int) throws {
    self.answers = answers
    port = TestServers.freePort()
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    guard bound == 0, listen(descriptor, 16) == 0 else { throw TestServerError("no socket") }
    Thread.detachNewThread { [self] in serve() }
  }

  func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  private func serve() {
    while true {
      let client = accept(descriptor, nil, nil)
      guard client >= 0 else { break }
      var input: [UInt8] = []
      for number in 0...answers {
        guard let body = readRequest(client, &input) else { break }
        received.withLock { $0.append(body) }
        let count = body.split(separator: "\n").count
        let json = "{\"accepted\":\(count)}"
        let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: \(json.utf8.count)\r\n\r\n\(json)"
        if number < answers { _ = send(client, answer, answer.utf8.count, Int32(MSG_NOSIGNAL)) }
      }
      close(client)
    }
    close(descriptor)
  }

  private func readRequest(_ client: Int32, _ input: inout [UInt8]) -> String? {
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      if let end = input.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: input[..<end.lowerBound], as: UTF8.self)
        let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
        let count = Int(length!.dropFirst(15).trimmingCharacters(in: .whitespaces))!
        if input.count >= end.upperBound + count {
          defer { input.removeSubrange(..<(end.upperBound + count)) }
          return String(decoding: input[end.upperBound..<(end.upperBound + count)], as: UTF8.self)
        }
      }
      let count = recv(client, &piece, piece.count, 0)
      if count <= 0 { return nil }
      input += piece[..<count]
    }
  }
}
