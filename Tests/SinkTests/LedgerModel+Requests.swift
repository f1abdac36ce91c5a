@testable import Sink

/// What the database does, and what owners hear of it.
extension LedgerModel {
  func answers(_ index: Int) -> [LedgerModel] {
    let request = owners[index].waiting!
    var worlds = request.open.indices.map { place in
      changed { world in
        var rest = request
        let answer = world.carryOut(rest.open.remove(at: place))
        if answer == .refused { rest.isRefused = true }
        world.owners[index].waiting = rest.open.isEmpty ? nil : rest
        if rest.open.isEmpty { world.hear(index, rest, answer) }
      }
    }
    guard lossesLeft > 0 else { return worlds }
    // Nobody hears whether it was carried out: what is still on its way may be yet.
    worlds.append(
      changed { world in
        world.lossesLeft -= 1
        world.abandonRequest(of: index)
        world.unknown(index, request)
      })
    // The database says that it did not store some readings, and did the others.
    if case .insert = request.sent[0], request.open.count < request.sent.count {
      worlds.append(
        changed { world in
          world.lossesLeft -= 1
          world.owners[index].waiting = nil
          for case .insert(let number, let copy) in request.sent where !request.open.contains(.insert(number, copy)) {
            world.owners[index].shares[number].stored.append(copy.offset)
          }
        })
    }
    return worlds
  }

  /// Leaves out what can change nothing any more, so that worlds that differ in it alone are one.
  mutating func forget() {
    late.removeAll(where: isInVain)
    for index in owners.indices where !owners[index].hasEnded && isFinished(index) { end(index) }
    for number in partitions.indices where !partitions[number].expired.isEmpty {
      let epochs = owners.filter { !$0.hasEnded }.map { $0.shares[number].machine.epoch }
      partitions[number].expired.formIntersection(epochs)
    }
  }

  /// Whether an owner has nothing to do, and nothing that others do gives it anything.
  func isFinished(_ index: Int) -> Bool {
    guard owners.count == ownerLimit, owners[index].waiting == nil,
      !partitions.indices.contains(where: { isCurrent(index, $0) })
    else { return false }
    let (worlds, isLocal) = moves(index)
    return isLocal && worlds.isEmpty
  }

  /// Whether the ledger refuses a statement from now on, which is as if it never came: epochs only rise.
  func isInVain(_ statement: Statement) -> Bool {
    switch statement {
    case .take(let number, let over): over.map { $0 != partitions[number].entry.epoch } ?? false
    case .record(let number, let change): change.epoch != partitions[number].entry.epoch
    case .close(let number, _, let epoch): epoch != partitions[number].entry.epoch
    case .look: true
    case .settle(let number, let claim):
      !partitions[number].entry.claims.contains { $0.isSame(as: claim) && !$0.isSettled }
    case .insert, .delete: false
    }
  }

  mutating func abandonRequest(of index: Int) {
    if let request = owners[index].waiting {
      late += request.open
      sortLate()
    }
    owners[index].waiting = nil
  }

  mutating func sortLate() {
    // Any order will do, as long as the same set has one.
    late.sort { $0.hashValue < $1.hashValue }
  }

  enum Answer: Equatable {
    case done, refused
    case taken(LedgerEntry)
  }

  mutating func carryOut(_ statement: Statement) -> Answer {
    switch statement {
    case .take(let number, let over):
      return partitions[number].entry.take(over: over) ? .taken(partitions[number].entry) : .refused
    case .record(let number, let change): return partitions[number].entry.record(change) ? .done : .refused
    case .insert(let number, let copy):
      partitions[number].copies.append(copy)
      partitions[number].copies.sort()
      return .done
    case .settle(let number, let claim):
      partitions[number].entry.settle(claim)
      return .done
    case .delete(let number, let epoch, let offsets):
      partitions[number].copies.removeAll { $0.epoch == epoch && offsets.contains($0.offset) }
      return .done
    case .close(let number, let claim, let epoch):
      return partitions[number].entry.close(claim, under: epoch) ? .done : .refused
    case .look: return .done
    }
  }

  mutating func hear(_ index: Int, _ request: Request, _ answer: Answer) {
    switch request.sent[0] {
    case .take(let number, _):
      guard case .taken(var entry) = answer else { return refuse(index, [number]) }
      if mistake == .forgetsSequences { entry.seen = SeenSequences() }
      owners[index].shares[number].machine.took(entry)
    case .close(let number, let claim, _):
      if request.isRefused { refuse(index, [number]) } else { owners[index].shares[number].machine.closed(claim) }
    case .record:
      // Which of several were refused the answer does not say.
      if request.isRefused, request.sent.count > 1, mistake != .overlooksRefusals {
        owners[index].waiting = Request([.look(request.sent)])
      } else {
        recorded(index, request.sent, isRefused: { _ in request.isRefused && request.sent.count == 1 })
      }
    case .look(let changes):
      let epochs = partitions.map(\.entry.epoch)
      recorded(index, changes) { epochs[$0.0] != $0.1.epoch }
    case .insert:
      finishBatch(index, partitions.indices.filter { owners[index].shares[$0].isPending(messages) })
    case .settle, .delete: break
    }
  }

  mutating func recorded(
    _ index: Int, _ statements: [Statement], isRefused: ((Int, LedgerChange)) -> Bool
  ) {
    var refused: [Int] = []
    for case .record(let number, let change) in statements {
      if isRefused((number, change)) {
        refused.append(number)
      } else {
        owners[index].shares[number].machine.recorded(change)
      }
    }
    refuse(index, refused)
  }

  /// What it settles is sent at once; it does not wait for more than that.
  mutating func refuse(_ index: Int, _ numbers: [Int]) {
    let settled = numbers.compactMap { number in
      owners[index].shares[number].machine.refused().map { Statement.settle(number, $0) }
    }
    if examines, !settled.isEmpty { owners[index].waiting = Request(settled) }
  }

  mutating func unknown(_ index: Int, _ request: Request) {
    switch request.sent[0] {
    case .take(let number, _): outcomeUnknown(index, [number])
    case .record: outcomeUnknown(index, request.sent.map(\.partition))
    case .look(let changes): outcomeUnknown(index, changes.map(\.partition))
    case .insert:
      let pending = partitions.indices.filter { owners[index].shares[$0].isPending(messages) }
      for number in pending { owners[index].shares[number].stored = [] }
      outcomeUnknown(index, pending)
    case .settle, .delete, .close: owners[index].examination = nil
    }
  }
}
