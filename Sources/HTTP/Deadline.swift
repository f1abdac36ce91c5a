import Synchronization

/// Until when a connection must have made progress: set by the thread that serves it, enforced by the one that tends all.
///
/// Whoever changes the value first wins, so a connection is either served on or expired, never both.
struct Deadline: ~Copyable, Sendable {
  /// What a connection is waited for.
  enum Phase: Sendable {
    /// The head of the next request.
    case head
    /// The rest of a body.
    case body
  }

  // Milliseconds times two, plus one for a body; or one of the two below.
  private let value: Atomic<Int64>
  private static let none = Int64.max
  private static let expired = Int64.min
  /// A time that does not come.
  static let never = Int64.max >> 2

  init(_ phase: Phase, at milliseconds: Int64) { value = Atomic(Deadline.encode(phase, milliseconds)) }

  private static func encode(_ phase: Phase, _ milliseconds: Int64) -> Int64 {
    milliseconds << 1 | (phase == .body ? 1 : 0)
  }

  var isExpired: Bool { value.load(ordering: .acquiring) == Deadline.expired }

  /// Whether the client must send something.
  var isWaiting: Bool {
    let current = value.load(ordering: .acquiring)
    return current != Deadline.none && current != Deadline.expired
  }

  /// False when it has expired before.
  func set(_ phase: Phase, at milliseconds: Int64) -> Bool { replace(by: Deadline.encode(phase, milliseconds)) }

  /// Nothing is waited for. False when it has expired before.
  func clear() -> Bool { replace(by: Deadline.none) }

  private func replace(by new: Int64) -> Bool {
    var current = value.load(ordering: .acquiring)
    while current != Deadline.expired {
      let (done, seen) = value.compareExchange(
        expected: current, desired: new, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
      if done { return true }
      current = seen
    }
    return false
  }

  /// Lets the time for a body be over at the next look; whether a body was waited for.
  func hasten() -> Bool {
    var current = value.load(ordering: .acquiring)
    while current != Deadline.none, current != Deadline.expired, current & 1 == 1 {
      let (done, seen) = value.compareExchange(
        expected: current, desired: Deadline.encode(.body, 0), successOrdering: .acquiringAndReleasing,
        failureOrdering: .acquiring)
      if done { return true }
      current = seen
    }
    return false
  }

  /// The phase that ended by this very call, or nil if there is still time.
  func expire(ifBefore now: Int64) -> Phase? {
    let current = value.load(ordering: .acquiring)
    guard current != Deadline.none, current != Deadline.expired, current >> 1 < now else { return nil }
    let (done, _) = value.compareExchange(
      expected: current, desired: Deadline.expired, ordering: .acquiringAndReleasing)
    guard done else { return nil }
    return current & 1 == 1 ? .body : .head
  }
}
