import Kafka
import Operations
import Readings
import Synchronization

/// The readings of one chunk on their way to Kafka.
///
/// `@unchecked Sendable`: all but `remaining` and `failures`, which guard themselves, is touched by the importing thread
/// alone, and the batch only before it is produced and after its last report.
final class Flight: DeliveryReceiver, @unchecked Sendable {
  /// Those that Kafka has not acknowledged.
  let batch: ReadingBatch
  /// Bytes of texts and readings that the batch had at first.
  let textCount: Int
  let count: Int
  let rejected: Int
  /// Where the chunk ends.
  let offset: Int
  let line: Int
  var isDone: Bool
  private let finished: BoundedQueue<Flight>
  private let remaining = Atomic(0)
  private let failures = Mutex<[Int: KafkaError]>([:])

  /// - Parameter finished: gets this once all reports are there; has room for it.
  init(_ batch: ReadingBatch, rejected: Int, offset: Int, line: Int, finished: BoundedQueue<Flight>) {
    self.batch = batch
    self.rejected = rejected
    self.offset = offset
    self.line = line
    self.finished = finished
    textCount = batch.textCount
    count = batch.count
    isDone = batch.isEmpty
  }

  /// Says that all of the batch is about to be produced.
  func begin() { remaining.store(batch.count, ordering: .relaxed) }

  func delivered(_ report: DeliveryReport) {
    if let error = report.error { failures.withLock { $0[report.index] = error } }
    guard remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    _ = finished.put(self, timeout: .zero)
  }

  /// Takes what was acknowledged out of the batch.
  /// - Returns: why the rest was not; nil when nothing is left.
  func settle() -> KafkaError? {
    let failures = failures.withLock { failures in
      defer { failures = [:] }
      return failures
    }
    batch.remove(at: (0..<batch.count).filter { failures[$0] == nil })
    return failures.values.first { $0.code == .messageTooLarge } ?? failures.values.first
  }
}
