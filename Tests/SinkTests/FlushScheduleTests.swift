import Testing

@testable import Sink

@Suite struct FlushScheduleTests {
  @Test(arguments: [
    (1.9, 1_000_000, 10, 10, false), (2.0, 100, 10, 10, true), (2.0, 99, 10, 10, false),
    (19.9, 499_999, 50_000, 50_000, false), (20.0, 50_000, 50_000, 50_000, true), (19.9, 500_000, 50_000, 50_000, true),
    (0.1, 120_000, 100, 120_000, true), (0.1, 119_999, 100, 119_999, false),
  ])
  func isDue(seconds: Double, readings: Int, devices: Int, series: Int, due: Bool) {
    #expect(
      FlushSchedule.isDue(after: .seconds(seconds), readings: readings, devices: devices, series: series) == due)
  }
}
