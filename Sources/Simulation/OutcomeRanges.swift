/// What became of the readings of one connection, as ranges of sequence numbers: one range per device and outcome is held,
/// and given out when the next number does not continue it.
struct OutcomeRanges {
  enum Outcome: Int { case accepted, doubtful }

  struct Closed: Equatable {
    let device: Int
    let outcome: Outcome
    let numbers: ClosedRange<Int>
  }

  /// Two for each device; empty where the upper bound is below the lower.
  private var lower: [Int]
  private var upper: [Int]

  init(devices: Int) {
    lower = Array(repeating: 0, count: devices * 2)
    upper = Array(repeating: -1, count: devices * 2)
  }

  /// Adds a reading.
  /// - Returns: the range that it does not continue.
  mutating func add(_ identity: ReadingIdentity, _ outcome: Outcome) -> Closed? {
    let index = identity.device * 2 + outcome.rawValue
    if upper[index] >= lower[index], upper[index] + 1 == identity.sequence {
      upper[index] = identity.sequence
      return nil
    }
    let closed = range(index)
    lower[index] = identity.sequence
    upper[index] = identity.sequence
    return closed
  }

  /// The ranges that are held.
  var open: [Closed] { lower.indices.compactMap(range) }

  private func range(_ index: Int) -> Closed? {
    guard upper[index] >= lower[index] else { return nil }
    return Closed(device: index / 2, outcome: Outcome(rawValue: index % 2)!, numbers: lower[index]...upper[index])
  }
}
