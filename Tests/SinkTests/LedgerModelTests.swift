import Testing

@testable import Sink

/// Every interleaving of every step, for small sizes.
@Suite struct LedgerModelTests {
  struct Size: CustomStringConvertible {
    var partitions = 1
    let messages: Int64
    let batch: Int64
    let owners: Int
    let crashes: Int
    let losses: Int
    var description: String {
      "\(partitions) partitions, \(messages) messages by \(batch), \(owners) owners, \(crashes) crashes, \(losses) lost replies"
    }
  }

  @Test(arguments: [
    Size(messages: 1, batch: 1, owners: 1, crashes: 0, losses: 2),
    Size(messages: 1, batch: 1, owners: 2, crashes: 1, losses: 1),
    Size(messages: 2, batch: 2, owners: 2, crashes: 1, losses: 1),
    Size(messages: 2, batch: 1, owners: 2, crashes: 1, losses: 0),
    Size(messages: 1, batch: 1, owners: 3, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 1, crashes: 0, losses: 1),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 1, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 0, losses: 1),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 1, losses: 1),
    Size(partitions: 2, messages: 2, batch: 1, owners: 2, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 2, batch: 2, owners: 2, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 3, crashes: 0, losses: 0),
  ])
  func everythingIsStoredOnce(_ size: Size) {
    let result = explore(size)
    print("ledger model: \(size): \(result.states) states, \(result.ends) ends")
    #expect(result.violation == nil)
    #expect(result.ends > 0)
  }

  @Test func theModelFindsWhatALedgerThatDoesNotExamineWouldDo() {
    let size = Size(messages: 1, batch: 1, owners: 2, crashes: 1, losses: 0)
    #expect(explore(size, .closesUnexamined).violation != nil)
  }

  @Test func theModelFindsWhatAnOwnerThatOverlooksRefusalsWouldDo() {
    let size = Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 0, losses: 0)
    #expect(explore(size, .overlooksRefusals).violation != nil)
  }

  @Test func theModelFindsWhatAnOwnerThatClosesUnrecordedClaimsWouldDo() {
    let size = Size(messages: 1, batch: 1, owners: 3, crashes: 0, losses: 0)
    #expect(explore(size, .closesUnrecorded).violation != nil)
  }

  private func explore(
    _ size: Size, _ mistake: LedgerModel.Mistake? = nil
  ) -> (states: Int, ends: Int, violation: String?) {
    var start = LedgerModel(
      partitions: size.partitions, messages: size.messages, batch: size.batch, owners: size.owners,
      crashes: size.crashes, losses: size.losses)
    start.mistake = mistake
    var seen: Set<LedgerModel> = [start]
    var open = [start]
    var ends = 0
    while let world = open.popLast() {
      if let violation = world.violation { return (seen.count, ends, "\(violation): \(world)") }
      let next = world.successors()
      if next.isEmpty {
        ends += 1
        if let violation = world.finalViolation { return (seen.count, ends, "\(violation): \(world)") }
      }
      for successor in next where seen.insert(successor).inserted { open.append(successor) }
      if seen.count > 3_000_000 { return (seen.count, ends, "TOO BIG") }
    }
    return (seen.count, ends, nil)
  }
}
