package import HTTP
package import Operations
import Readings
import Synchronization
package import WebSocket

/// The HTTP API: its routes, and the count of what they answered.
package final class IngestService: RequestHandler {
  private let router: Router
  private let counters: RequestCounters

  /// - Parameters:
  ///   - authenticator: who may send; nil: everybody.
  ///   - streams: serves `/v1/stream`, which is not there without it. The owner runs and stops it, before the HTTP server.
  ///   - now: milliseconds since 1970.
  package init(
    publisher: any ReadingPublisher, limits: IngestLimits, metrics: Metrics, authenticator: Authenticator? = nil,
    streams: WebSocketServer? = nil, log: Log = Log(component: "stream"),
    now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds
  ) {
    let readings = ReadingsRoute(
      publisher: publisher, limits: limits, metrics: metrics,
      authenticator: authenticator ?? Authenticator(ring: nil, metrics: metrics), now: now)
    var router = Router()
    router.on(.post, Self.readingsPath) { head, _ in readings.begin(head) }
    if let streams {
      let stream = StreamRoute(readings, server: streams, metrics: metrics, log: log)
      router.on(.get, Self.streamPath) { head, _ in stream.begin(head) }
    }
    self.router = router
    counters = RequestCounters(metrics)
  }

  fileprivate static let readingsPath = "/v1/readings"
  fileprivate static let streamPath = "/v1/stream"

  package func begin(_ head: borrowing RequestHead) -> Disposition { router.dispatch(head) }

  package func completed(_ summary: RequestSummary) {
    let route: RequestCounters.Route =
      summary.path == Self.readingsPath ? .readings : summary.path == Self.streamPath ? .stream : .other
    counters.count(route, status: summary.status, duration: summary.duration)
  }
}

/// Requests by route and status: few enough series to be made at their first use and then found without a search.
private final class RequestCounters: Sendable {
  enum Route: Int {
    case readings, stream, other

    var label: String {
      switch self {
      case .readings: IngestService.readingsPath
      case .stream: IngestService.streamPath
      case .other: "other"
      }
    }
  }

  private typealias Series = (requests: Counter, duration: Histogram)
  private let requests: MetricFamily<Counter>
  private let durations: MetricFamily<Histogram>
  private let known = Mutex<[Int: Series]>([:])
  /// What nearly all requests are counted in.
  private let accepted: Series

  init(_ metrics: Metrics) {
    requests = metrics.counters(
      "sluice_http_requests_total", "Requests by route and status.", labels: ["route", "status"])
    durations = metrics.histograms(
      "sluice_http_request_duration_seconds", "From a request's head to the end of its answer.", labels: ["route"])
    accepted = (requests.with(IngestService.readingsPath, "202"), durations.with(IngestService.readingsPath))
  }

  func count(_ route: Route, status: Int?, duration: Duration) {
    let series = route == .readings && status == 202 ? accepted : series(route, status)
    series.requests.increment()
    series.duration.observe(duration)
  }

  private func series(_ route: Route, _ status: Int?) -> Series {
    let key = (status ?? 0) * 4 + route.rawValue
    return known.withLock { known in
      if let series = known[key] { return series }
      // No status: the client went away before its answer.
      let series: Series = (requests.with(route.label, status.map { "\($0)" } ?? "none"), durations.with(route.label))
      known[key] = series
      return series
    }
  }
}
