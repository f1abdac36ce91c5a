import Testing

@testable import FaultSuite

@Suite struct ScheduleTests {
  @Test func isTheSameForTheSameSeed() {
    #expect(Array(Schedule(seed: 7).prefix(100)) == Array(Schedule(seed: 7).prefix(100)))
    #expect(Array(Schedule(seed: 7).prefix(100)) != Array(Schedule(seed: 8).prefix(100)))
  }

  @Test(arguments: 0..<50 as Range<UInt64>) func aRoundDoesEverythingToEveryProcess(seed: UInt64) {
    let round = Array(Schedule(seed: seed).prefix(Schedule.roundLength))
    for target in Target.all {
      for kind in [Fault.Kind.kill, .freeze] {
        let alone = round.filter { $0.actions == [Fault.Action(target: target, kind: kind)] }
        #expect(alone.count == 1, "\(kind) \(target)")
      }
    }
    #expect(round.contains { $0.actions.map(\.target.kind) == [.sink, .mongodb] })
    for fault in round {
      #expect(fault.actions.count { $0.target.kind == .kafka } <= 1, "two nodes of three at once: \(fault)")
      #expect(Set(fault.actions.map(\.target)).count == fault.actions.count)
      #expect((0...30_000).contains(fault.duration) && (500...5_000).contains(fault.pause))
    }
  }

  @Test func someAreLongerThanASessionAndSomeAreShort() {
    let freezes = Schedule(seed: 1).prefix(300).filter { $0.actions.allSatisfy { $0.kind == .freeze } }
    #expect(freezes.contains { $0.duration > 20_000 })
    #expect(freezes.contains { $0.duration < 4_000 })
    #expect(freezes.allSatisfy { $0.duration >= 1_000 })
  }

  @Test(arguments: 0..<20 as Range<UInt64>) func theShortFormKillsEachKind(seed: UInt64) {
    let faults = Schedule.short(seed: seed)
    #expect(faults == Schedule.short(seed: seed))
    for kind in Set(Target.all.map(\.kind)) {
      #expect(faults.contains { $0.actions.contains { $0.target.kind == kind && $0.kind == .kill } }, "\(kind)")
    }
    #expect(faults.contains { $0.actions.first?.target.kind == .sink && $0.duration > 10_000 })
    #expect(faults.reduce(0) { $0 + $1.duration + $1.pause } < 35_000)
  }
}
