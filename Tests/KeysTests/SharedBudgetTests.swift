import Keys
import Testing

@Suite struct SharedBudgetTests {
  @Test func oneGreedyClientGetsHalfAndACalmOneIsNeverRefused() {
    let budget = SharedBudget(limit: 1_000)
    let greedy = Holding()
    let calm = Holding()
    var held = 0
    while budget.take(10, for: greedy) { held += 10 }
    #expect(held == 500)
    for _ in 0..<100 {
      #expect(budget.take(10, for: calm))
      #expect(!budget.take(10, for: greedy))
      budget.give(10, of: calm)
    }
    #expect(budget.inUse == 500)
  }

  @Test func manyGreedyClientsShareEqually() {
    let budget = SharedBudget(limit: 1_000)
    let clients = (0..<9).map { _ in Holding() }
    var held = [Int](repeating: 0, count: 9)
    var isFull = false
    while !isFull {
      isFull = true
      for (index, client) in clients.enumerated() where budget.take(1, for: client) {
        held[index] += 1
        isFull = false
      }
    }
    #expect(held.allSatisfy { (95...105).contains($0) }, "\(held)")
    #expect(budget.take(90, for: Holding()))
  }

  @Test func whoHoldsNothingGetsWhatIsThere() {
    let budget = SharedBudget(limit: 100)
    let one = Holding()
    #expect(budget.take(100, for: one))
    #expect(!budget.take(1, for: Holding()) && !budget.take(1, for: one))
    budget.give(100, of: one)
    #expect(!budget.take(101, for: one) && budget.inUse == 0)
    // The same request may grow; another of the same client may not.
    #expect(budget.take(40, for: one) && budget.take(50, for: one, own: 40))
    #expect(!budget.take(10, for: one))
    #expect(SharedBudget(limit: .max).take(1 << 40, for: one))
  }
}
