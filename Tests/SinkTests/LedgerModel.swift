@testable import Sink

/// A model of owners, the database and everything on its way between them, for one partition or two.
///
/// Every step that can be taken alone in reality is one here: sending, carrying out, hearing of it, not hearing of it. An
/// owner does what `LedgeredInserter` and `Writer` do: one request may carry changes, or readings, of both partitions, and
/// the database carries out one after the other, in any order.
struct LedgerModel: Hashable {
  /// What an owner asks of the database: a part of a request, carried out whole or not at all.
  enum Statement: Hashable {
    case take(Int, over: Int32?)
    case record(Int, LedgerChange)
    case insert(Int, Copy)
    case settle(Int, LedgerEntry.Claim)
    case delete(Int, epoch: Int32, offsets: [Int64])
    case close(Int, LedgerEntry.Claim, epoch: Int32)
    /// Whose the partitions of these changes are.
    case look([Statement])
  }

  /// What an owner waits for.
  struct Request: Hashable {
    var sent: [Statement]
    /// What the database has not carried out yet.
    var open: [Statement]
    var isRefused = false

    init(_ statements: [Statement]) {
      sent = statements
      open = statements
    }
  }

  struct Copy: Hashable, Comparable {
    let offset: Int64
    let epoch: Int32
    static func < (a: Copy, b: Copy) -> Bool { (a.offset, a.epoch) < (b.offset, b.epoch) }
  }

  struct Partition: Hashable {
    var entry = LedgerEntry()
    /// Sorted; may hold the same twice, which is what must not last.
    var copies: [Copy] = []
    /// Epochs so old that nothing claimed under them is sent any more: the writer looks at its clock.
    var expired: Set<Int32> = []
  }

  /// A sink, and what it does in one partition.
  struct Share: Hashable {
    /// Whether the group gave it the partition.
    let isAssigned: Bool
    var machine = PartitionOwner()
    /// Where its next batch begins.
    var position: Int64 = 0
    /// Offsets of the batch that the database said it stored, when it did not store all.
    var stored: [Int64] = []
  }

  struct Owner: Hashable {
    var shares: [Share]
    var waiting: Request?
    var hasEnded = false
    var examination: Examination?

    init(_ assigned: [Bool]) { shares = assigned.map { Share(isAssigned: $0) } }
  }

  /// Where an owner is in the examination of the first former claim of a partition.
  struct Examination: Hashable {
    enum Stage: Hashable {
      case sawSettled
      case delete([Int32: [Int64]])
    }
    var partition: Int
    var stage: Stage
  }

  /// What an owner may do wrong, to see that the model finds what that brings.
  enum Mistake: Hashable {
    /// Closes former claims without examining them.
    case closesUnexamined
    /// Takes all changes of a request for recorded when only one was.
    case overlooksRefusals
    /// Closes former claims before the ledger has that what they cover is stored.
    case closesUnrecorded
  }

  let messages: Int64
  /// Messages of a batch, in each partition.
  let batch: Int64
  let ownerLimit: Int
  var mistake: Mistake?
  var partitions: [Partition]
  var owners: [Owner]
  /// Sent by someone who no longer waits for it; carried out late or never. In one order per set.
  var late: [Statement] = []
  var crashesLeft: Int
  var lossesLeft: Int

  init(partitions: Int, messages: Int64, batch: Int64, owners: Int, crashes: Int, losses: Int) {
    self.messages = messages
    self.batch = batch
    self.partitions = Array(repeating: Partition(), count: partitions)
    self.owners = [Owner(Array(repeating: true, count: partitions))]
    ownerLimit = owners
    crashesLeft = crashes
    lossesLeft = losses
  }

