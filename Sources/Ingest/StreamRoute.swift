import HTTP
import Operations
import WebSocket

/// `GET /v1/stream`: which request becomes a WebSocket (RFC 6455, 4.2).
final class StreamRoute: Sendable {
  private let readings: ReadingsRoute
  private let server: WebSocketServer
  private let metrics: StreamMetrics
  private let log: Log

  init(_ readings: ReadingsRoute, server: WebSocketServer, metrics: Metrics, log: Log) {
    self.readings = readings
    self.server = server
    self.metrics = StreamMetrics(metrics)
    self.log = log
    metrics.gauge("sluice_stream_connections", "Open streams.") { Double(server.connectionCount) }
  }

  func begin(_ head: borrowing RequestHead) -> Disposition {
    let accept: String
    do throws(Handshake.Refusal) {
      accept = try Handshake.accept(
        upgradesToWebSocket: head.method == .get && head.lists("websocket", in: "upgrade"),
        connectionUpgrades: head.lists("upgrade", in: "connection"), version: head.header("Sec-WebSocket-Version"),
        key: head.header("Sec-WebSocket-Key"))
    } catch {
      return .respond(StreamAnswers.refused(error))
    }
    let grant: Grant
    switch readings.authenticator.authenticate(head, dialect: StreamSession.dialect, places: .webSocket) {
    case .success(let given): grant = given
    case .failure(let refusal): return .respond(refusal.response)
    }
    guard !server.isFull else { return .respond(StreamAnswers.tooManyStreams) }
    var headers = [("Sec-WebSocket-Accept", accept)]
    if head.lists("sluice", in: "sec-websocket-protocol") { headers.append(("Sec-WebSocket-Protocol", "sluice")) }
    let peer = head.peer
    return .upgrade(
      Upgrade(to: "websocket", headers: headers) { [self] connection in
        server.serve(
          descriptor: connection.descriptor, received: connection.received, release: { connection.close() },
          receiver: { StreamSession($0, readings, grant, metrics: metrics, log: log.with(["client": .string(peer)])) })
      })
  }
}

/// What is counted of streams.
struct StreamMetrics: Sendable {
  let messages: Counter
  private let accepted: Counter
  private let partial: Counter
  private let refused: Counter
  private let unavailable: Counter
  private let closed: [Ending.Cause: Counter]

  init(_ metrics: Metrics) {
    messages = metrics.counter("sluice_stream_messages_total", "Messages of streams.")
    let answers = metrics.counters(
      "sluice_stream_answers_total", "Answers to messages of streams, as an HTTP status would say it.",
      labels: ["result"])
    accepted = answers.with("accepted")
    partial = answers.with("partial")
    refused = answers.with("refused")
    unavailable = answers.with("unavailable")
    let endings = metrics.counters("sluice_stream_closed_total", "Ends of streams by their cause.", labels: ["cause"])
    closed = Dictionary(uniqueKeysWithValues: Ending.Cause.allCases.map { ($0, endings.with($0.rawValue)) })
  }

  func count(answer status: Int) {
    switch status {
    case 202: accepted.increment()
    case 207: partial.increment()
    case 500...: unavailable.increment()
    default: refused.increment()
    }
  }

  func count(_ ending: Ending) { closed[ending.cause]?.increment() }
}
