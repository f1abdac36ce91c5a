import Testing

@testable import Sink

@Suite struct FlushScheduleTests {
  @Test func comesEveryTwoSecondsWhileBatchesKeepComing() {
    var schedule = FlushSchedule(now: .seconds(100))
    #expect(schedule.earliest == .seconds(100))
    #expect(schedule.due == .seconds(102))
    schedule.tried(from: .seconds(102), to: .milliseconds(102_010), failed: false)
    #expect(schedule.earliest == .milliseconds(102_015))
    #expect(schedule.due == .seconds(104))
  }

  @Test func leavesTimeForReadings() {
    var schedule = FlushSchedule(now: .zero)
    schedule.tried(from: .seconds(2), to: .seconds(30), failed: false)
    #expect(schedule.earliest == .seconds(44))
    #expect(schedule.due == .seconds(44))
  }

  @Test func isNotPutOffForLongByAFailure() {
    var schedule = FlushSchedule(now: .zero)
    schedule.tried(from: .seconds(2), to: .seconds(12), failed: true)
    #expect(schedule.earliest == .seconds(13))
    #expect(schedule.due == .seconds(13))
    schedule.tried(from: .seconds(13), to: .seconds(13), failed: true)
    #expect(schedule.earliest == .seconds(14))
    #expect(schedule.due == .seconds(15))
  }
}
