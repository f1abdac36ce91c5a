import Testing

@testable import Sink

@Suite struct InsertProgressTests {
  @Test func whatNeedsNoFurtherAttempt() {
    var progress = InsertProgress { true }
    progress.add(StoreOutcome(refused: [(1, "too old")], remaining: [2, 3]), sent: [0, 1, 2, 3], isLast: false)
    #expect((0..<5).filter(progress.isSettled) == [0, 1])
    progress.forgetStored()
    #expect((0..<5).filter(progress.isSettled) == [1])
  }

  /// Their ids are taken back then, and if that fails there is another attempt, which must not insert the others again.
  @Test(arguments: [false, true]) func theLastPartCountsToo(_ isRefusedBefore: Bool) {
    var progress = InsertProgress { true }
    if isRefusedBefore {
      progress.add(StoreOutcome(refused: [(0, "too old")]), sent: [0, 1], isLast: false)
      progress.add(StoreOutcome(), sent: [2, 3], isLast: true)
    } else {
      progress.add(StoreOutcome(refused: [(0, "too old")]), sent: [0, 1, 2, 3], isLast: true)
    }
    #expect(progress.unforgotten == [0])
    #expect((0..<4).allSatisfy(progress.isSettled))
  }
}
