import Publishing

@testable import Sink

/// What owners do.
extension LedgerModel {
  func sending(_ index: Int, _ statements: [Statement]) -> [LedgerModel] {
    [changed { $0.owners[index].waiting = Request(statements) }]
  }

  /// What an owner that waits for nothing may do, and whether that is between it and itself.
  func moves(_ index: Int) -> (worlds: [LedgerModel], isLocal: Bool) {
    let owner = owners[index]
    if let examination = owner.examination { return examine(index, examination) }
    let pending = partitions.indices.filter { owner.shares[$0].isPending(messages) }
    let active = pending.isEmpty ? partitions.indices.filter { owner.shares[$0].isAssigned } : pending
    var worlds: [LedgerModel] = []
    var isLocal = true
    var isReady = true
    for number in active {
      switch owner.shares[number].machine.phase {
      case .untaken(let over): worlds += sending(index, [.take(number, over: over)])
      case .recovering(let claims):
        let stored = partitions[number].copies.map(\.offset).filter { offset in
          claims.contains { $0.from <= offset && offset < $0.to }
        }
        worlds.append(changed { $0.owners[index].shares[number].machine.readBack(stored) })
        isLocal = false
      case .lost:
        worlds.append(changed { $0.reclaim(index) })
        // It asks the group whose the partition is.
        isLocal = isLocal && owners.count == ownerLimit
      case .ready, .claimed: continue
      }
      isReady = false
    }
    if !isReady { return (worlds, isLocal) }
    return pending.isEmpty ? movesBetweenBatches(index) : attempt(index, pending)
  }

  /// Who is the group's member takes back what it lost; anyone else has noticed by now.
  mutating func reclaim(_ index: Int) {
    let left = partitions.indices.map { isCurrent(index, $0) }
    if !left.contains(true) { return end(index) }
    if left != owners[index].shares.map(\.isAssigned) {
      owners[index] = Owner(left)
      return
    }
    for number in left.indices where left[number] && owners[index].shares[number].machine.phase == .lost {
      owners[index].shares[number].machine.reclaim()
    }
  }

  func wanted(_ share: Share) -> [Int64] {
    let repeats = afterBatch(share).repeats
    return (share.position..<min(share.position + batch, messages)).filter {
      share.machine.needsInsert($0) && !share.stored.contains($0) && !repeats.contains($0)
    }
  }

  /// What will have been seen when a batch is stored, and what of it is a repeat.
  func afterBatch(_ share: Share) -> (seen: SeenSequences, repeats: [Int64]) {
    var seen = share.machine.seen
    guard let repeated else { return (seen, []) }
    let repeats = (share.position..<min(share.position + batch, messages)).filter { offset in
      let number = SequenceNumber(stream: 1, number: offset == repeated ? 0 : UInt64(offset))
      return !share.machine.isDone(offset) && !seen.insert(number, at: 0)
    }
    return (seen, repeats)
  }

  /// What `LedgeredInserter.insert` does when it owns all partitions of the batch.
  func attempt(_ index: Int, _ pending: [Int]) -> (worlds: [LedgerModel], isLocal: Bool) {
    let shares = owners[index].shares
    let wanted = shares.map(wanted)
    let changes = pending.compactMap { number -> Statement? in
      guard shares[number].machine.phase == .ready, let first = wanted[number].first else { return nil }
      let end = min(shares[number].position + batch, messages)
      return .record(number, shares[number].machine.claiming(from: first, to: end, tsMin: 0, tsMax: 0))
    }
    if !changes.isEmpty { return (sending(index, changes), true) }
    guard pending.contains(where: { !wanted[$0].isEmpty }) else {
      return ([changed { $0.finishBatch(index, pending) }], true)
    }
    let claimed = pending.filter { shares[$0].machine.phase == .claimed }
    // A claim that is too old for the writer to send anything under it.
    let expired = claimed.filter { partitions[$0].expired.contains(shares[$0].machine.epoch) }
    if !expired.isEmpty { return ([changed { $0.outcomeUnknown(index, expired) }], true) }
    var worlds = sending(
      index,
      pending.flatMap { number in
        wanted[number].map { .insert(number, Copy(offset: $0, epoch: shares[number].machine.epoch)) }
      })
    // That all are too old is as if the insert never came.
    if lossesLeft > 0, claimed.count > 1 {
      worlds += claimed.map { old in
        changed {
          $0.lossesLeft -= 1
          $0.outcomeUnknown(index, [old])
        }
      }
    }
    return (worlds, false)
  }