  /// All worlds one step away.
  func successors() -> [LedgerModel] {
    var worlds = rebalances()
    for index in owners.indices where !owners[index].hasEnded {
      let steps = owners[index].waiting != nil ? answers(index) : moves(index).worlds
      worlds += steps.flatMap { $0.rested(index) } + notices(index)
      // Someone who has each partition lives, for otherwise nobody heals anything.
      if crashesLeft > 0, index < ownerLimit - 1, !partitions.indices.contains(where: { isCurrent(index, $0) }) {
        worlds.append(
          changed {
            $0.crashesLeft -= 1
            $0.abandonRequest(of: index)
            $0.end(index)
          })
      }
    }
    for index in late.indices {
      var rest = self
      let statement = rest.late.remove(at: index)
      worlds.append(rest)
      worlds.append(rest.changed { _ = $0.carryOut(statement) })
    }
    for index in worlds.indices { worlds[index].forget() }
    return worlds
  }

  /// Lets an owner go on to where it asks, or would look at, something that others change. Alone its steps mean nothing
  /// to them, so they are none: before it asks is as before its request is carried out, and a crash then as a request that
  /// never comes. An insert is no such step, for the time that passes before it may be too long.
  private func rested(_ index: Int) -> [LedgerModel] {
    if owners[index].waiting != nil || owners[index].hasEnded { return [self] }
    let (worlds, isLocal) = moves(index)
    return isLocal && !worlds.isEmpty ? worlds.flatMap { $0.rested(index) } : [self]
  }

  /// What is wrong with this world, whatever comes; nil when nothing is.
  var violation: String? {
    for (number, partition) in partitions.enumerated() {
      for offset in 0..<(partition.entry.next ?? 0) where !partition.copies.contains(where: { $0.offset == offset }) {
        return "next of \(number) is \(partition.entry.next!), and \(offset) is not stored"
      }
      if zip(partition.copies, partition.copies.dropFirst()).contains(where: { $0 == $1 }) {
        return "one epoch inserted an offset of \(number) twice"
      }
    }
    return nil
  }

  /// What is wrong with this world if nothing comes any more; nil when nothing is.
  var finalViolation: String? {
    for (number, partition) in partitions.enumerated() {
      guard partition.entry.next == messages else {
        return "next of \(number) is \(String(describing: partition.entry.next)) at the end"
      }
      if partition.copies.map(\.offset) != Array(0..<messages) { return "stored at the end: \(partition.copies)" }
    }
    return nil
  }

  private func changed(_ body: (inout LedgerModel) -> Void) -> LedgerModel {
    var copy = self
    body(&copy)
    return copy
  }

  // MARK: The group

  /// Other sinks are given partitions: the old owner may sleep, be dead, or go on.
  private func rebalances() -> [LedgerModel] {
    guard owners.count < ownerLimit else { return [] }
    var choices = [Array(repeating: true, count: partitions.count)]
    if partitions.count == 2 {
      choices += [[true, false], [false, true]]
    }
    if owners.count == ownerLimit - 1 {
      // The last is given at least what nobody else lives to write.
      choices.removeAll { choice in
        choice.indices.contains { !choice[$0] && (lastOwner(of: $0).map { owners[$0].hasEnded } ?? true) }
      }
    }
    return choices.flatMap { choice in changed { $0.owners.append(Owner(choice)) }.rested(owners.count) }
  }

  private func lastOwner(of partition: Int) -> Int? { owners.lastIndex { $0.shares[partition].isAssigned } }

  /// Whether an owner is the one that the group names in the end.
  private func isCurrent(_ index: Int, _ partition: Int) -> Bool {
    owners.count == ownerLimit && lastOwner(of: partition) == index
  }

  /// An owner notices what the group decided, gives its batch up and begins anew with what it still has.
  private func notices(_ index: Int) -> [LedgerModel] {
    let owner = owners[index]
    let left = partitions.indices.map { isCurrent(index, $0) }
    // Nothing of a request was carried out: it may as well not have been sent.
    guard owner.examination == nil, owner.waiting.map({ $0.open == $0.sent }) ?? true,
      left.contains(true), left != owner.shares.map(\.isAssigned)
    else { return [] }
    return changed { $0.owners[index] = Owner(left) }.rested(index)
  }

  private mutating func end(_ index: Int) {
    // What it knew matters to nobody.
    owners[index] = Owner(owners[index].shares.map(\.isAssigned))
    owners[index].hasEnded = true
  }

  // MARK: Steps of owners

