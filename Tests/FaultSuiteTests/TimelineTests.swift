import Testing

@testable import FaultSuite

@Suite struct TimelineTests {
  @Test func tellsCalmFromTrouble() {
    var timeline = Timeline()
    for second in 0..<10 { timeline.add(accepted: second == 4 ? 0 : 100, at: Double(second) + 0.5) }
    timeline.add(accepted: 50, at: 0.9)
    timeline.add("kill sink-1", from: 3.5, to: 5)
    let summary = timeline.summary
    #expect(summary.calm == 850.0 / 8)
    #expect(summary.troubled == 50)
    #expect(summary.longestGap == 1 && summary.gapStart == 4)
  }

  @Test func findsTheLongestGap() {
    var timeline = Timeline()
    for (second, count) in [1, 0, 0, 1, 0, 0, 0, 1, 0].enumerated() {
      timeline.add(accepted: count, at: Double(second))
    }
    #expect(timeline.summary.longestGap == 3 && timeline.summary.gapStart == 4)
  }

  @Test func isNothingWhenNothingHappened() {
    #expect(Timeline().summary == Timeline.Summary())
  }
}
