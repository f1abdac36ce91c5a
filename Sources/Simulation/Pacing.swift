/// When the readings of one connection are due: evenly, counted from the start, so that late wake-ups do not add up.
///
/// What could not be sent for a while is caught up with, but for no more than `patience`: a fleet that was held up for an
/// hour does not send an hour's readings at once.
struct Pacing: Sendable {
  /// How much is caught up with, in nanoseconds.
  static let patience: Int64 = 2_000_000_000

  /// Readings that are to be sent together.
  struct Claim: Equatable, Sendable {
    /// How many they are; at least 1.
    let count: Int
    fileprivate let firstDue: Double
    fileprivate let interval: Double

    /// When the last of them is due, in nanoseconds.
    var due: Int64 { Int64(firstDue + Double(count - 1) * interval) }

    /// How many of them are due at a moment.
    func ripe(at now: Int64) -> Int {
      if now >= due { return count }
      let passed = Double(now) - firstDue
      return passed < 0 ? 0 : min(count, Int(passed / interval) + 1)
    }
  }

  private let interval: Double
  private let end: Int64?
  private var origin: Double
  private var issued = 0

  /// Times are in nanoseconds of a monotonic clock.
  /// - Parameters:
  ///   - rate: readings per second; 0: as many as can be.
  ///   - end: no reading is due then or later.
  init(rate: Double, start: Int64, end: Int64?) {
    interval = rate > 0 ? 1_000_000_000 / rate : 0
    origin = Double(start)
    self.end = end
  }

  /// Whether there is nothing to be sent any more.
  func isOver(at now: Int64) -> Bool { end.map { now >= $0 } ?? false }

  /// The next readings.
  /// - Parameter take: how many of that many there may still be.
  /// - Returns: nil when none is due before the end.
  mutating func claim(_ wanted: Int, now: Int64, take: (Int) -> Int = { $0 }) -> Claim? {
    let late = Double(now - Self.patience) - (origin + Double(issued) * interval)
    if late > 0, interval > 0 { origin += late }
    let firstDue = origin + Double(issued) * interval
    if let end, now >= end || firstDue >= Double(end) { return nil }
    let count = take(max(1, wanted))
    guard count > 0 else { return nil }
    issued += count
    return Claim(count: count, firstDue: firstDue, interval: interval)
  }
}
