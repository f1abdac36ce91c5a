import Kafka
import Operations
import Synchronization

/// Gathers the reports of some messages. Reports that come after nobody waits any more do no harm.
final class DeliveryReceipt: DeliveryReceiver {
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

  /// - Parameter count: at least 1.
  init(count: Int) { state = Mutex(State(missing: count)) }

  func delivered(_ report: DeliveryReport) {
    let isLast = state.withLock { state in
      if let error = report.error { state.failures.append(Failure(index: report.index, error: error)) }
      state.missing -= 1
      return state.missing == 0
    }
    if isLast { done.close() }
  }

  /// Waits for all reports.
  /// - Returns: the failures in the order of their indices; nil when reports are still missing after `timeout`.
  func wait(timeout: Duration) -> [Failure]? {
    _ = done.take(timeout: timeout)
    return state.withLock { state in
      state.missing == 0 ? state.failures.sorted { $0.index < $1.index } : nil
    }
  }
}
