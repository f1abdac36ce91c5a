import Testing

@testable import Sink

/// Which readings are looked at again.
@Suite struct SummaryPlanTests {
  private typealias Device = SummaryPlan.Device

  @Test func nothingIsDue() {
    #expect(SummaryPlan.parts([], oldest: 0).isEmpty)
    #expect(SummaryPlan.parts([Device(name: "a")], oldest: 0).isEmpty)
  }

  @Test func hoursOfADayAreReadAtOnce() {
    let device = Device(name: "a", due: [49: 1, 47: 1, 25: 1, 30: 1])
    #expect(
      SummaryPlan.parts([device], oldest: 0) == [.device("a", hours: 25...47), .device("a", hours: 49...49)])
  }

  @Test func anHourOfManyDevicesIsReadAsAWhole() {
    let few = (1..<SummaryPlan.shared).map { Device(name: "d\($0)", due: [100: 1]) }
    #expect(SummaryPlan.parts(few, oldest: 0) == few.map { .device($0.name, hours: 100...100) })
    let many = few + [Device(name: "late", due: [100: 1, 7: 1])]
    #expect(SummaryPlan.parts(many, oldest: 0) == [.fleet(hour: 100), .device("late", hours: 7...7)])
    let both = many.map { Device(name: $0.name, due: $0.due.merging([101: 2]) { $1 }) }
    #expect(SummaryPlan.parts(both, oldest: 0).prefix(2) == [.fleet(hour: 101), .fleet(hour: 100)])
  }

  @Test func whatIsPartlyExpiredIsNotRead() {
    let due = Device(name: "a", due: [9: 1, 10: 1])
    let new = Device(name: "b", backlog: 5...11)
    let gone = Device(name: "c", due: [3: 1], backlog: 1...9)
    #expect(
      SummaryPlan.parts([due, new, gone], oldest: 10) == [.device("a", hours: 10...10), .device("b", hours: 10...11)])
  }

  @Test func aBacklogIsReadDayByDayAndLast() {
    let new = Device(name: "new", due: [70: 4], backlog: 20...50)
    let old = Device(name: "old", due: [1: 4])
    #expect(
      SummaryPlan.parts([new, old], oldest: 0) == [
        .device("new", hours: 70...70), .device("old", hours: 1...1), .device("new", hours: 20...23),
        .device("new", hours: 24...47), .device("new", hours: 48...50),
      ])
  }

  @Test func theDayOfAPart() {
    #expect(SummaryPlan.Part.fleet(hour: 49).day == SummaryPlan.Day(number: 2, device: nil))
    #expect(SummaryPlan.Part.device("a", hours: 24...47).day == SummaryPlan.Day(number: 1, device: "a"))
  }
}

/// What readings come to.
@Suite struct SummaryTests {
  private func summary(_ readings: Int64, first: Int64, last: Int64, numbers: Int64? = nil) -> Summary {
    Summary(
      readings: readings, numbers: numbers ?? readings, sum: 10, squares: 100, min: Double(first), max: Double(last),
      isBoolean: false, first: first, last: last, lag: 5, leastLag: -1, mostLag: 4, delayed: [1, 0, 0, 0, 0])
  }

  @Test func twoTimesAreAdded() {
    var sum = summary(2, first: 10, last: 20)
    sum.add(summary(3, first: 5, last: 12))
    #expect(sum.readings == 5 && sum.numbers == 5 && sum.sum == 20 && sum.squares == 200)
    #expect(sum.min == 5 && sum.max == 20 && sum.first == 5 && sum.last == 20)
    #expect(sum.lag == 10 && sum.leastLag == -1 && sum.mostLag == 4 && sum.delayed == [2, 0, 0, 0, 0])
  }

  @Test func textsHaveNoExtremes() {
    var texts = summary(2, first: 1, last: 99, numbers: 0)
    texts.add(summary(2, first: 10, last: 20))
    #expect(texts.min == 10 && texts.max == 20 && texts.readings == 4 && texts.numbers == 2)
    texts.add(summary(1, first: 0, last: 200, numbers: 0))
    #expect(texts.min == 10 && texts.max == 20)
  }

  @Test func theUsualIntervalIsTheMedian() {
    #expect(Summary.usualInterval([]) == nil)
    #expect(Summary.usualInterval([summary(1, first: 5, last: 5)]) == nil)
    // Every quarter of an hour, with a hole of an hour.
    let hours = [0, 1, 3, 4].map { summary(4, first: $0 * 3_600_000, last: $0 * 3_600_000 + 2_700_000) }
    #expect(Summary.usualInterval(hours) == 900)
    // Every two hours.
    #expect(Summary.usualInterval([0, 2, 4].map { summary(1, first: $0 * 3_600_000, last: $0 * 3_600_000) }) == 7_200)
  }
}
