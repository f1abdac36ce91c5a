import Keys
import Testing

@Suite struct TokenBucketTests {
  private static let second: Int64 = 1_000_000_000

  @Test func allowsABurstAndThenTheRate() {
    let policy = RatePolicy(rate: 10, burst: 5)
    var bucket = TokenBucket()
    let start: Int64 = 1_000
    #expect(bucket.remaining(at: start, policy) == 5)
    for left in (0..<5).reversed() {
      #expect(bucket.take(1, at: start, policy) == .taken)
      #expect(bucket.remaining(at: start, policy) == left)
    }
    #expect(bucket.take(1, at: start, policy) == .wait(nanoseconds: 100_000_000))
    #expect(bucket.take(1, at: start + 99_999_999, policy) == .wait(nanoseconds: 1))
    #expect(bucket.take(1, at: start + 100_000_000, policy) == .taken)
    // A long silence fills it, and not more.
    let later = start + 3_600 * Self.second
    #expect(bucket.remaining(at: later, policy) == 5)
    #expect(bucket.take(5, at: later, policy) == .taken)
    #expect(bucket.take(1, at: later, policy) == .wait(nanoseconds: 100_000_000))
  }

  @Test func takesAllOrNothing() {
    let policy = RatePolicy(rate: 1, burst: 10)
    var bucket = TokenBucket()
    #expect(bucket.take(11, at: 0, policy) == .tooMany)
    #expect(bucket.take(0, at: 0, policy) == .taken)
    #expect(bucket.take(8, at: 0, policy) == .taken)
    let before = bucket
    #expect(bucket.take(5, at: 0, policy) == .wait(nanoseconds: 3 * Self.second))
    #expect(bucket == before)
    bucket.give(8, policy)
    #expect(bucket.take(10, at: 0, policy) == .taken)
  }

  /// What was taken at a low rate is not owed at a higher one.
  @Test func anotherPolicyFindsItEmptyAtMost() {
    let low = RatePolicy(rate: 0.1, burst: 100)
    let high = RatePolicy(rate: 1_000, burst: 1_000)
    var bucket = TokenBucket()
    #expect(bucket.take(100, at: 0, low) == .taken)
    #expect(bucket.remaining(at: 0, high) == 0)
    #expect(bucket.take(1, at: 0, high) == .wait(nanoseconds: 1_000_000))
    #expect(bucket.take(1, at: 1_000_000, high) == .taken)
  }

  @Test func theWindowIsTheTimeToFill() {
    #expect(RatePolicy(rate: 100, burst: 1_000).window == 10)
    #expect(RatePolicy(rate: 100, burst: 1_001).window == 11)
    #expect(RatePolicy(rate: 1e9, burst: 1).window == 1)
    #expect(RatePolicy.usualBurst(of: 0.01) == 1 && RatePolicy.usualBurst(of: 5) == 50)
  }

  @Test(arguments: [(0.0, 0), (-1, -1), (.infinity, .max), (1e-300, 1_000_000), (0.001, 1_000_000)])
  func extremesDoNotOverflow(rate: Double, burst: Int) {
    let policy = RatePolicy(rate: rate, burst: burst)
    var bucket = TokenBucket()
    // A century of uptime.
    let now: Int64 = 3_155_760_000 * Self.second
    for _ in 0..<3 { _ = bucket.take(policy.burst, at: now, policy) }
    bucket.give(policy.burst, policy)
    bucket.give(policy.burst, policy)
    #expect((0...policy.burst).contains(bucket.remaining(at: now, policy)))
    #expect(policy.window > 0)
  }

  /// What the rate means, for every short sequence of calls: between any two moments at most `burst` plus the rate times
  /// what passed is taken; nothing is refused that would keep to that; and who waits as long as told gets it.
  @Test func everyShortSequenceKeepsToTheRate() {
    let steps: [(gap: Int64, count: Int)] = [0, 1, 2, 5].flatMap { gap in [1, 2, 3].map { (Int64(gap), $0) } }
    for (rate, burst) in [(1e9, 3), (5e8, 4), (1e9 / 3, 3)] {
      let policy = RatePolicy(rate: rate, burst: burst)
      let interval = Int64((1e9 / rate).rounded())
      var sequence = [Int](repeating: 0, count: 4)
      while true {
        var bucket = TokenBucket()
        var now: Int64 = 7
        var taken: [(at: Int64, count: Int)] = []
        for index in sequence {
          now += steps[index].gap
          let count = steps[index].count
          let fits = !taken.indices.contains { first in
            let sum = taken[first...].reduce(count) { $0 + $1.count }
            return Int64(sum - burst) * interval > now - taken[first].at
          }
          switch bucket.take(count, at: now, policy) {
          case .taken:
            #expect(fits, "\(sequence)")
            taken.append((now, count))
          case .wait(let nanoseconds):
            #expect(!fits && nanoseconds > 0, "\(sequence)")
            var patient = bucket
            #expect(patient.take(count, at: now + nanoseconds, policy) == .taken)
            var hasty = bucket
            #expect(hasty.take(count, at: now + nanoseconds - 1, policy) != .taken)
          case .tooMany: Issue.record("no count is more than the burst")
          }
          #expect(bucket.remaining(at: now, policy) <= burst)
        }
        guard let next = sequence.lastIndex(where: { $0 < steps.count - 1 }) else { break }
        sequence[next] += 1
        for later in sequence.indices where later > next { sequence[later] = 0 }
      }
    }
  }
}
