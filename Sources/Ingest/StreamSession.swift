import Dialects
import HTTP
import Operations
import WebSocket

/// The messages of one stream: each is what the body of a `POST /v1/readings` may be, and gets that request's answer.
///
/// `@unchecked Sendable`: `current`, `number` and `grant` are only touched by the thread that serves the connection.
final class StreamSession: MessageReceiver, @unchecked Sendable {
  /// As it stands in the keys file.
  static let dialect = "sluice"

  private let connection: WebSocketConnection
  private let route: ReadingsRoute
  private let metrics: StreamMetrics
  private let log: Log
  private var grant: Grant
  /// The message that is coming in.
  private var current: Message?
  private typealias Message = (request: ReadingsRequest, dialect: StreamDialect)
  /// Messages that were complete.
  private var number: Int64 = 0

  init(_ connection: WebSocketConnection, _ route: ReadingsRoute, _ grant: Grant, metrics: StreamMetrics, log: Log) {
    self.connection = connection
    self.route = route
    self.grant = grant
    self.metrics = metrics
    self.log = log
  }

  func receive(_ piece: UnsafeRawBufferPointer) -> CloseReason? {
    guard let message = current ?? message() else { return StreamAnswers.forbidden }
    current = message
    // Too large it is not: that limit is the connection's own.
    return message.request.receive(piece) == nil ? nil : StreamAnswers.outOfMemory
  }

  func finish(isText: Bool) {
    // An empty message has no piece.
    guard let message = current ?? message() else { return connection.close(StreamAnswers.forbidden) }
    current = nil
    let place = number
    number += 1
    metrics.messages.increment()
    let exchange = Exchange { [connection, metrics] response in
      metrics.count(answer: response.status)
      connection.answer(StreamAnswers.frame(response, sequence: message.dialect.sequence ?? place))
    }
    if let answer = message.request.finish(exchange) { exchange.respond(answer) }
  }

  func ended(_ ending: Ending) {
    current = nil
    metrics.count(ending)
    let fields: LogFields = ["cause": .string(ending.cause.rawValue), "code": .int(Int(ending.code))]
    switch ending.cause {
    case .slow, .silent: log.info("stream cut off", fields)
    default: log.debug("stream closed", fields)
    }
  }

  /// - Returns: nil when the key is good for nothing any more: it may have been revoked since the stream began.
  private func message() -> Message? {
    guard case .success(let renewed) = route.authenticator.renew(grant, dialect: Self.dialect) else { return nil }
    grant = renewed
    let dialect = StreamDialect()
    let request = ReadingsRequest(
      route, grant: grant, dialect: dialect, encoding: .identity, length: 0, key: nil, traceparent: nil)
    return (request, dialect)
  }
}
