/// How many readings may come: in the long run, and at once.
package struct RatePolicy: Sendable, Equatable {
  /// Readings per second that a policy can have.
  package static let rates = 0.001...1_000_000_000.0
  /// Readings at once that a policy can have.
  package static let bursts = 1...1_000_000

  /// Readings at once, after a silence.
  package let burst: Int
  /// Nanoseconds that a reading costs.
  let interval: Int64

  /// - Parameters:
  ///   - rate: readings per second; brought into `rates`.
  ///   - burst: brought into `bursts`.
  package init(rate: Double, burst: Int) {
    let rate = min(max(rate, Self.rates.lowerBound), Self.rates.upperBound)
    self.burst = min(max(burst, Self.bursts.lowerBound), Self.bursts.upperBound)
    interval = max(1, Int64((1e9 / rate).rounded()))
  }

  /// What is meant when only a rate is said: ten seconds' worth, so that a sender that was away can catch up a little.
  package static func usualBurst(of rate: Double) -> Int {
    Int(min(max((rate * 10).rounded(.up), 1), Double(bursts.upperBound)))
  }

  /// Seconds in which an empty bucket fills: the window of the field `RateLimit-Policy`.
  package var window: Int64 { max(1, Self.seconds(Int64(burst) * interval)) }

  /// Whole seconds, upwards: who comes after them is not too early.
  static func seconds(_ nanoseconds: Int64) -> Int64 { (nanoseconds + 999_999_999) / 1_000_000_000 }
}
