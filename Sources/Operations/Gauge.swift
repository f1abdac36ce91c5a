import Synchronization

/// A number that goes up and down.
package final class Gauge: Sendable {
  private let number = AtomicDouble()

  init() {}

  /// Sets it, without a lock.
  package func set(_ value: Double) { number.set(value) }

  /// Adds to it, without a lock.
  package func add(_ amount: Double) { number.add(amount) }

  /// Adds one.
  package func increment() { add(1) }

  /// Takes one away.
  package func decrement() { add(-1) }

  /// What it is now.
  package var value: Double { number.value }
}

extension Gauge: MetricSeries {
  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8]) {
    MetricText.appendSample(name, labels: labels, MetricText.number(value), to: &bytes)
  }
}

/// A Double that several threads change without a lock.
struct AtomicDouble: ~Copyable, Sendable {
  private let bits = Atomic<UInt64>(0)

  var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

  func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  func add(_ amount: Double) {
    var old = bits.load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + amount).bitPattern
      let (done, current) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
      if done { return }
      old = current
    }
  }
}
