import CMicroHTTPD
import Synchronization

/// One request being answered. `respond` may be called from any thread; the first answer counts.
@safe package final class Exchange: Sendable {
  private struct State {
    var answer: Response?
    /// Suspended, and nobody has resumed it yet.
    var isSuspended = false
    var isOver = false
    var isAbandoned = false
  }

  /// What only the thread that serves the connection touches.
  struct Progress {
    var receiver: (any BodyReceiver)?
    /// Instead of a receiver: what the connection goes on with.
    var upgrade: Upgrade?
    var receivedBytes: Int64 = 0
    var droppedBytes = 0
    /// In coarse milliseconds.
    var bodyDeadline: Int64 = 0
    /// The answer is there and the rest of the body is dropped.
    var isRefused = false
    /// `finish` was called.
    var isFinished = false
    /// The connection is among the library's suspended ones.
    var isParked = false
    /// Header fields that the answer gets, whatever it is.
    var extraHeaders: [(String, String)] = []
    /// The status of the answer that the library has.
    var queuedStatus: Int?
    /// The status of the answer that was sent past the library.
    var sentStatus: Int?
  }

  let method: Method
  let path: String
  /// Nanoseconds of the monotonic clock.
  let startedAt: Int64
  let record: ConnectionRecord?
  // Only the serving thread reads or writes it: the library calls back on the connection's own thread.
  nonisolated(unsafe) var progress = Progress()

  let core: ServerCore?
  private let answered: (@Sendable (Response) -> Void)?
  // Used on the serving thread, or by the one who takes `isSuspended` back: until then the library keeps it.
  private nonisolated(unsafe) let connection: OpaquePointer?
  private let state = Mutex(State())

  init(core: ServerCore, connection: OpaquePointer, record: ConnectionRecord?, method: Method, path: String) {
    self.core = core
    unsafe self.connection = unsafe connection
    self.record = record
    self.method = method
    self.path = path
    startedAt = MonotonicClock.nanoseconds
    answered = nil
  }

  /// An exchange that came over no socket, for driving a `BodyReceiver` directly; `answered` gets the one answer.
  package init(method: Method = .post, path: String = "/", answered: @escaping @Sendable (Response) -> Void) {
    core = nil
    unsafe connection = nil
    record = nil
    self.method = method
    self.path = path
    startedAt = MonotonicClock.nanoseconds
    self.answered = answered
  }

  /// Announces that the answer comes later; only inside `BodyReceiver.finish`, and before the work is handed on.
  package func suspend() {
    guard state.withLock({ !$0.isOver && $0.answer == nil && !$0.isSuspended }) else { return }
    guard let core, let connection = unsafe connection else { return state.withLock { $0.isSuspended = true } }
    // The library must know first: a resume that overtakes the suspend would be lost.
    unsafe MHD_suspend_connection(connection)
    unsafe progress.isParked = true
    core.suspended.add(1, ordering: .sequentiallyConsistent)
    let isAnswered = state.withLock { state in
      state.isSuspended = state.answer == nil
      return !state.isSuspended
    }
    if isAnswered { unsafe record?.loop.resume(connection) }
    if core.isForcing { respond(core.stoppingResponse) }
  }

  /// Gives the answer. Later answers, and one to a client that has gone, are ignored.
  package func respond(_ response: Response) {
    let (isFirst, wasSuspended) = state.withLock { state in
      guard !state.isOver, state.answer == nil else { return (false, false) }
      state.answer = response
      defer { state.isSuspended = false }
      return (true, state.isSuspended)
    }
    guard isFirst else { return }
    answered?(response)
    guard wasSuspended, let record, let connection = unsafe connection else { return }
    unsafe record.loop.resume(connection)
  }

  /// Whether the client is known to have gone without its answer. While a request is suspended nobody looks.
  package var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

  var isSuspended: Bool { state.withLock { $0.isSuspended } }

  var isAnswered: Bool { state.withLock { $0.answer != nil } }

  var answer: Response? { state.withLock { $0.answer } }

  /// No answer counts any more.
  func end(abandoned: Bool) {
    state.withLock {
      $0.isOver = true
      $0.isAbandoned = abandoned
    }
  }
}
