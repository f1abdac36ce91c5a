package import HTTP
package import Operations
package import Readings
import Synchronization

/// The HTTP API: which request is taken, and which refused at its head.
package final class IngestService: RequestHandler {
  /// The limits of requests.
  package struct Limits: Sendable {
    /// Bytes of one body, also when unpacked.
    package var body: Int
    /// Readings of one body.
    package var readings: Int
    /// Bytes of bodies that all requests together may hold.
    package var memory: Int
    package var bounds: TimeBounds

    package init(body: Int, readings: Int, memory: Int, bounds: TimeBounds) {
      self.body = body
      self.readings = readings
      self.memory = memory
      self.bounds = bounds
    }
  }

  let publisher: any ReadingPublisher
  let limits: Limits
  let memory: MemoryBudget
  let workspaces: Workspaces
  let now: @Sendable () -> Int64
  private let counters: RequestCounters
  private let tooLarge: Response
  private let postOnly = Answers.methodNotAllowed("POST").prepared()
  private let inProgress = Atomic(0)

  /// - Parameter now: milliseconds since 1970.
  package init(
    publisher: any ReadingPublisher, limits: Limits, metrics: Metrics,
    now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds
  ) {
    self.publisher = publisher
    self.limits = limits
    self.now = now
    memory = MemoryBudget(limit: limits.memory)
    workspaces = Workspaces { Workspace(bounds: limits.bounds, readingsLimit: limits.readings) }
    counters = RequestCounters(metrics)
    tooLarge = Answers.tooLarge(limit: limits.body).prepared()
    metrics.gauge("sluice_http_body_bytes", "Bytes of request bodies held.") { [memory] in Double(memory.inUse) }
  }

  package func begin(_ head: borrowing RequestHead) -> Disposition {
    guard head.path == "/v1/readings" else { return .respond(Answers.notFound) }
    guard head.method == .post else { return .respond(postOnly) }
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

  package func completed(_ summary: RequestSummary) {
    counters.count(isReadings: summary.path == "/v1/readings", status: summary.status, duration: summary.duration)
  }
}

/// Requests by route and status: few enough series to be made at their first use and then found without a search.
private final class RequestCounters: Sendable {
  private typealias Series = (requests: Counter, duration: Histogram)
  private let requests: MetricFamily<Counter>
  private let durations: MetricFamily<Histogram>
  private let known = Mutex<[Int: Series]>([:])

  init(_ metrics: Metrics) {
    requests = metrics.counters(
      "sluice_http_requests_total", "Requests by route and status.", labels: ["route", "status"])
    durations = metrics.histograms(
      "sluice_http_request_duration_seconds", "From a request's head to the end of its answer.", labels: ["route"])
  }

  func count(isReadings: Bool, status: Int?, duration: Duration) {
    let key = (status ?? 0) * 2 + (isReadings ? 1 : 0)
    let series = known.withLock { known in
      if let series = known[key] { return series }
      let route = isReadings ? "/v1/readings" : "other"
      // No status: the client went away before its answer.
      let series: Series = (requests.with(route, status.map { "\($0)" } ?? "none"), durations.with(route))
      known[key] = series
      return series
    }
    series.requests.increment()
    series.duration.observe(duration)
  }
}
