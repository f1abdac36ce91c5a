/// When device states are written and offsets committed. Times are those of `Clock.monotonic`.
struct FlushSchedule {
  /// How often while batches keep coming.
  static let interval: Duration = .seconds(2)
  /// How long it is put off after it failed.
  static let pause: Duration = .seconds(1)

  /// Not before: where it takes long, a third of the time is left to the database for readings.
  private(set) var earliest: Duration
  /// When it is time although more batches wait.
  private(set) var due: Duration

  init(now: Duration) {
    earliest = now
    due = now + Self.interval
  }

  /// Notes when it was tried last, and whether that failed.
  mutating func tried(from start: Duration, to end: Duration, failed: Bool) {
    earliest = end + (failed ? Self.pause : (end - start) / 2)
    due = max(start + Self.interval, earliest)
  }
}
