/// A bucket that holds `burst` tokens, fills at `rate`, and gives one for each reading.
///
/// It is kept as one number, the time at which it will be full again: a bucket that was never touched and one that filled
/// up are the same, so forgetting a full bucket forgets nothing. All arithmetic is in whole nanoseconds, and exact.
package struct TokenBucket: Sendable, Equatable {
  /// What became of a request for tokens.
  package enum Outcome: Sendable, Equatable {
    case taken
    /// There will be enough after these nanoseconds, if nobody else takes any.
    case wait(nanoseconds: Int64)
    /// It never holds as many.
    case tooMany
  }

  /// When it will be full, in nanoseconds of the clock.
  private var fullAt = Int64.min

  package init() {}

  /// Takes tokens, all or none.
  ///
  /// - Parameters:
  ///   - count: zero or more.
  ///   - now: nanoseconds of a clock that never goes back.
  package mutating func take(_ count: Int, at now: Int64, _ policy: RatePolicy) -> Outcome {
    guard count <= policy.burst else { return .tooMany }
    fullAt = fullAt(now, policy)
    let full = max(fullAt, now) + Int64(count) * policy.interval
    let excess = full - now - Int64(policy.burst) * policy.interval
    if excess > 0 { return .wait(nanoseconds: excess) }
    fullAt = full
    return .taken
  }

  /// When it will be full under a policy, which may be another than that under which it was emptied: then it is at most
  /// empty.
  private func fullAt(_ now: Int64, _ policy: RatePolicy) -> Int64 {
    min(fullAt, now + Int64(policy.burst) * policy.interval)
  }

  /// Gives back what was taken and not used.
  package mutating func give(_ count: Int, _ policy: RatePolicy) {
    guard fullAt != .min else { return }
    fullAt -= Int64(count) * policy.interval
  }

  /// Tokens that are there.
  package func remaining(at now: Int64, _ policy: RatePolicy) -> Int {
    let missing = max(fullAt(now, policy), now) - now
    // Upwards: a token of which a part is missing is not there.
    return max(0, policy.burst - Int((missing + policy.interval - 1) / policy.interval))
  }
}
