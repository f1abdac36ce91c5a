/// A small random number generator that gives the same numbers for the same seed (SplitMix64: Steele, Lea and Flood,
/// "Fast Splittable Pseudorandom Number Generators", 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// One of many independent generators of a seed.
  init(seed: UInt64, stream: UInt64) {
    var mixer = SeededGenerator(seed: seed)
    var other = SeededGenerator(seed: stream &+ mixer.next())
    state = other.next()
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// Evenly between 0 and 1, without 1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Evenly within a range.
  mutating func number(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * unit()
  }

  /// Noise around 0 that is never beyond 3 times its standard deviation: a sum of twelve 16-bit numbers is as good as
  /// normal for a sensor, and three words of the generator are enough for it.
  mutating func noise(_ deviation: Double) -> Double {
    var sum: UInt64 = 0
    for _ in 0..<3 {
      let word = next()
      sum += (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48)
    }
    let normal = Double(sum) / 65_536 - 6
    return min(max(normal, -3), 3) * deviation
  }
}