  private func sending(_ index: Int, _ statements: [Statement]) -> [LedgerModel] {
    [changed { $0.owners[index].waiting = Request(statements) }]
  }

  /// What an owner that waits for nothing may do, and whether that is between it and itself.
  private func moves(_ index: Int) -> (worlds: [LedgerModel], isLocal: Bool) {
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
  private mutating func reclaim(_ index: Int) {
    let left = partitions.indices.map { isCurrent(index, $0) }
    if !left.contains(true) { return end(index) }
    if left != owners[index].shares.map(\.isAssigned) { return owners[index] = Owner(left) }
    for number in left.indices where left[number] && owners[index].shares[number].machine.phase == .lost {
      owners[index].shares[number].machine.reclaim()
    }
  }

  private func wanted(_ share: Share) -> [Int64] {
    (share.position..<min(share.position + batch, messages)).filter {
      share.machine.needsInsert($0) && !share.stored.contains($0)
    }
  }

  /// What `LedgeredInserter.insert` does when it owns all partitions of the batch.
  private func attempt(_ index: Int, _ pending: [Int]) -> (worlds: [LedgerModel], isLocal: Bool) {
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

  private mutating func finishBatch(_ index: Int, _ pending: [Int]) {
    for number in pending {
      let end = min(owners[index].shares[number].position + batch, messages)
      owners[index].shares[number].machine.inserted()
      owners[index].shares[number].machine.pass(to: end)
      owners[index].shares[number].position = end
      owners[index].shares[number].stored = []
    }
  }

  private mutating func outcomeUnknown(_ index: Int, _ numbers: [Int]) {
    for number in numbers { owners[index].shares[number].machine.outcomeUnknown() }
  }

  private func movesBetweenBatches(_ index: Int) -> (worlds: [LedgerModel], isLocal: Bool) {
    let shares = owners[index].shares
    let changes = partitions.indices.compactMap { number in
      shares[number].machine.completing.map { Statement.record(number, $0) }
    }
    // Claims are examined also when the states of the devices could not be written, and so nothing is completed.
    let examinations = partitions.indices.flatMap { number -> [LedgerModel] in
      guard let claim = shares[number].machine.former.first,
        shares[number].machine.isPast(claim) || mistake == .closesUnrecorded
      else { return [] }
      return startExamination(index, number, claim)
    }
    let isLocal = partitions.indices.allSatisfy { shares[$0].machine.former.isEmpty }
    return (examinations + (changes.isEmpty ? [] : sending(index, changes)), isLocal)
  }

  /// Looks whether a claim is settled. If it is not, and its copies give nothing to do either, nothing happens; so there is
  /// no step between the two.
  private func startExamination(_ index: Int, _ number: Int, _ claim: LedgerEntry.Claim) -> [LedgerModel] {
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

  private func examine(_ index: Int, _ examination: Examination) -> (worlds: [LedgerModel], isLocal: Bool) {
    let number = examination.partition
    let machine = owners[index].shares[number].machine
    switch examination.stage {
    case .sawSettled:
      let claim = machine.former[0]
      let surplus = surplus(number, claim)
      return (
        [
          changed {
            $0.owners[index].examination = surplus.isEmpty ? nil : Examination(partition: number, stage: .delete(surplus))
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

  private func surplus(_ number: Int, _ claim: LedgerEntry.Claim) -> [Int32: [Int64]] {
    let found = partitions[number].copies.filter { claim.from <= $0.offset && $0.offset < claim.to }
    return PartitionOwner.surplus(found.map { (offset: $0.offset, epoch: $0.epoch) })
  }

  private func isOnItsWay(_ partition: Int, _ epoch: Int32) -> Bool {
    func isInsert(_ statement: Statement) -> Bool {
      if case .insert(partition, let copy) = statement { return copy.epoch == epoch }
      return false
    }
    return late.contains(where: isInsert) || owners.contains { $0.waiting?.open.contains(where: isInsert) ?? false }
  }

  // MARK: Requests

  private func answers(_ index: Int) -> [LedgerModel] {
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
  private mutating func forget() {
    late.removeAll(where: isInVain)
    for index in owners.indices where !owners[index].hasEnded && isFinished(index) { end(index) }
    for number in partitions.indices where !partitions[number].expired.isEmpty {
      let epochs = owners.filter { !$0.hasEnded }.map { $0.shares[number].machine.epoch }
      partitions[number].expired.formIntersection(epochs)
    }
  }

  /// Whether an owner has nothing to do, and nothing that others do gives it anything.
  private func isFinished(_ index: Int) -> Bool {
    guard owners.count == ownerLimit, owners[index].waiting == nil,
      !partitions.indices.contains(where: { isCurrent(index, $0) })
    else { return false }
    let (worlds, isLocal) = moves(index)
    return isLocal && worlds.isEmpty
  }

  // MARK: Mirror images

  /// The same with the partitions exchanged, which is as good a world.
  func mirrored() -> LedgerModel? {
    if partitions.count == 1 { return nil }
    return changed { world in
      world.partitions.reverse()
      for index in owners.indices {
        world.owners[index].shares.reverse()
        world.owners[index].examination?.partition = 1 - owners[index].examination!.partition
        if let request = owners[index].waiting { world.owners[index].waiting = request.mirrored() }
      }
      world.late = late.map { $0.mirrored() }
      world.sortLate()
    }
  }

  /// Whether the ledger refuses a statement from now on, which is as if it never came: epochs only rise.
  private func isInVain(_ statement: Statement) -> Bool {
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

  private mutating func abandonRequest(of index: Int) {
    if let request = owners[index].waiting {
      late += request.open
      sortLate()
    }
    owners[index].waiting = nil
  }

  private mutating func sortLate() {
    // Any order will do, as long as the same set has one.
    late.sort { $0.hashValue < $1.hashValue }
  }

  private enum Answer: Equatable {
    case done, refused
    case taken(LedgerEntry)
  }

  private mutating func carryOut(_ statement: Statement) -> Answer {
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

  private mutating func hear(_ index: Int, _ request: Request, _ answer: Answer) {
    switch request.sent[0] {
    case .take(let number, _):
      guard case .taken(let entry) = answer else { return refuse(index, [number]) }
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

  private mutating func recorded(
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
  private mutating func refuse(_ index: Int, _ numbers: [Int]) {
    let settled = numbers.compactMap { number in
      owners[index].shares[number].machine.refused().map { Statement.settle(number, $0) }
    }
    if !settled.isEmpty { owners[index].waiting = Request(settled) }
  }

  private mutating func unknown(_ index: Int, _ request: Request) {
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

extension LedgerModel.Share {
  /// Whether it takes part in the batch being written.
  func isPending(_ messages: Int64) -> Bool { isAssigned && position < messages }
}

extension LedgerModel.Request {
  func mirrored() -> Self {
    var copy = self
    copy.sent = sent.mirrored()
    copy.open = open.mirrored()
    return copy
  }
}

extension LedgerModel.Statement {
  func mirrored() -> Self {
    switch self {
    case .take(let number, let over): .take(1 - number, over: over)
    case .record(let number, let change): .record(1 - number, change)
    case .insert(let number, let copy): .insert(1 - number, copy)
    case .settle(let number, let claim): .settle(1 - number, claim)
    case .delete(let number, let epoch, let offsets): .delete(1 - number, epoch: epoch, offsets: offsets)
    case .close(let number, let claim, let epoch): .close(1 - number, claim, epoch: epoch)
    case .look(let changes): .look(changes.mirrored())
    }
  }

  var partition: Int {
    switch self {
    case .take(let number, _), .record(let number, _), .insert(let number, _), .settle(let number, _),
      .delete(let number, _, _), .close(let number, _, _):
      number
    case .look(let statements): statements[0].partition
    }
  }
}

extension [LedgerModel.Statement] {
  /// In the order of their partitions, as they are sent.
  fileprivate func mirrored() -> Self {
    filter { $0.partition == 1 }.map { $0.mirrored() } + filter { $0.partition == 0 }.map { $0.mirrored() }
  }
}
