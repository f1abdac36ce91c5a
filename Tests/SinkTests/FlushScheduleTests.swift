import Testing

@testable import Sink

@Suite struct FlushScheduleTests {
  @Test func comesEveryTwoSecondsWhileBatchesKeepComing() {
    var schedule = FlushSchedule(now: .seconds(100))
    #expect(schedule.earliest == .seconds(100))
    #expect(schedule.due == .seconds(102))
    schedule.tried(10, from: .seconds(102), to: .milliseconds(102_010), failed: false)
    #expect(schedule.earliest == .milliseconds(102_020))
    #expect(schedule.due == .seconds(104))
  }

  @Test func leavesHalfOfTheTimeForReadings() {
    var schedule = FlushSchedule(now: .zero)
    schedule.tried(10, from: .seconds(2), to: .seconds(30), failed: false)
    #expect(schedule.earliest == .seconds(58))
    #expect(schedule.due == .seconds(58))
  }

  @Test func waitsForEnoughReadingsForEachStateButNotForLong() {
    let schedule = FlushSchedule(now: .zero)
    func isDue(_ now: Duration, _ readings: Int) -> Bool { schedule.isDue(at: now, readings: readings, states: 100) }
    #expect(!isDue(.milliseconds(1_999), 100_000))
    #expect(isDue(.seconds(2), 1_000) && !isDue(.seconds(2), 999))
    #expect(!isDue(.milliseconds(15_999), 999) && isDue(.seconds(16), 999))
    // Offsets alone wait for nothing.
    #expect(schedule.isDue(at: .seconds(2), readings: 0, states: 0))
  }

  @Test func writesNoMoreAtOnceThanItHasTimeFor() {
    var schedule = FlushSchedule(now: .zero)
    func isDue(_ states: Int) -> Bool {
      #expect(!schedule.isDue(at: schedule.earliest - .milliseconds(1), readings: states, states: states))
      return schedule.isDue(at: schedule.earliest, readings: states, states: states)
    }
    // Nothing is known of the database yet.
    #expect(!isDue(19_999) && isDue(20_000))
    schedule.tried(20_000, from: .zero, to: .seconds(1), failed: false)
    #expect(!isDue(79_999) && isDue(80_000))
    schedule.tried(80_000, from: .zero, to: .seconds(5), failed: false)
    #expect(!isDue(63_999) && isDue(64_000))
    // Neither a failure nor a few say how long many take.
    schedule.tried(64_000, from: .zero, to: .milliseconds(1), failed: true)
    schedule.tried(999, from: .zero, to: .milliseconds(1), failed: false)
    #expect(!isDue(63_999) && isDue(64_000))
    schedule.tried(1_000, from: .zero, to: .seconds(6), failed: false)
    #expect(!isDue(999) && isDue(1_000))
    schedule.tried(1_000, from: .zero, to: .zero, failed: false)
    #expect(!isDue(1_000_000))
  }

  @Test func isNotPutOffForLongByAFailure() {
    var schedule = FlushSchedule(now: .zero)
    schedule.tried(10, from: .seconds(2), to: .seconds(12), failed: true)
    #expect(schedule.earliest == .seconds(13))
    #expect(schedule.due == .seconds(13))
    schedule.tried(10, from: .seconds(13), to: .seconds(13), failed: true)
    #expect(schedule.earliest == .seconds(14))
    #expect(schedule.due == .seconds(15))
    // Also when it is worth little: as long as it fails, nobody knows whether the database is there again.
    #expect(schedule.latest == schedule.due)
    schedule.tried(10, from: .seconds(15), to: .seconds(16), failed: false)
    #expect(schedule.latest == .seconds(31))
  }
}
