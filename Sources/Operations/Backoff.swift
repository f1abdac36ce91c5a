/// How long to wait before trying again: exponential, with full jitter and a cap.
///
/// Each wait is drawn evenly between zero and `min(cap, base · 2ⁿ)`, which spreads clients that failed together better
/// than jitter around the exponential (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
package struct Backoff: Sendable, Equatable {
  private let base: Duration
  private let cap: Duration
  /// The longest that the next wait may be.
  package private(set) var ceiling: Duration

  /// - Parameters:
  ///   - base: the longest first wait.
  ///   - cap: the longest wait at all.
  package init(base: Duration = .milliseconds(100), cap: Duration = .seconds(10)) {
    self.base = max(.zero, min(base, cap))
    self.cap = max(.zero, cap)
    ceiling = self.base
  }

  /// The next wait.
  package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
    // 53 random bits, which is what a Double holds. `Double.random` would draw again and again from a poor generator.
    let wait = ceiling * (Double(generator.next() >> 11) * 0x1p-53)
    // Compared before doubling, so that it cannot overflow.
    ceiling = ceiling > cap / 2 ? cap : ceiling * 2
    return wait
  }

  /// The next wait, from the system's generator.
  package mutating func next() -> Duration {
    var generator = SystemRandomNumberGenerator()
    return next(using: &generator)
  }

  /// It worked: the next wait is short again.
  package mutating func reset() { ceiling = base }
}
