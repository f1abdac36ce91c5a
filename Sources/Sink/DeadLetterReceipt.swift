import Kafka
import Operations
import Synchronization

/// Gathers the reports of some dead letters.
final class DeadLetterReceipt: DeliveryReceiver {
  /// A message that Kafka does not have.
  struct Failure {
    let index: Int
    let error: KafkaError
  }

  private struct State {
    var missing: Int
    var failures: [Failure] = []
  }

  private let state: Mutex<State>
  /// Closed when the last report is there.
  private let done = BoundedQueue<Never>(capacity: 1)

  init(count: Int) { state = Mutex(State(missing: count)) }

  func delivered(_ report: DeliveryReport) {
    let isLast = state.withLock { state in
      if let error = report.error { state.failures.append(Failure(index: report.index, error: error)) }
      state.missing -= 1
      return state.missing == 0
    }
    if isLast { done.close() }
  }

  /// Waits for all reports: at most the producer's delivery timeout, for then each message has failed.
  /// - Returns: the messages that Kafka does not have, in their order.
  func wait() -> [Failure] {
    _ = done.take()
    return state.withLock { $0.failures.sorted { $0.index < $1.index } }
  }
}
