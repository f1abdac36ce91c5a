/// Counts the failures of a dependency, and says when it went away and when it came back.
package struct Outage: Sendable, Equatable {
  /// What is worth a line.
  package enum Change: Sendable, Equatable {
    /// The first failure after it worked.
    case began
    /// The first success after it failed: for how long, and how often it was tried in vain.
    case ended(after: Duration, failures: Int)
  }

  private var since: Duration?
  private var failures = 0

  package init() {}

  /// Whether the last that happened was a failure.
  package var isOngoing: Bool { since != nil }

  /// A failure at a moment of a monotonic clock.
  package mutating func failed(at now: Duration) -> Change? {
    failures += 1
    guard since == nil else { return nil }
    since = now
    return .began
  }

  /// A success at a moment of a monotonic clock.
  package mutating func succeeded(at now: Duration) -> Change? {
    guard let began = since else { return nil }
    defer { self = Outage() }
    return .ended(after: now - began, failures: failures)
  }
}
