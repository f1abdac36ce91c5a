import Synchronization

/// A metric with labels: one series for each set of their values.
///
/// The number of series is bounded, for label values may come from outside, and each series costs memory here and in
/// Prometheus for ever. Past the limit all new sets share one, whose values are `other`.
package final class MetricFamily<Series: AnyObject & Sendable>: Sendable {
  private let labels: [String]
  private let limit: Int
  private let create: @Sendable () -> Series
  private let children = Mutex<[[String]: Series]>([:])

  init(labels: [String], limit: Int, create: @escaping @Sendable () -> Series) {
    self.labels = labels
    self.limit = limit
    self.create = create
  }

  /// The series of these label values, in the order of the label names. It takes a lock and looks it up: hot paths keep
  /// the series.
  ///
  /// A value that is missing is empty; one too many is left out.
  package func with(_ values: String...) -> Series {
    let key = labels.indices.map { $0 < values.count ? values[$0] : "" }
    return children.withLock { children in
      if let known = children[key] { return known }
      let other = labels.map { _ in "other" }
      let taken = children.count - (children[other] == nil ? 0 : 1)
      let place = key != other && taken >= limit ? other : key
      if let known = children[place] { return known }
      let series = create()
      children[place] = series
      return series
    }
  }

  fileprivate var all: [(values: [String], series: Series)] {
    children.withLock { children in children.map { ($0.key, $0.value) } }
      .sorted { $0.values.lexicographicallyPrecedes($1.values) }
  }
}

extension MetricFamily: MetricSeries where Series: MetricSeries {
  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8]) {
    for (values, series) in all {
      series.appendSamples(name, labels: MetricText.labels(zip(self.labels, values)), to: &bytes)
    }
  }
}
