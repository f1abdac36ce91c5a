import Glibc

/// A clock that never jumps.
enum MonotonicClock {
  /// Milliseconds, a few of them late: the kernel's last tick, which costs a fraction of an exact reading.
  static var milliseconds: Int64 {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
  }
}

extension Duration {
  /// Bounded, so that sums with a clock do not overflow.
  var wholeMilliseconds: Int64 { Int64(clamping: Int(min(self, .seconds(1_000_000_000)) / .milliseconds(1))) }
}
