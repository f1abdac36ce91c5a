import Chunks
import Compression
import Dialects
import Synchronization

/// A job, as all threads see it.
final class Job: Sendable {
  let id: String
  /// As in its record.
  let owner: String?
  let created: Int64
  let inbox = JobInbox()
  private let state: Mutex<JobRecord>

  init(_ record: JobRecord) {
    id = record.id
    owner = record.owner
    created = record.created
    state = Mutex(record)
  }

  var record: JobRecord { state.withLock { $0 } }

  func update<Value>(_ change: (inout JobRecord) -> Value) -> Value { state.withLock { change(&$0) } }

  /// Lets it take nothing more.
  func cancel() {
    if update({ $0.cancel() }) { inbox.cancel() }
  }
}

/// What a job has to do. One thread has it at a time.
struct JobTask: Sendable {
  let job: Job
  let route: ReadingsRoute
  let grant: Grant
  let packing: Packing
  let mapping: CSVMapping
  let key: IdempotencyKey?
  let traceparent: [UInt8]?
  /// Nil: it comes as the body of a request.
  let url: FetchURL?

  /// How its bytes are packed.
  enum Packing: Sendable {
    case plain
    case packed(Inflater.Format)
    /// gzip or not, as the first two bytes say.
    case unknown
  }

  var format: JobRecord.Format { job.record.format }
  var dialect: RecordDialect { format == .csv ? .csv : .sluice }
}

/// Where the readings of a chunk are from.
struct JobChunk: Sendable {
  /// The chunk's first line in the text, from 0, and the one behind its last.
  let lines: Range<Int>
  let places: ChunkPlaces

  /// The lines of items, from 1. They are given in their order.
  func lines(of items: [UInt32]) -> [Int] {
    var places = places
    return items.map { lines.lowerBound + places.find(Int($0)).line + 1 }
  }
}
