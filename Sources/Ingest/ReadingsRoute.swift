import HTTP
import Operations

/// `POST /v1/readings`: which request is taken, and which refused at its head.
final class ReadingsRoute: Sendable {
  let publisher: any ReadingPublisher
  let limits: IngestLimits
  let memory: MemoryBudget
  let workspaces: Workspaces
  let now: @Sendable () -> Int64
  /// Counts items that are no readings.
  let refused: Counter
  private let tooLarge: Response

  init(
    publisher: any ReadingPublisher, limits: IngestLimits, metrics: Metrics, now: @escaping @Sendable () -> Int64
  ) {
    self.publisher = publisher
    self.limits = limits
    self.now = now
    let memory = MemoryBudget(limit: limits.memory)
    self.memory = memory
    refused = metrics.counter("sluice_http_readings_refused_total", "Items of requests that are no readings.")
    metrics.gauge("sluice_http_body_bytes", "Bytes held for request bodies and their errors.") {
      Double(memory.inUse)
    }
    workspaces = Workspaces { Workspace(bounds: limits.bounds, readingsLimit: limits.readings) }
    tooLarge = Answers.tooLarge(limit: limits.body).prepared()
  }

  func begin(_ head: borrowing RequestHead) -> Disposition {
    guard let framing = head.withHeader("Content-Type", MediaType.framing) else {
      return .respond(Answers.unsupportedType)
    }
    guard let encoding = head.withHeader("Content-Encoding", MediaType.encoding) else {
      return .respond(Answers.unsupportedEncoding)
    }
    guard head.contentLength != nil || head.isChunked else { return .respond(Answers.lengthRequired) }
    let length = Int(head.contentLength ?? 0)
    guard length <= limits.body else { return .respond(tooLarge) }
    if let reason = publisher.unavailability { return .respond(Answers.unavailable(reason)) }
    // What the client announces is what is reserved; a body of unknown size reserves as it grows.
    guard memory.take(length) else { return .respond(Answers.busy) }
    return .receive(
      ReadingsRequest(
        self, framing: framing, encoding: encoding, length: length,
        traceparent: head.withHeader("traceparent") { $0.map { Array($0.prefix(128)) } }))
  }
}
