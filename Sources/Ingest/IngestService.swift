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
  ///   - jobs: serves `/v1/jobs`, which is not there without it. The owner runs and stops it, before the HTTP server.
  ///   - now: milliseconds since 1970.
  package init(
    publisher: any ReadingPublisher, limits: IngestLimits, metrics: Metrics, authenticator: Authenticator? = nil,
    streams: WebSocketServer? = nil, jobs: JobService? = nil, log: Log = Log(component: "stream"),
    dialects: DialectSettings = DialectSettings(),
    now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds
  ) {
    let readings = ReadingsRoute(
      publisher: publisher, limits: limits, metrics: metrics,
      authenticator: authenticator ?? Authenticator(ring: nil, metrics: metrics), now: now)
    var routes = APITable()
    IngestRoutes(readings, dialects).add(to: &routes)
    if let streams {
      let stream = StreamRoute(readings, server: streams, metrics: metrics, log: log)
      routes.on(.get, "/v1/stream", .stream) { head, _ in stream.begin(head) }
    }
    if let jobs { JobsRoute(readings, jobs).add(to: &routes) }
    routes.describe(limits: limits, asksForKeys: readings.authenticator.asksForKeys)
    router = routes.router
    counters = RequestCounters(metrics)
  }

  /// Every method and pattern that is answered, as the router has them.
  package var routes: [(method: Method, pattern: String)] { router.entries }

  package func begin(_ head: borrowing RequestHead) -> Disposition { router.dispatch(head) }

  package func completed(_ summary: RequestSummary) {
    let isReadings = summary.path == IngestRoutes.readings
    let route = isReadings ? IngestRoutes.readings : router.pattern(for: summary.path) ?? "other"
    counters.count(route, status: summary.status, duration: summary.duration)
  }
}

/// Requests by route and status: few enough series to be made at their first use and then found without a search.
private final class RequestCounters: Sendable {
  private typealias Series = (requests: Counter, duration: Histogram)
  private let requests: MetricFamily<Counter>
  private let durations: MetricFamily<Histogram>
  private let known = Mutex<[Key: Series]>([:])
  /// What nearly all requests are counted in.
  private let accepted: Series

  private struct Key: Hashable {
    let route: String
    let status: Int?
  }

  init(_ metrics: Metrics) {
    requests = metrics.counters(
      "sluice_http_requests_total", "Requests by route and status.", labels: ["route", "status"])
    durations = metrics.histograms(
      "sluice_http_request_duration_seconds", "From a request's head to the end of its answer.", labels: ["route"])
    accepted = (requests.with(IngestRoutes.readings, "202"), durations.with(IngestRoutes.readings))
  }

  /// - Parameter route: a pattern of the router's, of which there are few.
  func count(_ route: String, status: Int?, duration: Duration) {
    let series = status == 202 && route == IngestRoutes.readings ? accepted : series(Key(route: route, status: status))
    series.requests.increment()
    series.duration.observe(duration)
  }

  private func series(_ key: Key) -> Series {
    known.withLock { known in
      if let series = known[key] { return series }
      // No status: the client went away before its answer.
      let status = key.status.map { "\($0)" } ?? "none"
      let series: Series = (requests.with(key.route, status), durations.with(key.route))
      known[key] = series
      return series
    }
  }
}
