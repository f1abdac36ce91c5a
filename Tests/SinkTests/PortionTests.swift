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

  /// As with a secondary that lags, or a network that is slow to answer: fewer statements are no faster then. The statements
  /// themselves come to take about as long as they may all the same.
  @Test(
    arguments: [Duration.milliseconds(300), .milliseconds(700), .milliseconds(1_100), .seconds(5)],
    [Duration.microseconds(1), .microseconds(200), .milliseconds(5), .milliseconds(100)])
  func whatACommandTakesWhateverItHasIsNoReasonForLess(_ command: Duration, _ statement: Duration) {
    let timeout = Duration.seconds(8)
    var portion = Portion()
    func send(_ commands: Int) -> (statements: Int, time: Duration) {
      var sent = (statements: 0, time: Duration.zero)
      for _ in 0..<commands {
        let duration = command + statement * portion.count
        if duration > timeout {
          portion.failed(portion.count)
        } else {
          portion.answered(portion.count, after: duration)
          sent.statements += portion.count
        }
        sent.time += min(duration, timeout)
      }
      return sent
    }
    _ = send(20)
    let settled = send(100)
    let best = min(Portion.limit, Int(Portion.duration / statement))
    #expect(settled.statements >= 100 * best / 4)
    #expect(settled.time <= (command + Portion.duration * 2) * 100)
  }

  /// It did not answer for long, and then answers late whatever is asked.
  @Test(arguments: [Duration.milliseconds(700), .milliseconds(1_100), .seconds(5)])
  func recoversFromTheLeast(_ command: Duration) {
    var portion = Portion()
    for _ in 0..<10 { portion.failed(portion.count) }
    #expect(portion.count == 1)
    for _ in 0..<60 { portion.answered(portion.count, after: command + .microseconds(10) * portion.count) }
    #expect(portion.count >= 1_000)
  }

  /// What is left of a batch is a command with fewer.
  @Test(arguments: [Duration.milliseconds(300), .milliseconds(1_100)])
  func batchesThatAreSmallerThanItMayBe(_ command: Duration) {
    var portion = Portion()
    var commands = 0
    for _ in 0..<50 {
      var rest = 1_500
      while rest > 0 {
        let part = min(rest, portion.count)
        portion.answered(part, after: command + .microseconds(10) * part)
        rest -= part
        commands += 1
      }
    }
    #expect(commands <= 60)
  }

  /// A database that was slow for a while, and in each of two ways.
  @Test func recovers() {
    var portion = Portion()
    func send(_ commands: Int, _ command: Duration, _ statement: Duration) -> Duration {
      var longest = Duration.zero
      for _ in 0..<commands {
        let duration = command + statement * portion.count
        longest = max(longest, duration)
        portion.answered(portion.count, after: duration)
      }
      return longest
    }
    _ = send(20, .seconds(5), .microseconds(10))
    _ = send(20, .zero, .milliseconds(10))
    #expect((13...200).contains(portion.count))
    _ = send(20, .zero, .microseconds(10))
    #expect(portion.count == Portion.limit)
    // Two answers that came late for another reason say nothing about those that come next.
    portion.answered(portion.count, after: .seconds(6))
    portion.answered(portion.count, after: .seconds(6))
    _ = send(1, .zero, .microseconds(10))
    #expect(send(5, .zero, .milliseconds(1)) <= .seconds(10))
    #expect(portion.count <= 1_000)
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
