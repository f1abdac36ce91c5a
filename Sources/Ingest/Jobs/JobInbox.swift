import HTTP
import Operations
import Publishing

/// A chunk's readings on their way to Kafka.
typealias JobFlight = Flight<JobChunk>

/// What comes to a job from other threads: its body from the connection's, acknowledgements from Kafka's, and its end from
/// whoever cancels it or stops the process.
final class JobInbox: Sendable {
  /// What a job's thread finds.
  enum Event {
    /// The bytes that it gave to be filled are.
    case bytes
    /// All of the body was taken.
    case complete
    case landed([JobFlight])
    case ended(JobEnd)
    case nothing
  }

  /// How a process that stops treats its jobs.
  enum Stop {
    /// Those whose body is complete may finish.
    case soon
    case now
  }

  /// What became of a piece.
  enum Taken { case more, enough, over }

  private struct State {
    var bytes: [UInt8] = []
    var isFull = false
    var isComplete = false
    var isGone = false
    var landed: [JobFlight] = []
    var isCancelled = false
    var stop: Stop?
    var isOver = false
    var exchange: Exchange?

    var end: JobEnd? {
      if isCancelled { return .cancelled }
      switch stop {
      case .now: return .stopped
      case .soon where !isComplete: return .stopped
      default: return nil
      }
    }
  }

  /// Bytes of a body that may wait; beyond them the client does.
  static let capacity = 256 << 10

  private let state = Monitor(State())

  // MARK: The connection's thread

  /// The request whose body comes.
  func begin(_ exchange: Exchange) { state.withLock { $0.exchange = exchange } }

  /// Adds a piece of the body.
  func put(_ piece: UnsafeRawBufferPointer) -> Taken {
    let taken = state.withLock { state -> Taken in
      if state.isOver { return .over }
      state.bytes.append(contentsOf: piece)
      state.isFull = state.bytes.count >= Self.capacity
      return state.isFull ? .enough : .more
    }
    state.signal()
    return taken
  }

  /// Whether the client is to wait.
  var isFull: Bool { state.withLock { $0.isFull && !$0.isOver } }

  /// The body is complete.
  func complete() {
    state.withLock { $0.isComplete = true }
    state.signal()
  }

  /// The client went away.
  func leave() {
    state.withLock { $0.isGone = true }
    state.signal()
  }

  // MARK: Others

  /// All reports of a flight are there.
  func land(_ flight: JobFlight) {
    state.withLock { $0.landed.append(flight) }
    state.signal()
  }

  func cancel() {
    state.withLock { $0.isCancelled = true }
    state.signal()
  }

  func stop(_ stop: Stop) {
    state.withLock { $0.stop = stop }
    state.signal()
  }

  // MARK: The job's thread

  /// Why the job is to end; nil when it is not.
  var end: JobEnd? { state.withLock { $0.end } }

  /// Waits for what comes first of: an end, acknowledgements, more of the body.
  ///
  /// - Parameter bytes: nil to leave the body where it is; otherwise empty, and gets what there is of it.
  func wait(timeout: Duration, bytes: inout [UInt8]?) -> Event {
    var isToGoOn: Exchange?
    let event = state.wait(timeout: timeout) { state -> Event? in
      if !state.landed.isEmpty {
        defer { state.landed = [] }
        return .landed(state.landed)
      }
      if let end = state.end { return .ended(end) }
      guard bytes != nil else { return nil }
      if !state.bytes.isEmpty {
        swap(&bytes!, &state.bytes)
        if state.isFull { isToGoOn = state.exchange }
        state.isFull = false
        return .bytes
      }
      return state.isComplete ? .complete : state.isGone ? .ended(.gone) : nil
    }
    isToGoOn?.resume()
    return event ?? .nothing
  }

  /// Waits for acknowledgements, whether the job is to end or not.
  func waitForLanding(timeout: Duration) -> [JobFlight] {
    state.wait(timeout: timeout) { state in
      guard !state.landed.isEmpty else { return nil }
      defer { state.landed = [] }
      return state.landed
    } ?? []
  }

  /// Takes nothing more, and lets go of what there is.
  /// - Returns: the request that is to be answered.
  func close() -> Exchange? {
    state.withLock { state in
      state.isOver = true
      state.bytes = []
      defer { state.exchange = nil }
      return state.exchange
    }
  }
}
