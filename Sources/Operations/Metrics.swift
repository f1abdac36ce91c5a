import Synchronization

/// The metrics of the process, rendered in Prometheus' text format 0.0.4.
///
/// Asking again for a name gives the same metric. Names and labels are constants of the code: one that the format does
/// not allow, or a name used for two kinds of metric, ends the process where it is made.
package final class Metrics: Sendable {
  /// The Content-Type of what `render` returns.
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// How many sets of label values a family keeps apart when its maker does not say.
  package static let familyLimit = 100

  private struct Metric {
    let name: String
    let help: String
    let type: MetricType
    let series: any MetricSeries
  }

  private let metrics = Mutex<[Metric]>([])

  package init() {}

  /// A counter. Its name ends in `_total`.
  package func counter(_ name: String, _ help: String) -> Counter {
    register(name, help, .counter) { Counter() }
  }

  /// A counter with labels, of which at most `limit` sets of values are kept apart.
  package func counters(
    _ name: String, _ help: String, labels: [String], limit: Int = familyLimit
  ) -> MetricFamily<Counter> {
    register(name, help, .counter, labels: labels) {
      MetricFamily(labels: labels, limit: limit) { Counter() }
    }
  }

  /// A gauge.
  package func gauge(_ name: String, _ help: String) -> Gauge {
    register(name, help, .gauge) { Gauge() }
  }

  /// A gauge with labels, of which at most `limit` sets of values are kept apart.
  package func gauges(
    _ name: String, _ help: String, labels: [String], limit: Int = familyLimit
  ) -> MetricFamily<Gauge> {
    register(name, help, .gauge, labels: labels) {
      MetricFamily(labels: labels, limit: limit) { Gauge() }
    }
  }

  /// A histogram with buckets up to and including each bound.
  package func histogram(
    _ name: String, _ help: String, bounds: [Double] = Histogram.latencies
  ) -> Histogram {
    register(name, help, .histogram) { Histogram(bounds: bounds) }
  }

  /// A histogram with labels, of which at most `limit` sets of values are kept apart.
  package func histograms(
    _ name: String, _ help: String, labels: [String], bounds: [Double] = Histogram.latencies, limit: Int = familyLimit
  ) -> MetricFamily<Histogram> {
    register(name, help, .histogram, labels: labels) {
      MetricFamily(labels: labels, limit: limit) { Histogram(bounds: bounds) }
    }
  }

  /// A gauge that is read when it is rendered, such as the depth of a queue; nil leaves it out.
  ///
  /// The same name with other label values adds a series, with the same ones replaces its reader.
  package func gauge(
    _ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:],
    reading: @escaping @Sendable () -> Double?
  ) {
    readings(name, help, .gauge, labels).set(labels, reading)
  }

  /// A counter that something else counts, read when it is rendered; otherwise like a gauge that is read.
  package func counter(
    _ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:],
    reading: @escaping @Sendable () -> Double?
  ) {
    readings(name, help, .counter, labels).set(labels, reading)
  }

  /// All metrics, in the order in which they were made.
  package func render() -> [UInt8] {
    // Rendered outside the lock: a reader may take locks of its own, or make a metric.
    let metrics = metrics.withLock { $0 }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(16_384)
    for metric in metrics {
      MetricText.appendHead(metric.name, help: metric.help, type: metric.type, to: &bytes)
      metric.series.appendSamples(metric.name, labels: [], to: &bytes)
    }
    return bytes
  }

  private func readings(
    _ name: String, _ help: String, _ type: MetricType, _ labels: KeyValuePairs<String, String>
  ) -> MetricReadings {
    register(name, help, type, labels: labels.map(\.key)) { MetricReadings() }
  }

  private func register<Series: MetricSeries>(
    _ name: String, _ help: String, _ type: MetricType, labels: [String] = [], _ create: () -> Series
  ) -> Series {
    precondition(MetricText.isName(name, isLabel: false), "\(name) is no metric name")
    precondition(
      labels.allSatisfy { MetricText.isName($0, isLabel: true) && $0 != "le" && !$0.hasPrefix("__") },
      "\(name) has a label that is not allowed")
    return metrics.withLock { metrics in
      if let known = metrics.first(where: { $0.name == name }) {
        guard known.type == type, let series = known.series as? Series else {
          preconditionFailure("\(name) is already another kind of metric")
        }
        return series
      }
      let series = create()
      metrics.append(Metric(name: name, help: help, type: type, series: series))
      return series
    }
  }
}

/// The series of one metric whose values are read when they are rendered.
private final class MetricReadings: MetricSeries {
  private struct Reading {
    let labels: [UInt8]
    let read: @Sendable () -> Double?
  }

  private let readings = Mutex<[Reading]>([])

  func set(_ labels: KeyValuePairs<String, String>, _ read: @escaping @Sendable () -> Double?) {
    let reading = Reading(labels: MetricText.labels(labels.map { ($0.key, $0.value) }), read: read)
    readings.withLock { readings in
      if let index = readings.firstIndex(where: { $0.labels == reading.labels }) {
        readings[index] = reading
      } else {
        readings.append(reading)
      }
    }
  }

  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8]) {
    for reading in readings.withLock({ $0 }) {
      guard let value = reading.read() else { continue }
      MetricText.appendSample(name, labels: reading.labels, MetricText.number(value), to: &bytes)
    }
  }
}
