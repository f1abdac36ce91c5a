package import Kafka
package import Readings
import Synchronization

/// A batch of readings on its way to Kafka, of which what was not acknowledged can be sent again.
///
/// `@unchecked Sendable`: all but `remaining` and `failures`, which guard themselves, is touched by the sending thread
/// alone, and the batch only before it is produced and after its last report.
package final class Flight<Place: Sendable>: DeliveryReceiver, @unchecked Sendable {
  /// A reading that Kafka did not acknowledge.
  package struct Failure: Sendable {
    /// Its place in the batch as it was produced.
    package let index: Int
    package let error: KafkaError
    /// Whether it may be stored all the same.
    package let mayBeStored: Bool
  }

  /// Those that Kafka has not acknowledged.
  package let batch: ReadingBatch
  /// Where the readings are from.
  package let place: Place
  /// Bytes of texts and readings that the batch had at first.
  package let textCount: Int
  package let count: Int
  package var isDone: Bool
  private let finished: @Sendable (Flight) -> Void
  private let remaining = Atomic(0)
  private let failures = Mutex<[Failure]>([])

  /// - Parameter finished: gets this once all reports are there, on the producer's serving thread.
  package init(_ batch: ReadingBatch, place: Place, finished: @escaping @Sendable (Flight) -> Void) {
    self.batch = batch
    self.place = place
    self.finished = finished
    textCount = batch.textCount
    count = batch.count
    isDone = batch.isEmpty
  }

  /// Says that all of the batch is about to be produced.
  package func begin() { remaining.store(batch.count, ordering: .relaxed) }

  package func delivered(_ report: DeliveryReport) {
    if let error = report.error {
      failures.withLock { $0.append(Failure(index: report.index, error: error, mayBeStored: report.mayBeStored)) }
    }
    guard remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    finished(self)
  }

  /// Takes what was acknowledged out of the batch.
  /// - Returns: what is left, in the batch's order; each is one place in it.
  package func settle() -> [Failure] {
    let failures = failures.withLock { failures in
      defer { failures = [] }
      return failures
    }.sorted { $0.index < $1.index }
    var left = failures[...]
    batch.remove(
      at: (0..<batch.count).filter { index in
        guard left.first?.index == index else { return true }
        left.removeFirst()
        return false
      })
    return failures
  }
}
