import Synchronization

/// A number that only grows, until the process ends.
package final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)

  init() {}

  /// Adds to it, without a lock. A negative amount is ignored: counters do not go down.
  package func increment(by amount: Int = 1) {
    guard amount > 0 else { return }
    count.wrappingAdd(UInt64(amount), ordering: .relaxed)
  }

  /// What it counted so far.
  package var value: UInt64 { count.load(ordering: .relaxed) }
}

extension Counter: MetricSeries {
  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8]) {
    MetricText.appendSample(name, labels: labels, String(value), to: &bytes)
  }
}
