import Glibc

/// The two clocks: the calendar's, which may jump, and one that only goes forward.
package enum Clock {
  /// UTC now, in milliseconds since 1970-01-01T00:00:00Z. It may jump when the machine's clock is set.
  package static func nowMilliseconds() -> Int64 {
    let now = read(CLOCK_REALTIME)
    return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
  }

  /// Time since the machine started, for differences only.
  ///
  /// It never jumps and goes on counting while the process is stopped and while the machine sleeps (CLOCK_BOOTTIME,
  /// clock_gettime(2)), so that a process which was frozen sees how long.
  package static func monotonic() -> Duration {
    let now = read(CLOCK_BOOTTIME)
    return Duration(secondsComponent: Int64(now.tv_sec), attosecondsComponent: Int64(now.tv_nsec) * 1_000_000_000)
  }

  /// What `monotonic()` says, in whole nanoseconds: for atomics and hot paths.
  package static func monotonicNanoseconds() -> Int64 {
    let now = read(CLOCK_BOOTTIME)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }

  private static func read(_ clock: clockid_t) -> timespec {
    var now = timespec()
    clock_gettime(clock, &now)
    return now
  }
}

extension timespec {
  /// A duration as C takes it; negative is zero, and what does not fit is the longest that does.
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    if duration <= .zero {
      self.init(tv_sec: 0, tv_nsec: 0)
    } else {
      // A thousand years: far enough, and sums with a clock's value do not overflow.
      self.init(tv_sec: Int(min(seconds, 31_556_952_000)), tv_nsec: Int(attoseconds / 1_000_000_000))
    }
  }

  /// The moment on CLOCK_MONOTONIC that is `timeout` from now, which is what pthread conditions wait for.
  static func monotonic(after timeout: Duration) -> timespec {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    let wait = timespec(timeout)
    let nanoseconds = now.tv_nsec + wait.tv_nsec
    return timespec(
      tv_sec: now.tv_sec + wait.tv_sec + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
  }
}
