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
    /// Whether former claims are examined, which multiplies the worlds of two partitions.
    var examines = true
    /// The message that is a repeat of the first.
    var repeated: Int64?
    var description: String {
      "\(partitions) partitions, \(messages) messages by \(batch), \(owners) owners, \(crashes) crashes, \(losses) lost replies"
        + (examines ? "" : ", nothing examined") + (repeated.map { ", message \($0) a repeat" } ?? "")
    }
  }

  @Test(arguments: [
    Size(messages: 1, batch: 1, owners: 1, crashes: 0, losses: 2),
    Size(messages: 1, batch: 1, owners: 2, crashes: 1, losses: 1),
    Size(messages: 2, batch: 2, owners: 2, crashes: 1, losses: 1),
    Size(messages: 2, batch: 1, owners: 2, crashes: 1, losses: 0),
    Size(messages: 1, batch: 1, owners: 3, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 1, crashes: 0, losses: 2),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 0, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 1, losses: 0),
    Size(partitions: 2, messages: 1, batch: 1, owners: 2, crashes: 0, losses: 1, examines: false),
    Size(partitions: 2, messages: 2, batch: 2, owners: 2, crashes: 0, losses: 0, examines: false),
    Size(messages: 3, batch: 1, owners: 1, crashes: 0, losses: 2, repeated: 2),
    Size(messages: 2, batch: 2, owners: 2, crashes: 1, losses: 1, repeated: 1),
    Size(messages: 3, batch: 1, owners: 2, crashes: 1, losses: 0, repeated: 2),
    Size(messages: 3, batch: 2, owners: 2, crashes: 1, losses: 0, repeated: 2),
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

  @Test func theModelFindsWhatAnOwnerThatForgetsSequencesWouldDo() {
    let size = Size(messages: 3, batch: 1, owners: 2, crashes: 0, losses: 0, repeated: 2)
    #expect(explore(size, .forgetsSequences).violation != nil)
  }

  @Test func aClaimStaysOpenUntilTheLedgerHasWhatItCovers() throws {
    var claim = LedgerEntry.Claim(epoch: 1, from: 0, to: 1, tsMin: 0, tsMax: 0)
    claim.isSettled = true
    var owner = PartitionOwner()
    owner.took(LedgerEntry(epoch: 2, claims: [claim]))
    owner.readBack([0])
    owner.pass(to: 1, seen: SeenSequences())
    #expect(!owner.canClose(claim))
    owner.recorded(try #require(owner.completing))
    #expect(owner.canClose(claim))
  }

  private func explore(
    _ size: Size, _ mistake: LedgerModel.Mistake? = nil
  ) -> (states: Int, ends: Int, violation: String?) {
    var start = LedgerModel(
      partitions: size.partitions, messages: size.messages, batch: size.batch, owners: size.owners,
      crashes: size.crashes, losses: size.losses)
    start.mistake = mistake
    start.examines = size.examines
    start.repeated = size.repeated
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
      for successor in next where !seen.contains(successor) {
        // What comes of its mirror image is the mirror image of what comes of it.
        if let image = successor.mirrored(), seen.contains(image) { continue }
        seen.insert(successor)
        open.append(successor)
      }
    }
    return (seen.count, ends, nil)
  }
}
