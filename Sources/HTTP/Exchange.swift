import CMicroHTTPD
import Synchronization

/// One request being answered. `respond` may be called from any thread; the first answer counts.
@safe package final class Exchange: Sendable {
  private struct State {
    var answer: Response?
    /// The answer does not wait for the rest of the body.
    var isCutOff = false
    /// Suspended, and nobody has resumed it yet.
    var isSuspended = false
    /// Suspended in the middle of the body.
    var isPaused = false
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
    /// Since when it is, if in the middle of the body; in coarse milliseconds.
    var pausedAt: Int64?
    /// Milliseconds that the client was made to wait for in the middle of its body.
    var pausedTime: Int64 = 0
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
  package func suspend() { park(isPaused: false) }

  /// Gives the answer an eighth to half of a second later, to each connection at another time; only inside
  /// `BodyReceiver.finish`. For a client that might ask again at once.
  package func respondLater(_ response: Response) {
    suspend()
    guard let core else { return respond(response) }
    core.errands.withLock { errands in
      // After that nothing is suspended any more.
      if !errands.isOver { errands.delays.add(response, to: self) }
    }
  }

  /// Reads no more of the body until `resume`; only inside `BodyReceiver.receive`, or inside `finish`, which is then called
  /// again. The client's time stands still.
  package func pause() {
    // Before the library knows, for whoever resumes sets it anew.
    guard record?.deadline.clear() ?? true else { return }
    park(isPaused: true)
    if unsafe progress.isParked {
      unsafe progress.pausedAt = MonotonicClock.coarseMilliseconds
    } else {
      // It is answered already.
      _ = unsafe awaitBody(until: progress.bodyDeadline)
    }
  }

  /// Goes on with the body; from any thread, and without effect unless it is paused.
  package func resume() {
    let wasPaused = state.withLock { state in
      guard state.isPaused else { return false }
      (state.isSuspended, state.isPaused) = (false, false)
      return true
    }
    if wasPaused { goOn(fromPause: true) }
  }

  /// Gives the answer. Later answers, and one to a client that has gone, are ignored.
  package func respond(_ response: Response) { give(response, cuttingOff: false) }

  /// Gives the answer though the body is not complete, which ends the connection; from any thread.
  package func cutOff(_ response: Response) { give(response, cuttingOff: true) }

  private func give(_ response: Response, cuttingOff: Bool) {
    let (isFirst, wasSuspended, wasPaused) = state.withLock { state in
      guard !state.isOver, state.answer == nil else { return (false, false, false) }
      state.answer = response
      state.isCutOff = cuttingOff
      // Whoever tends the connections sends the answer when the time for the body is over. Until `end` it is this request's
      // time, and not the next one's.
      if cuttingOff { _ = record?.deadline.hasten() }
      defer { (state.isSuspended, state.isPaused) = (false, false) }
      return (true, state.isSuspended, state.isPaused)
    }
    guard isFirst else { return }
    answered?(response)
    if wasSuspended { goOn(fromPause: wasPaused) }
  }

  /// Sets until when the rest of the body must come, which is over if it was cut off; false when it was over before.
  func awaitBody(until milliseconds: Int64) -> Bool {
    state.withLock { record?.deadline.set(.body, at: $0.isCutOff ? 0 : milliseconds) ?? false }
  }

  /// Sends past the library, as the last on its connection, on the thread that serves it; whether all is on its way.
  func sendLast(_ bytes: [UInt8]) -> Bool {
    guard core?.isTLS == true else { return record?.sendAll(bytes) ?? false }
    guard let connection = unsafe connection else { return false }
    return unsafe bytes.withUnsafeBytes { bytes in
      unsafe sluice_tls_send(connection, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }
  }

  private func park(isPaused: Bool) {
    guard state.withLock({ !$0.isOver && $0.answer == nil && !$0.isSuspended }) else { return }
    guard let core, let connection = unsafe connection else {
      return state.withLock { ($0.isSuspended, $0.isPaused) = (true, isPaused) }
    }
    // The library must know first: a resume that overtakes the suspend would be lost.
    unsafe MHD_suspend_connection(connection)
    unsafe progress.isParked = true
    core.suspended.add(1, ordering: .sequentiallyConsistent)
    let isAnswered = state.withLock { state in
      state.isSuspended = state.answer == nil
      state.isPaused = isPaused && state.isSuspended
      return !state.isSuspended
    }
    if isAnswered { goOn(fromPause: isPaused) }
    if core.isForcing { respond(core.stoppingResponse) }
  }

  /// Lets the library go on with the connection; by the one who took `isSuspended` back.
  private func goOn(fromPause: Bool) {
    guard let core, let record, let connection = unsafe connection else { return }
    // While it is parked nobody else touches what it has left.
    if fromPause {
      _ = unsafe awaitBody(until: max(progress.bodyDeadline, MonotonicClock.coarseMilliseconds + core.limits.body))
    }
    unsafe record.loop.resume(connection)
    guard fromPause else { return }
    // Not when the next piece comes, as there may be none.
    core.suspended.subtract(1, ordering: .sequentiallyConsistent)
    core.signalIfStopping()
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
