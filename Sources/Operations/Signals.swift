import Glibc

/// The signals that end a process, taken by one thread that waits for them instead of by handlers.
package enum Signals {
  /// What a wait ended with.
  package enum Event: Sendable, Equatable {
    case signal(Int32)
    /// Another thread called `wake`.
    case woken
    case timedOut
  }

  /// Stays pending until the waiting thread looks, so that no wake-up is lost; its default action is to be ignored, so
  /// that one which comes late does no harm.
  private static let wakeSignal = SIGURG

  /// Blocks SIGTERM, SIGINT and SIGHUP for the calling thread, and all threads it starts from now on, and ignores
  /// SIGPIPE for the process.
  ///
  /// The main thread calls it before any other thread exists: a thread that does not block them would be killed by them.
  package static func blockTermination() {
    var set = waited
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
  }

  /// Waits for SIGTERM, SIGINT or SIGHUP; the calling thread has them blocked.
  package static func wait() -> Int32 {
    while true {
      if case .signal(let number) = wait(timeout: nil) { return number }
    }
  }

  /// Waits for one of these signals, a wake-up, or the end of `timeout`; the calling thread has them blocked.
  package static func wait(timeout: Duration?) -> Event {
    var set = waited
    let start = Clock.monotonic()
    while true {
      let number: Int32
      if let timeout {
        var left = timespec(timeout - (Clock.monotonic() - start))
        number = sigtimedwait(&set, nil, &left)
      } else {
        number = sigwaitinfo(&set, nil)
      }
      if number > 0 { return number == wakeSignal ? .woken : .signal(number) }
      if errno == EAGAIN { return .timedOut }
    }
  }

  /// Ends the wait of a thread, or its next one. The thread exists, and has called `blockTermination`.
  static func wake(_ thread: pthread_t) { pthread_kill(thread, wakeSignal) }

  /// A signal's name as operators know it.
  package static func name(_ number: Int32) -> String {
    switch number {
    case SIGTERM: "SIGTERM"
    case SIGINT: "SIGINT"
    case SIGHUP: "SIGHUP"
    default: "signal \(number)"
    }
  }

  private static var waited: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGTERM, SIGINT, SIGHUP, wakeSignal] { sigaddset(&set, number) }
    return set
  }
}
