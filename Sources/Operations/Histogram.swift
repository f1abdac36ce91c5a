import Synchronization

/// Counts observations in fixed buckets.
///
/// `@unchecked Sendable`: the pointer never changes, and what it points to are atomics.
package final class Histogram: @unchecked Sendable {
  /// Upper bounds in seconds for what takes from half a millisecond to ten seconds.
  package static let latencies: [Double] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  /// Upper bounds for how many readings there are in a batch or a request.
  package static let sizes: [Double] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]

  private let bounds: [Double]
  /// One for each bound, and one for what is above the last.
  private let counts: UnsafeMutablePointer<Atomic<UInt64>>
  private let sum = AtomicDouble()

  /// - Parameter bounds: finite upper bounds, inclusive; they are sorted and repeats dropped.
  init(bounds: [Double]) {
    self.bounds = Set(bounds.filter(\.isFinite)).sorted()
    counts = .allocate(capacity: self.bounds.count + 1)
    for index in 0...self.bounds.count { (counts + index).initialize(to: Atomic(0)) }
  }

  deinit {
    counts.deinitialize(count: bounds.count + 1)
    counts.deallocate()
  }

  /// Counts a value, without a lock. What is not a number is ignored: it would spoil the sum for ever.
  package func observe(_ value: Double) {
    guard !value.isNaN else { return }
    var index = 0
    while index < bounds.count && value > bounds[index] { index += 1 }
    counts[index].wrappingAdd(1, ordering: .relaxed)
    sum.add(value)
  }

  /// Counts a time, in seconds.
  package func observe(_ time: Duration) { observe(time / .seconds(1)) }

  /// How many values were counted.
  package var count: UInt64 {
    (0...bounds.count).reduce(0) { $0 + counts[$1].load(ordering: .relaxed) }
  }
}

extension Histogram: MetricSeries {
  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8]) {
    // The total is the sum of the buckets as read here, so that it agrees with them while others count on.
    var total: UInt64 = 0
    for index in 0...bounds.count {
      total += counts[index].load(ordering: .relaxed)
      let bound = MetricText.number(index < bounds.count ? bounds[index] : .infinity)
      MetricText.appendSample(
        name, suffix: "_bucket", labels: labels, extra: "le=\"\(bound)\"", String(total), to: &bytes)
    }
    MetricText.appendSample(name, suffix: "_sum", labels: labels, MetricText.number(sum.value), to: &bytes)
    MetricText.appendSample(name, suffix: "_count", labels: labels, String(total), to: &bytes)
  }
}
