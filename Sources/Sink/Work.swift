import Operations
import Synchronization

/// What the polling thread hands to the writing thread, in order.
enum Work: Sendable {
  case batch(SinkBatch)
  /// All before it is to be written and committed; then `done` is closed.
  case drain(done: BoundedQueue<Never>)
}

/// Which assignment of partitions is in force. What was read under an earlier one must not be written any more.
final class Generation: Sendable {
  private let number = Atomic(0)

  var current: Int { number.load(ordering: .acquiring) }

  /// Ends the assignment in force.
  func advance() { number.add(1, ordering: .releasing) }
}
