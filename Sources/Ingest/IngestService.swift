package import HTTP
package import Operations
import Readings
import Synchronization

/// The HTTP API: its routes, and the count of what they answered.
package final class IngestService: RequestHandler {
  private let router: Router
  private let counters: RequestCounters

  /// - Parameters:
  ///   - authenticator: who may send; nil: everybody.
  ///   - now: milliseconds since 1970.
  package init(
    publisher: any ReadingPublisher, limits: IngestLimits, metrics: Metrics, authenticator: Authenticator? = nil,
    now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds
  ) {
    let readings = ReadingsRoute(
      publisher: publisher, limits: limits, metrics: metrics,
      authenticator: authenticator ?? Authenticator(ring: nil, metrics: metrics), now: now)
    var router = Router()
    router.on(.post, Self.readingsPath) { head, _ in readings.begin(head) }
    self.router = router
    counters = RequestCounters(metrics)
  }

  fileprivate static let readingsPath = "/v1/readings"

  package func begin(_ head: borrowing RequestHead) -> Disposition { router.dispatch(head) }

  package func completed(_ summary: RequestSummary) {
    counters.count(isReadings: summary.path == Self.readingsPath, status: summary.status, duration: summary.duration)
  }
}

/// Requests by route and status: few enough series to be made at their first use and then found without a search.
private final class RequestCounters: Sendable {
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

  func count(isReadings: Bool, status: Int?, duration: Duration) {
    let series = isReadings && status == 202 ? accepted : series(isReadings, status)
    series.requests.increment()
    series.duration.observe(duration)
  }

  private func series(_ isReadings: Bool, _ status: Int?) -> Series {
    let key = (status ?? 0) * 2 + (isReadings ? 1 : 0)
    return known.withLock { known in
      if let series = known[key] { return series }
      let route = isReadings ? IngestService.readingsPath : "other"
      // No status: the client went away before its answer.
      let series: Series = (requests.with(route, status.map { "\($0)" } ?? "none"), durations.with(route))
      known[key] = series
      return series
    }
  }
}
