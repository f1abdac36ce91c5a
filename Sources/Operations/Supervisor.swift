import Glibc

/// Runs the threads of the process, and takes the whole process down, in order, when one of them cannot go on.
///
/// A thread's body runs until `isStopping`; whatever it blocks on is ended by an `onStop` action. A body that throws, or
/// returns before a stop was asked for, is a failure: the process does not go on with a part missing, but stops and is
/// started again by whoever watches it.
package final class Supervisor: Sendable {
  /// Why the process goes down by itself.
  package struct Failure: Sendable, Equatable {
    /// The thread's name.
    package let thread: String
    package let reason: String
  }

  private struct Thread {
    let number: Int
    var name: String
    var handle: pthread_t?
    var hasEnded = false
  }

  private typealias StopAction = (name: String, body: @Sendable () -> Void)

  private struct State {
    var threads: [Thread] = []
    var started = 0
    var isStopping = false
    var failure: Failure?
    var stopActions: [StopAction] = []
    /// The thread in `runUntilSignal`.
    var waiter: pthread_t?
  }

  private let log: Log
  private let stackSize: Int
  private let state = Monitor(State())

  /// - Parameter stackSize: of every thread, in bytes.
  package init(log: Log, stackSize: Int = 1 << 20) {
    self.log = log
    self.stackSize = stackSize
  }

  /// Whether the process is to stop: bodies look at it between two pieces of work.
  package var isStopping: Bool { state.withLock { $0.isStopping } }

  /// Why the process goes down, when it was not told to.
  package var failure: Failure? { state.withLock { $0.failure } }

  /// The names of the threads that have not ended.
  package var running: [String] { state.withLock { $0.threads.filter { !$0.hasEnded }.map(\.name) } }

  /// Starts a thread, unless the process is stopping. A thread that cannot be started is a failure.
  /// - Parameters:
  ///   - name: what logs and tools show; tools show the first 15 bytes.
  ///   - mayEnd: whether it may return before a stop is asked for.
  package func start(_ name: String, mayEnd: Bool = false, _ body: @escaping @Sendable () throws -> Void) {
    guard !isStopping else { return }
    do {
      try launch(name) { [self] _ in
        do {
          try body()
          if !mayEnd && !isStopping { fail(name, "ended before it was asked to") }
        } catch {
          fail(name, "\(error)")
        }
      }
    } catch {
      fail(name, "cannot be started: \(error)")
    }
  }

  /// Adds an action for when a stop is asked for. They run one after the other, the last added first, on a thread of
  /// their own; when a stop was asked for already, at once and here.
  package func onStop(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let isLate = state.withLock { state in
      if !state.isStopping { state.stopActions.append((name, body)) }
      return state.isStopping
    }
    if isLate { body() }
  }

  /// Asks all threads to end. Returns at once; more than once is as good as once.
  package func requestStop() {
    let actions = state.withLock { state -> [StopAction] in
      state.isStopping = true
      defer { state.stopActions = [] }
      return state.stopActions.reversed()
    }
    state.broadcast()
    wakeWaiter()
    guard !actions.isEmpty else { return }
    do {
      try launch("stop") { [self] number in
        for action in actions {
          rename(number, to: "stop \(action.name)")
          action.body()
        }
      }
    } catch {
      // No thread to be had: in order and late is better than not at all.
      for action in actions { action.body() }
    }
  }

  /// Waits until a stop is asked for.
  /// - Returns: whether it was, within `timeout`: what a body waits with between two tries.
  package func waitForStop(timeout: Duration?) -> Bool {
    state.wait(timeout: timeout) { $0.isStopping ? true : nil } ?? false
  }

  /// Waits until all threads have ended.
  /// - Returns: whether they have, within `timeout`.
  package func join(timeout: Duration? = nil) -> Bool {
    let done = state.wait(timeout: timeout) { $0.threads.allSatisfy(\.hasEnded) ? true : nil } ?? false
    reap()
    return done
  }

  /// Waits for SIGTERM, SIGINT or a failure, then stops everything. For the main thread, after
  /// `Signals.blockTermination()`.
  ///
  /// It does not return, but ends the process: when a second SIGTERM or SIGINT comes while it stops, at once with 128
  /// plus the signal's number; when threads still run `timeout` after the stop was asked for, with 1 and a line that
  /// names them.
  /// - Parameter onHangup: what SIGHUP does; nil: the same as SIGTERM, for the terminal is gone.
  /// - Returns: the exit code: 0, or 1 after a failure.
  package func runUntilSignal(timeout: Duration, onHangup: (() -> Void)? = nil) -> Int32 {
    Signals.blockTermination()
    state.withLock { $0.waiter = pthread_self() }
    while !isStopping {
      guard case .signal(let number) = Signals.wait(timeout: nil) else { continue }
      if number == SIGHUP, let onHangup {
        onHangup()
      } else {
        log.info("stopping", ["reason": .string(Signals.name(number))])
        requestStop()
      }
    }
    let start = Clock.monotonic()
    while !running.isEmpty {
      switch Signals.wait(timeout: timeout - (Clock.monotonic() - start)) {
      case .signal(let number) where number != SIGHUP:
        log.warning("ended at once", ["reason": .string("second \(Signals.name(number))"), "running": runningNames])
        _exit(128 + number)
      case .timedOut where !running.isEmpty:
        log.error("did not stop in time", ["timeout": .string("\(timeout)"), "running": runningNames])
        _exit(1)
      case .signal, .woken, .timedOut:
        break
      }
    }
    state.withLock { $0.waiter = nil }
    reap()
    log.info("stopped")
    return failure == nil ? 0 : 1
  }

  private var runningNames: LogValue { .string(running.joined(separator: ",")) }

  private func fail(_ name: String, _ reason: String) {
    state.withLock { state in
      if state.failure == nil { state.failure = Failure(thread: name, reason: reason) }
    }
    log.error("thread failed", ["thread": .string(name), "reason": .string(reason)])
    requestStop()
  }

  private func launch(_ name: String, _ body: @escaping @Sendable (_ number: Int) -> Void) throws(SystemError) {
    reap()
    let number = state.withLock { state in
      state.started += 1
      state.threads.append(Thread(number: state.started, name: name))
      return state.started
    }
    do {
      let handle = try NamedThread.start(name, stackSize: stackSize) { [self] in
        body(number)
        update(number) { $0.hasEnded = true }
        state.broadcast()
        wakeWaiter()
      }
      update(number) { $0.handle = handle }
    } catch {
      state.withLock { $0.threads.removeAll { $0.number == number } }
      throw error
    }
  }

  private func rename(_ number: Int, to name: String) { update(number) { $0.name = name } }

  private func update(_ number: Int, _ change: (inout Thread) -> Void) {
    state.withLock { state in
      guard let index = state.threads.firstIndex(where: { $0.number == number }) else { return }
      change(&state.threads[index])
    }
  }

  /// Joins the threads that have ended, so that the system frees their stacks.
  private func reap() {
    let ended = state.withLock { state -> [pthread_t] in
      let isDone = { (thread: Thread) in thread.hasEnded && thread.handle != nil }
      defer { state.threads.removeAll(where: isDone) }
      return state.threads.filter(isDone).compactMap(\.handle)
    }
    for handle in ended { pthread_join(handle, nil) }
  }

  /// Under the lock, so that the waiter still exists.
  private func wakeWaiter() {
    state.withLock { state in
      if let waiter = state.waiter { Signals.wake(waiter) }
    }
  }
}
