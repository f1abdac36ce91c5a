import Testing

@testable import Operations

/// Always draws the same bits.
private struct Constant: RandomNumberGenerator {
  let bits: UInt64
  mutating func next() -> UInt64 { bits }
}

/// Steele and others' SplitMix64: the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct BackoffTests {
  @Test func ceilingDoublesUpToTheCap() {
    var backoff = Backoff(base: .milliseconds(100), cap: .seconds(1))
    var generator = SplitMix(state: 1)
    var ceilings: [Duration] = []
    for _ in 0..<7 {
      ceilings.append(backoff.ceiling)
      let wait = backoff.next(using: &generator)
      #expect(wait >= .zero && wait <= ceilings.last!)
    }
    #expect(ceilings == [100, 200, 400, 800, 1_000, 1_000, 1_000].map { .milliseconds($0) })
    backoff.reset()
    #expect(backoff == Backoff(base: .milliseconds(100), cap: .seconds(1)))
  }

  @Test func jitterIsOverTheWholeRange() {
    var lowest = Constant(bits: 0)
    var backoff = Backoff(base: .seconds(1), cap: .seconds(8))
    #expect(backoff.next(using: &lowest) == .zero)
    var generator = SplitMix(state: 7)
    var tenths = [Int](repeating: 0, count: 10)
    for _ in 0..<10_000 {
      var backoff = Backoff(base: .seconds(1), cap: .seconds(8))
      tenths[min(9, Int(backoff.next(using: &generator) / .milliseconds(100)))] += 1
    }
    #expect(tenths.allSatisfy { (900...1_100).contains($0) }, "\(tenths)")
  }

  @Test func oddBoundsAreHarmless() {
    var generator = SplitMix(state: 1)
    var zero = Backoff(base: .zero, cap: .zero)
    #expect(zero.next(using: &generator) == .zero)
    var backwards = Backoff(base: .seconds(9), cap: .seconds(1))
    #expect(backwards.ceiling == .seconds(1))
    for _ in 0..<200 { #expect(backwards.next(using: &generator) <= .seconds(1)) }
    var negative = Backoff(base: .seconds(-1), cap: .seconds(-1))
    #expect(negative.next(using: &generator) == .zero)
    var system = Backoff()
    #expect(system.next() <= .milliseconds(100))
  }
}
