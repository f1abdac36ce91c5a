import Operations
import Synchronization

/// What the connections of a run have in common.
final class SenderContext: Sendable {
  let plan: SimulationPlan
  let supervisor: Supervisor
  let log: Log
  let tally = Tally()
  let file: OutcomeFile?
  /// When it began, in nanoseconds of the monotonic clock.
  let start: Int64
  /// When no reading is sent any more.
  let end: Int64?
  /// How many readings there may still be.
  private let left: Atomic<Int>

  init(_ plan: SimulationPlan, supervisor: Supervisor, log: Log, file: OutcomeFile?) {
    self.plan = plan
    self.supervisor = supervisor
    self.log = log
    self.file = file
    start = Clock.monotonicNanoseconds()
    end = plan.duration.map { [start] in start + $0.nanoseconds }
    left = Atomic(plan.count ?? .max)
  }

  var isStopping: Bool { supervisor.isStopping }

  /// Takes up to that many readings from those that there may be.
  func take(_ wanted: Int) -> Int {
    guard plan.count != nil else { return wanted }
    let before = left.subtract(wanted, ordering: .relaxed).oldValue
    return min(wanted, max(0, before))
  }

  /// Waits.
  /// - Returns: whether a stop was asked for meanwhile.
  func wait(nanoseconds: Int64) -> Bool { supervisor.waitForStop(timeout: .nanoseconds(max(0, nanoseconds))) }

  /// Until when a reading that was sent first at a moment is repeated: for as long as the plan says, but not much longer
  /// than the run.
  func repeatDeadline(_ first: Int64) -> Int64 {
    let deadline = first + plan.repeatFor.nanoseconds
    return end.map { min(deadline, $0 + plan.answerTimeout.nanoseconds) } ?? deadline
  }
}

extension Duration {
  /// Whole nanoseconds; what does not fit is the most that does.
  var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return min(max(seconds, -9_000_000_000), 9_000_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
