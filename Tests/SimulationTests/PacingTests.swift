import Testing

@testable import Simulation

struct PacingTests {
  private let second: Int64 = 1_000_000_000

  private func claim(_ count: Int, _ now: Int64, _ pacing: inout Pacing) throws -> Pacing.Claim {
    let claim = pacing.claim(count, now: now)
    return try #require(claim)
  }

  @Test func dueTimesDoNotDrift() throws {
    var pacing = Pacing(rate: 3, start: second, end: nil)
    var now = second
    var sent = 0
    for _ in 0..<3_000 {
      let claim = try self.claim(1, now, &pacing)
      // Each wake-up is late, and none of that is added to the next.
      now = max(now, claim.due) + 100_000_000
      sent += 1
      #expect((claim.due - (second + Int64(sent - 1) * second / 3)).magnitude < 1_000)
    }
  }

  @Test func aBatchIsDueWithItsLast() throws {
    var pacing = Pacing(rate: 10, start: 0, end: nil)
    let claim = try self.claim(50, 0, &pacing)
    #expect(claim.due == 4_900_000_000)
    #expect(claim.ripe(at: -1) == 0)
    #expect(claim.ripe(at: 0) == 1)
    #expect(claim.ripe(at: 99_999_999) == 1)
    #expect(claim.ripe(at: 100_000_001) == 2)
    #expect(claim.ripe(at: 4_899_999_999) == 49)
    #expect(claim.ripe(at: claim.due) == 50)
    #expect(claim.ripe(at: .max) == 50)
    let next = try self.claim(1, claim.due, &pacing)
    #expect(next.due == 5_000_000_000)
  }

  @Test func withoutARateEverythingIsDue() throws {
    var pacing = Pacing(rate: 0, start: 5, end: 100)
    for now: Int64 in 5..<100 {
      let claim = try self.claim(50, now, &pacing)
      #expect(claim.due <= now && claim.ripe(at: now) == 50)
    }
    #expect(!pacing.isOver(at: 99))
    #expect(pacing.isOver(at: 100))
    #expect(pacing.claim(50, now: 100) == nil)
  }

  @Test func nothingIsDueAtTheEndOrLater() throws {
    var pacing = Pacing(rate: 10, start: 0, end: second)
    var due = 0
    while let claim = pacing.claim(4, now: 0) { due += claim.ripe(at: second - 1) }
    #expect(due == 10)
  }

  @Test func aLongHaltIsNotMadeUpFor() throws {
    var pacing = Pacing(rate: 100, start: 0, end: nil)
    _ = pacing.claim(1, now: 0)
    let now = 3_600 * second
    var caughtUp = 0
    while let claim = pacing.claim(1, now: now), claim.due <= now { caughtUp += 1 }
    #expect((200...201).contains(caughtUp))
  }

  @Test func theBudgetCutsTheLastClaim() {
    var left = 120
    var pacing = Pacing(rate: 0, start: 0, end: nil)
    var claims: [Int] = []
    while let claim = pacing.claim(
      50, now: 1,
      take: { wanted in
        let taken = min(wanted, left)
        left -= taken
        return taken
      })
    { claims.append(claim.count) }
    #expect(claims == [50, 50, 20])
  }

  @Test func quantiles() {
    var histogram = LatencyHistogram()
    #expect(histogram.quantile(0.99) == 0)
    for milliseconds in 1...1_000 { histogram.add(nanoseconds: Int64(milliseconds) * 1_000_000) }
    #expect((480...521).contains(histogram.quantile(0.5)))
    #expect((980...1_035).contains(histogram.quantile(0.99)))
    var other = LatencyHistogram()
    other.add(nanoseconds: -5)
    other.add(nanoseconds: .max, weight: 2_000)
    histogram.add(other)
    #expect(histogram.count == 3_001)
    #expect(histogram.quantile(0.99) > 1_000_000)
    // Whatever the size, no more than 4 percent off.
    for exponent in 0..<40 {
      var one = LatencyHistogram()
      let microseconds = Double(Int64(1) << Int64(exponent)) * 1.4
      one.add(nanoseconds: Int64(microseconds) * 1_000)
      let found = one.quantile(0.5) * 1_000
      #expect(found >= Double(Int64(microseconds)) && found <= microseconds * 1.04 + 1)
    }
  }

  @Test func rangesPartWhereNumbersAreMissing() {
    var ranges = OutcomeRanges(devices: 2)
    func add(_ device: Int, _ sequence: Int, _ outcome: OutcomeRanges.Outcome) -> OutcomeRanges.Closed? {
      ranges.add(ReadingIdentity(device: device, sequence: sequence), outcome)
    }
    for number in 0...9 { #expect(add(0, number, .accepted) == nil) }
    #expect(add(1, 0, .doubtful) == nil)
    #expect(add(0, 10, .doubtful) == nil)
    #expect(add(0, 11, .accepted) == .init(device: 0, outcome: .accepted, numbers: 0...9))
    #expect(add(0, 12, .accepted) == nil)
    #expect(add(0, 11, .doubtful) == nil)
    #expect(add(0, 20, .doubtful) == .init(device: 0, outcome: .doubtful, numbers: 10...11))
    #expect(
      ranges.open == [
        .init(device: 0, outcome: .accepted, numbers: 11...12),
        .init(device: 0, outcome: .doubtful, numbers: 20...20),
        .init(device: 1, outcome: .doubtful, numbers: 0...0),
      ])
  }
}
