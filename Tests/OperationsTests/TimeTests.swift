import Foundation
import Testing

@testable import Operations

@Suite struct TimeTests {
  @Test func calendarClockAgreesWithTheSystem() {
    let before = Int64(Date().timeIntervalSince1970 * 1_000) - 1
    let now = Operations.Clock.nowMilliseconds()
    let after = Int64(Date().timeIntervalSince1970 * 1_000) + 1
    #expect((before...after).contains(now))
  }

  @Test func monotonicClockNeverGoesBackAndIsTheOneThatCountsSleep() {
    var last = Clock.monotonic()
    for _ in 0..<10_000 {
      let next = Clock.monotonic()
      #expect(next >= last)
      last = next
    }
    var boot = timespec()
    clock_gettime(CLOCK_BOOTTIME, &boot)
    #expect(abs(Int64(boot.tv_sec) - Clock.monotonicNanoseconds() / 1_000_000_000) <= 1)
    #expect(abs(last / .seconds(1) - Double(Clock.monotonicNanoseconds()) / 1e9) < 60)
  }

  @Test func durationsBecomeTimespecs() {
    #expect(timespec(.milliseconds(1_500)).tv_sec == 1)
    #expect(timespec(.milliseconds(1_500)).tv_nsec == 500_000_000)
    #expect(timespec(.seconds(-1)).tv_sec == 0)
    #expect(timespec(.seconds(Int64.max)).tv_sec == 31_556_952_000)
    let later = timespec.monotonic(after: .milliseconds(999))
    #expect((0..<1_000_000_000).contains(later.tv_nsec))
  }
}
