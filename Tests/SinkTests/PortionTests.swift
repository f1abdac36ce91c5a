import Testing

@testable import Sink

@Suite struct PortionTests {
  /// Whatever a statement takes, its command comes to be answered in time, and to be worth its round trip.
  @Test(arguments: [Duration.microseconds(1), .microseconds(50), .milliseconds(1), .milliseconds(100), .seconds(9)])
  func suitsTheDatabase(_ statement: Duration) {
    let timeout = Duration.seconds(10)
    var portion = Portion()
    for _ in 0..<20 {
      let duration = statement * portion.count
      if duration > timeout { portion.failed(portion.count) } else { portion.answered(portion.count, after: duration) }
    }
    let duration = statement * portion.count
    #expect(portion.count == 1 || duration <= Portion.duration * 2)
    #expect(duration < timeout)
    #expect(portion.count == Portion.limit || duration >= Portion.duration / 8)
  }

  @Test func fewerStatementsThanItMayHaveSaySomethingToo() {
    var portion = Portion()
    let first = portion.count
    portion.answered(20, after: .milliseconds(1))
    #expect(portion.count == first)
    portion.answered(20, after: .seconds(2))
    #expect(portion.count == 10)
    portion.failed(8)
    #expect(portion.count == 2)
  }
}
