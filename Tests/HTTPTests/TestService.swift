import Foundation
import HTTP
import Synchronization
import Testing

/// A handler that does what the path says, and counts everything.
///
/// `/echo`: the body. `/later`: the body, from another thread. `/limit/n`: refuses a body of more than n bytes, at the
/// head or while it comes. `/stutter`: the body, of which each piece makes the client wait for another thread; `/paused`: for
/// the test; `/again`: the body, when it is asked for the second time. `/delayed`: the body, later. `/held`: suspended until the test answers. `/gate`: the same, and the serving thread stands still
/// until the test opens the gate. `/patient`: as `/paused`, without the server's time for a body; `/cut`: the same, and each piece
/// ends it before it is paused. Everything else: what `begin` answers by itself.
final class TestService: RequestHandler {
  struct Counts: Equatable {
    var begun = 0
    var pieces = 0
    var finished = 0
    var abandoned = 0
    var completed = 0
    /// Receivers that exist.
    var alive = 0
  }

  let counts = Mutex(Counts())
  let held = Mutex<[Exchange]>([])
  let summaries = Mutex<[RequestSummary]>([])
  let gate = DispatchSemaphore(value: 0)
  private let workers = DispatchQueue(label: "answers", attributes: .concurrent)

  func begin(_ head: borrowing RequestHead) -> Disposition {
    counts.withLock { $0.begun += 1 }
    let path = head.path
    switch path {
    case "/echo", "/later", "/held", "/gate", "/instant", "/nothing", "/twice", "/stutter", "/paused", "/again",
      "/delayed", "/patient", "/cut":
      return .receive(Receiver(self, path, limit: .max))
    case _ where path.hasPrefix("/limit/"):
      let limit = Int(path.dropFirst(7))!
      if let length = head.contentLength, length > limit { return .respond(tooLarge) }
      return .receive(Receiver(self, path, limit: limit))
    case "/length":
      if head.contentLength == nil && !head.isChunked {
        return .respond(.error(411, code: "length_required", message: "how long?"))
      }
      return .receive(Receiver(self, "/echo", limit: .max))
    case "/head":
      var length = -1
      head.lendHeader("X-Test") { length = $0.count }
      let text = """
        \(head.method) \(head.peer) [\(head.header("x-test") ?? "-")] [\(head.header("X-NONE") ?? "-")] \
        [\(head.query("a") ?? "-")] [\(head.query("b") ?? "-")] [\(head.query("c") ?? "-")] \
        \(length)
        """
      return .respond(Response(status: 200, body: .bytes(Array(text.utf8))))
    case "/certificate":
      let text = head.clientCertificate.map { "\($0.count) bytes" } ?? "none"
      return .respond(Response(status: 200, body: .bytes(Array(text.utf8))))
    case "/ok": return .respond(Response(status: 200, headers: [("X-Custom", "yes")], body: .constant("fine")))
    case "/none": return .respond(Response(status: 204))
    default:
      return .respond(.error(404, code: "not_found", message: "no \(path)"))
    }
  }

  func completed(_ summary: RequestSummary) {
    counts.withLock { $0.completed += 1 }
    summaries.withLock { $0.append(summary) }
  }

  var tooLarge: Response { .error(413, code: "too_large", message: "too large") }

  private final class Receiver: BodyReceiver {
    private let service: TestService
    private let path: String
    private let limit: Int
    private var body: [UInt8] = []
    private var wasAsked = false

    init(_ service: TestService, _ path: String, limit: Int) {
      self.service = service
      self.path = path
      self.limit = limit
      service.counts.withLock { $0.alive += 1 }
    }

    var keepsTime: Bool { path == "/patient" || path == "/cut" }
    private var exchange: Exchange?

    func began(_ exchange: Exchange) { self.exchange = exchange }

    deinit { service.counts.withLock { $0.alive -= 1 } }

    func receive(_ piece: UnsafeRawBufferPointer) -> Response? {
      body.append(contentsOf: piece)
      service.counts.withLock { $0.pieces += 1 }
      if path == "/stutter", let exchange {
        exchange.pause()
        service.workers.async { exchange.resume() }
      }
      if path == "/cut" { exchange?.cutOff(.error(409, code: "cancelled", message: "no more")) }
      if path == "/paused" || keepsTime, let exchange {
        exchange.pause()
        service.held.withLock { $0.append(exchange) }
      }
      return body.count > limit ? service.tooLarge : nil
    }

    func finish(_ exchange: Exchange) -> Response? {
      service.counts.withLock { $0.finished += 1 }
      let answer = Response(status: 200, body: .bytes(body))
      switch path {
      case "/later":
        exchange.suspend()
        service.workers.async { exchange.respond(answer) }
      case "/held":
        exchange.suspend()
        service.held.withLock { $0.append(exchange) }
      case "/gate":
        exchange.suspend()
        service.held.withLock { $0.append(exchange) }
        service.gate.wait()
      case "/instant":
        // The answer is given by another thread before this one returns.
        exchange.suspend()
        service.workers.sync(flags: .barrier) { exchange.respond(answer) }
      case "/twice":
        exchange.suspend()
        for status in [200, 500, 503] { exchange.respond(Response(status: status)) }
      case "/nothing": break
      case "/again" where !wasAsked:
        wasAsked = true
        exchange.pause()
        service.held.withLock { $0.append(exchange) }
      case "/delayed": exchange.respondLater(answer)
      default: return answer
      }
      return nil
    }

    func abandoned() { service.counts.withLock { $0.abandoned += 1 } }
  }
}

/// The default settings on a free port, but for what `adjust` changes.
func settings(_ adjust: (inout HTTPServer.Configuration) -> Void = { _ in }) -> HTTPServer.Configuration {
  var configuration = HTTPServer.Configuration(listen: ListenAddress(host: "127.0.0.1", port: 0))
  adjust(&configuration)
  return configuration
}

/// Runs `body` with a server and checks afterwards that nothing was left behind.
func withServer(
  _ configuration: HTTPServer.Configuration = settings(), _ body: (HTTPServer, TestService) throws -> Void
) throws {
  let service = TestService()
  let server = try HTTPServer(configuration, handler: service)
  do {
    try body(server, service)
  } catch {
    server.stop(timeout: .zero)
    throw error
  }
  server.stop(timeout: .seconds(5))
  #expect(server.connectionCount == 0)
  #expect(server.requestsInProgress == 0)
  service.held.withLock { $0 = [] }
  service.counts.withLock { counts in
    #expect(counts.alive == 0)
    #expect(counts.completed >= counts.begun)
  }
}
