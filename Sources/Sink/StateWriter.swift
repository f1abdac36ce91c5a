import MongoDB
import Operations
import Synchronization

/// The thread that writes device states, beside the one that stores readings: no reading waits for them.
final class StateWriter: Sendable {
  /// What became of what was handed over.
  struct Outcome {
    let unflushed: Unflushed
    /// Whether all states are written; otherwise they were given up, for the process stops.
    let isWritten: Bool
    let start: Duration
    let end: Duration
  }

  private let store: ReadingStore
  private let supervisor: Supervisor
  private let state: StateLog
  private let log: Log
  private let handedOver = BoundedQueue<Unflushed>(capacity: 1)
  private let outcomes = BoundedQueue<Outcome>(capacity: 1)
  private let failing = Atomic(false)

  init(store: ReadingStore, supervisor: Supervisor, state: StateLog, log: Log) {
    self.store = store
    self.supervisor = supervisor
    self.state = state
    self.log = log
  }

  /// Whether the database refused what was to be written last.
  var isFailing: Bool { failing.load(ordering: .acquiring) }

  /// Hands over what is to be written; one at a time.
  func write(_ unflushed: Unflushed) { _ = handedOver.put(unflushed) }

  /// What became of it, once that is known.
  /// - Parameter timeout: nil waits for ever, zero does not wait.
  func outcome(timeout: Duration?) -> Outcome? { outcomes.take(timeout: timeout) }

  /// Writes what is handed over until `close`.
  func run() {
    var portion = Portion()
    var updates = BSONBatch()
    while let unflushed = handedOver.take() {
      let start = Clock.monotonic()
      let isWritten = write(unflushed.states, &portion, &updates)
      if isWritten { unflushed.states.removeAll() }
      _ = outcomes.put(Outcome(unflushed: unflushed, isWritten: isWritten, start: start, end: Clock.monotonic()))
    }
  }

  /// Nothing more is handed over. What is being written is given up between two portions: nobody would commit its offsets.
  func close() { handedOver.close() }

  /// - Returns: false when it was given up.
  private func write(
    _ states: borrowing DeviceStates, _ portion: inout Portion, _ updates: inout BSONBatch
  ) -> Bool {
    var refused: [WriteError] = []
    var first = 0
    while first < states.deviceCount {
      if handedOver.isClosed { return false }
      let last = min(first + portion.count, states.deviceCount)
      do throws(MongoError) {
        let (written, errors) = try store.update(states, first..<last, &portion, &updates)
        refused += errors
        first = written.upperBound
        failing.store(false, ordering: .releasing)
      } catch {
        failing.store(true, ordering: .releasing)
        state.failing("MongoDB does not store: \(error)")
        if supervisor.waitForStop(timeout: FlushSchedule.pause) { return false }
      }
    }
    if let refusal = refused.first {
      log.warning(
        "device state not stored", ["statements": .int(refused.count), "reason": .string(refusal.message)])
    }
    return true
  }
}
