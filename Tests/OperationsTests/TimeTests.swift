import Foundation
import Testing

@testable import Operations

@Suite struct TimeTests {
  @Test func timestampsKnownByHeart() {
    #expect(RFC3339.string(0) == "1970-01-01T00:00:00.000Z")
    #expect(RFC3339.string(1_795_227_318_070) == "2026-11-21T02:15:18.070Z")
    #expect(RFC3339.string(-1) == "1969-12-31T23:59:59.999Z")
    #expect(RFC3339.string(951_782_400_000) == "2000-02-29T00:00:00.000Z")
    #expect(RFC3339.string(-2_203_891_200_000) == "1900-03-01T00:00:00.000Z")
    #expect(RFC3339.string(-62_167_219_200_000) == "0000-01-01T00:00:00.000Z")
    #expect(RFC3339.string(253_402_300_799_999) == "9999-12-31T23:59:59.999Z")
  }

  @Test func timestampsThatCannotBeWrittenAreTheNearestThatCan() {
    #expect(RFC3339.string(.min) == "0000-01-01T00:00:00.000Z")
    #expect(RFC3339.string(-62_167_219_200_001) == "0000-01-01T00:00:00.000Z")
    #expect(RFC3339.string(253_402_300_800_000) == "9999-12-31T23:59:59.999Z")
    #expect(RFC3339.string(.max) == "9999-12-31T23:59:59.999Z")
  }

  /// Each day of four centuries, after which the calendar repeats, against the C library's.
  @Test func everyDayOfACalendarCycle() {
    for day in -150_000...(-150_000 + 146_097) {
      var seconds = day * 86_400 + 3_723
      var fields = tm()
      gmtime_r(&seconds, &fields)
      let expected = String(
        format: "%04d-%02d-%02dT01:02:03.004Z", fields.tm_year + 1_900, fields.tm_mon + 1, fields.tm_mday)
      let actual = RFC3339.string(Int64(seconds) * 1_000 + 4)
      if actual != expected { #expect(actual == expected) }
    }
  }

  @Test func timestampsAreAppended() {
    var bytes = Array("at ".utf8)
    RFC3339.append(0, to: &bytes)
    #expect(bytes == Array("at 1970-01-01T00:00:00.000Z".utf8))
    #expect(RFC3339.bytes(0).count == 24)
  }

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
