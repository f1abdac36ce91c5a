import Dialects
import HTTP
import Keys
import Operations

/// What all requests that bring readings have in common: which is taken, and which refused at its head.
final class ReadingsRoute: Sendable {
  let publisher: any ReadingPublisher
  let limits: IngestLimits
  /// Bytes of bodies.
  let memory: SharedBudget
  /// Readings that wait for Kafka.
  let waiting: SharedBudget
  let workspaces: Workspaces
  private let turns: Turns
  let authenticator: Authenticator
  let now: @Sendable () -> Int64
  /// Counts items that are no readings.
  let refused: Counter
  private let tooLarge: Response

  init(
    publisher: any ReadingPublisher, limits: IngestLimits, metrics: Metrics, authenticator: Authenticator,
    now: @escaping @Sendable () -> Int64
  ) {
    self.publisher = publisher
    self.authenticator = authenticator
    turns = Turns(clock: authenticator.clock)
    self.limits = limits
    self.now = now
    let memory = SharedBudget(limit: limits.memory)
    self.memory = memory
    waiting = SharedBudget(limit: limits.waiting)
    refused = metrics.counter("sluice_http_readings_refused_total", "Items of requests that are no readings.")
    metrics.gauge("sluice_http_body_bytes", "Bytes held for request bodies and their errors.") {
      Double(memory.inUse)
    }
    workspaces = Workspaces { Workspace(bounds: limits.bounds, readingsLimit: limits.readings) }
    tooLarge = Answers.tooLarge(limit: limits.body).prepared()
  }

  func begin(_ head: borrowing RequestHead, _ dialect: any RequestDialect) -> Disposition {
    switch admit(head, dialect) {
    case .respond(let response)
    where response.status == 429 && !head.isChunked && !head.expectsContinue
      && head.contentLength ?? 0 <= LateRefusal.bodyLimit:
      .receive(LateRefusal(dialect.told(response)))
    case .respond(let response): .respond(dialect.told(response))
    case let taken: taken
    }
  }

  private func admit(_ head: borrowing RequestHead, _ dialect: any RequestDialect) -> Disposition {
    let grant: Grant
    switch authenticator.authenticate(head, dialect: dialect.name, places: dialect.credentials) {
    case .success(let given): grant = given
    case .failure(let refusal): return .respond(refusal.response)
    }
    if let refusal = grant.exhaustion { return .respond(refusal.response) }
    var encoding: MediaType.Encoding? = .identity
    head.lendHeader("Content-Encoding") { encoding = MediaType.encoding($0) }
    guard let encoding else { return .respond(Answers.unsupportedEncoding) }
    let key: IdempotencyKey?
    switch IdempotencyKey.given(head) {
    case .none: key = nil
    case .one(let given): key = given
    case .invalid: return .respond(Answers.invalidKey)
    }
    guard head.contentLength != nil || head.isChunked else { return .respond(Answers.lengthRequired) }
    let length = Int(head.contentLength ?? 0)
    guard length <= limits.body else { return .respond(tooLarge) }
    if let reason = publisher.unavailability { return .respond(Answers.unavailable(reason)) }
    // What the client announces is what is reserved; a body of unknown size reserves as it grows.
    guard memory.take(length, for: grant.account.bytes) else { return .respond(Answers.busy) }
    var traceparent: [UInt8]?
    head.lendHeader("traceparent") { traceparent = Array($0.prefix(128)) }
    return .receive(
      ReadingsRequest(
        self, grant: grant, dialect: dialect, encoding: encoding, length: length, key: key, traceparent: traceparent,
        turns: turns))
  }
}

/// Refuses a request for its client's rate, a moment later: one that does not heed `Retry-After` would else be served as
/// fast as it can ask, before all others.
private final class LateRefusal: BodyReceiver {
  /// Bytes of a body that is dropped; of a larger one not even the beginning is read.
  static let bodyLimit: Int64 = 64 << 10

  private let answer: Response

  init(_ answer: Response) { self.answer = answer }

  func receive(_ piece: UnsafeRawBufferPointer) -> Response? { nil }

  func finish(_ exchange: Exchange) -> Response? {
    exchange.respondLater(answer)
    return nil
  }

  func abandoned() {}
}
