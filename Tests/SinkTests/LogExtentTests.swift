import Testing

@testable import Sink

@Suite struct LogExtentTests {
  /// All small cases, against the rule in words.
  @Test func beginsAnewOnlyWhereTheLogEndsBeforeWhatIsStored() {
    for low in Int64(0)...3 {
      for high in low...4 {
        for committed in [nil, 0, 2, 5] as [Int64?] {
          for next in Int64(0)...6 {
            let restart = LogExtent(low: low, high: high, committed: committed).restart(after: next)
            if next <= high {
              #expect(restart == nil)
            } else {
              #expect(restart == (committed == nil ? low : high))
            }
          }
        }
      }
    }
  }

  @Test func anEntryThatBeginsAnewForgetsItsClaimsAndKeepsTheNumbers() {
    let claim = LedgerEntry.Claim(epoch: 3, from: 10, to: 20, tsMin: 0, tsMax: 0)
    let seen = SeenSequences([.init(id: 1, ranges: [0...9], at: 0)])
    var entry = LedgerEntry(epoch: 3, next: 10, seen: seen, claims: [claim])
    entry.rewind(to: 2)
    #expect(entry == LedgerEntry(epoch: 4, next: 2, seen: seen, claims: []))
  }
}