  mutating func finishBatch(_ index: Int, _ pending: [Int]) {
    for number in pending {
      let end = min(owners[index].shares[number].position + batch, messages)
      let seen = afterBatch(owners[index].shares[number]).seen
      owners[index].shares[number].machine.pass(to: end, seen: seen)
      owners[index].shares[number].position = end
      owners[index].shares[number].stored = []
    }
  }

  mutating func outcomeUnknown(_ index: Int, _ numbers: [Int]) {
    for number in numbers { owners[index].shares[number].machine.outcomeUnknown() }
  }

  func movesBetweenBatches(_ index: Int) -> (worlds: [LedgerModel], isLocal: Bool) {
    let shares = owners[index].shares
    let changes = partitions.indices.compactMap { number in
      shares[number].machine.completing.map { Statement.record(number, $0) }
    }
    // Claims are examined also when the states of the devices could not be written, and so nothing is completed.
    let examinations = partitions.indices.flatMap { number -> [LedgerModel] in
      guard examines, let claim = shares[number].machine.former.first,
        shares[number].machine.isPast(claim) || mistake == .closesUnrecorded
      else { return [] }
      return startExamination(index, number, claim)
    }
    let isLocal = !examines || partitions.indices.allSatisfy { shares[$0].machine.former.isEmpty }
    return (examinations + (changes.isEmpty ? [] : sending(index, changes)), isLocal)
  }

  /// Looks whether a claim is settled. If it is not, and its copies give nothing to do either, nothing happens; so there is
  /// no step between the two.
  func startExamination(_ index: Int, _ number: Int, _ claim: LedgerEntry.Claim) -> [LedgerModel] {
    let machine = owners[index].shares[number].machine
    if mistake == .closesUnexamined { return sending(index, [.close(number, claim, epoch: machine.epoch)]) }
    let entry = partitions[number].entry
    if entry.epoch != machine.epoch { return changed { $0.refuse(index, [number]) }.rested(index) }
    if claim.isSettled || entry.claims.contains(where: { $0.isSame(as: claim) && $0.isSettled }) {
      return [
        changed { world in
          for known in entry.claims where known.isSettled {
            world.owners[index].shares[number].machine.settled(known)
          }
          world.owners[index].examination = Examination(partition: number, stage: .sawSettled)
        }
      ]
    }
    let surplus = surplus(number, claim)
    if !surplus.isEmpty {
      return [changed { $0.owners[index].examination = Examination(partition: number, stage: .delete(surplus)) }]
    }
    // Old enough to be given up: nothing is on its way any more, and nothing will be sent.
    if isOnItsWay(number, claim.epoch) { return [] }
    return changed { $0.partitions[number].expired.insert(claim.epoch) }
      .sending(index, [.close(number, claim, epoch: machine.epoch)])
  }

  func examine(_ index: Int, _ examination: Examination) -> (worlds: [LedgerModel], isLocal: Bool) {
    let number = examination.partition
    let machine = owners[index].shares[number].machine
    switch examination.stage {
    case .sawSettled:
      let claim = machine.former[0]
      let surplus = surplus(number, claim)
      return (
        [
          changed {
            $0.owners[index].examination =
              surplus.isEmpty ? nil : Examination(partition: number, stage: .delete(surplus))
            if surplus.isEmpty {
              $0.owners[index].waiting = Request([.close(number, claim, epoch: machine.epoch)])
            }
          }
        ], false
      )
    case .delete(let surplus):
      guard let (epoch, offsets) = surplus.min(by: { $0.key < $1.key }) else {
        return ([changed { $0.owners[index].examination = nil }], true)
      }
      var rest = surplus
      rest[epoch] = nil
      return (
        changed { $0.owners[index].examination!.stage = .delete(rest) }
          .sending(index, [.delete(number, epoch: epoch, offsets: offsets)]), true
      )
    }
  }

  func surplus(_ number: Int, _ claim: LedgerEntry.Claim) -> [Int32: [Int64]] {
    let found = partitions[number].copies.filter { claim.from <= $0.offset && $0.offset < claim.to }
    return PartitionOwner.surplus(found.map { (offset: $0.offset, epoch: $0.epoch) })
  }

  func isOnItsWay(_ partition: Int, _ epoch: Int32) -> Bool {
    func isInsert(_ statement: Statement) -> Bool {
      if case .insert(partition, let copy) = statement { return copy.epoch == epoch }
      return false
    }
    return late.contains(where: isInsert) || owners.contains { $0.waiting?.open.contains(where: isInsert) ?? false }
  }
}
