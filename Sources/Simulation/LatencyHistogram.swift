/// Counts durations so that any quantile is known to within 4 percent: 32 buckets for each doubling, from a microsecond.
struct LatencyHistogram: Sendable {
  private static let steps = 5
  private var counts = [Int](repeating: 0, count: 40 << steps)
  private(set) var count = 0

  /// Counts a duration.
  /// - Parameter weight: how often.
  mutating func add(nanoseconds: Int64, weight: Int = 1) {
    let index = Self.bucket(UInt64(max(0, nanoseconds) / 1_000))
    counts[min(index, counts.count - 1)] += weight
    count += weight
  }

  mutating func add(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
  }

  /// The duration that this share of all does not exceed, in milliseconds; 0 when there are none.
  func quantile(_ share: Double) -> Double {
    var left = Int((Double(count) * share).rounded(.up))
    guard count > 0 else { return 0 }
    for index in counts.indices {
      left -= counts[index]
      if left <= 0 { return Double(Self.lowerBound(index + 1)) / 1_000 }
    }
    return Double(Self.lowerBound(counts.count)) / 1_000
  }

  /// Whole numbers one by one up to 64, then the highest six bits of a number say which bucket.
  private static func bucket(_ microseconds: UInt64) -> Int {
    let shift = max(0, 63 - steps - microseconds.leadingZeroBitCount)
    return shift << steps + Int(microseconds >> UInt64(shift))
  }

  private static func lowerBound(_ index: Int) -> UInt64 {
    let shift = max(0, index >> steps - 1)
    return UInt64(index - shift << steps) << UInt64(shift)
  }
}
