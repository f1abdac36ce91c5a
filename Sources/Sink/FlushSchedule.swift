/// When device states are written and offsets committed. Times are those of `Clock.monotonic`.
struct FlushSchedule {
  /// How often while batches keep coming, at most.
  static let interval: Duration = .seconds(2)
  /// What makes it worth while then: so many readings for each state that is to be written.
  static let readingsPerState = 10
  /// How often while batches keep coming, at least: what is not committed is read again after a crash.
  static let longest: Duration = .seconds(16)
  /// How long it is to take: a rebalance waits for it, and offsets do.
  static let duration: Duration = .seconds(4)
  /// How long it is put off after it failed.
  static let pause: Duration = .seconds(1)

  /// Not before: where it takes long, half of the time is left for readings.
  private(set) var earliest: Duration
  /// When it is time although more batches wait, if there are enough readings for it.
  private(set) var due: Duration
  /// When it is time whatever there is.
  private(set) var latest: Duration
  /// How many states can be written without taking longer than it is to take, going by what they took before.
  private(set) var most = 20_000

  init(now: Duration) {
    earliest = now
    due = now + Self.interval
    latest = now + Self.longest
  }

  /// Whether it is time although more batches wait.
  /// - Parameters:
  ///   - readings: that were noted since it was done last.
  ///   - states: that they left to be written.
  func isDue(at now: Duration, readings: Int, states: Int) -> Bool {
    now >= earliest && states >= most
      || now >= due && (now >= latest || readings >= states * Self.readingsPerState)
  }

  /// Notes when it was tried last, with how many states, and whether that failed.
  mutating func tried(_ states: Int, from start: Duration, to end: Duration, failed: Bool) {
    // Of few the round trip is what takes the time.
    if !failed && states >= 1_000 {
      most = max(1_000, Int(Double(states) * (Self.duration / max(end - start, .milliseconds(1)))))
    }
    earliest = end + (failed ? Self.pause : end - start)
    due = max(start + Self.interval, earliest)
    latest = failed ? due : max(start + Self.longest, earliest)
  }
}
