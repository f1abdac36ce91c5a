import Glibc

/// Clocks that never jump.
enum MonotonicClock {
  /// Milliseconds, a few of them late: the kernel's last tick, which costs a fraction of an exact reading.
  static var coarseMilliseconds: Int64 {
    let now = read(CLOCK_MONOTONIC_COARSE)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }

  static var nanoseconds: Int64 {
    let now = read(CLOCK_MONOTONIC)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }

  private static func read(_ clock: clockid_t) -> timespec {
    var now = timespec()
    unsafe clock_gettime(clock, &now)
    return now
  }
}

extension Duration {
  /// At least 1 for a positive duration, and bounded so that sums with a clock do not overflow.
  var wholeMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    if seconds < 0 || attoseconds < 0 { return 0 }
    if seconds > 1_000_000_000 { return 1_000_000_000_000 }
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    return self > .zero ? max(1, milliseconds) : 0
  }
}
