/// What was accepted in each second, and what was done meanwhile.
struct Timeline {
  /// Seconds since the start of the load, in which something was killed or frozen.
  private(set) var trouble: [(seconds: Range<Double>, what: String)] = []
  /// Readings accepted in each second, of all senders.
  private(set) var accepted: [Int] = []

  /// Notes a fault.
  mutating func add(_ what: String, from start: Double, to end: Double) {
    trouble.append((start..<max(start, end), what))
  }

  /// Notes a sender's second, which ended at that time.
  mutating func add(accepted count: Int, at second: Double) {
    let index = max(0, Int(second))
    if accepted.count <= index { accepted += repeatElement(0, count: index + 1 - accepted.count) }
    accepted[index] += count
  }

  struct Summary: Equatable {
    /// Readings per second.
    var calm = 0.0
    var troubled = 0.0
    /// The most seconds in a row in which nothing was accepted.
    var longestGap = 0
    /// The second in which it began.
    var gapStart = 0
  }

  var summary: Summary {
    var summary = Summary()
    var calm = (seconds: 0, count: 0)
    var troubled = (seconds: 0, count: 0)
    var gap = 0
    for (second, count) in accepted.enumerated() {
      let isTroubled = trouble.contains {
        $0.seconds.lowerBound < Double(second + 1) && $0.seconds.upperBound > Double(second)
      }
      if isTroubled {
        troubled.seconds += 1
        troubled.count += count
      } else {
        calm.seconds += 1
        calm.count += count
      }
      gap = count == 0 ? gap + 1 : 0
      if gap > summary.longestGap {
        summary.longestGap = gap
        summary.gapStart = second + 1 - gap
      }
    }
    if calm.seconds > 0 { summary.calm = Double(calm.count) / Double(calm.seconds) }
    if troubled.seconds > 0 { summary.troubled = Double(troubled.count) / Double(troubled.seconds) }
    return summary
  }
}
