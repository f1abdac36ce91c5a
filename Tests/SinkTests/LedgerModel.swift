@testable import Sink

/// A model of owners, the database and everything on its way between them, for one partition.
///
/// Every step that can be taken alone in reality is one here: sending, carrying out, hearing of it, not hearing of it.
struct LedgerModel: Hashable {
  /// What an owner asks of the database.
  enum Request: Hashable {
    case take(over: Int32?)
    case record(LedgerChange)
    case insert(epoch: Int32, offsets: [Int64])
    case settle(LedgerEntry.Claim)
    case delete(epoch: Int32, offsets: [Int64])
    case close(LedgerEntry.Claim, epoch: Int32)
  }

  struct Copy: Hashable, Comparable {
    let offset: Int64
    let epoch: Int32
    static func < (a: Copy, b: Copy) -> Bool { (a.offset, a.epoch) < (b.offset, b.epoch) }
  }

  struct Owner: Hashable {
    var machine = PartitionOwner()
    /// Where its next batch begins.
    var position: Int64 = 0
    /// What it waits for.
    var waiting: Request?
    var hasEnded = false
    /// Where it is in the examination of the first former claim.
    var examination = Examination.none
  }

  enum Examination: Hashable {
    case none, sawEntry
    case delete([Int32: [Int64]])
    /// No surplus; and whether the claim was old enough to be given up before it was looked for.
    case clean(wasAged: Bool)
  }

  let messages: Int64
  /// Messages of a batch.
  let batch: Int64
  let ownerLimit: Int
  /// Closes former claims without examining them, to see that the model finds what that brings.
  var isBroken = false
  var entry = LedgerEntry()
  /// Sorted; may hold the same twice, which is what must not last.
  var copies: [Copy] = []
  var owners: [Owner] = [Owner()]
  /// Sent by someone who no longer waits for it; carried out late, in part, or never. In one order per set.
  var late: [Request] = []
  /// Epochs so old that nothing claimed under them is sent any more: the writer looks at its clock.
  var expired: Set<Int32> = []
  var crashesLeft: Int
  var lossesLeft: Int

  init(messages: Int64, batch: Int64, owners: Int, crashes: Int, losses: Int) {
    self.messages = messages
    self.batch = batch
    ownerLimit = owners
    crashesLeft = crashes
    lossesLeft = losses
  }

  /// All worlds one step away.
  func successors() -> [LedgerModel] {
    var worlds: [LedgerModel] = []
    // Another sink is given the partition: the old owner may sleep, or be dead.
    if owners.count < ownerLimit { worlds.append(changed { $0.owners.append(Owner()) }) }
    for index in owners.indices where !owners[index].hasEnded {
      if owners[index].waiting != nil { worlds += answers(index) } else { worlds += moves(index) }
      // The last owner lives, for otherwise nobody heals anything.
      if crashesLeft > 0, index < ownerLimit - 1 {
        worlds.append(
          changed {
            $0.crashesLeft -= 1
            $0.abandonRequest(of: index)
            $0.owners[index].hasEnded = true
          })
      }
    }
    for index in late.indices {
      var rest = self
      let request = rest.late.remove(at: index)
      worlds.append(rest)
      for part in Self.parts(of: request) { worlds.append(rest.changed { _ = $0.carryOut(part) }) }
    }
    return worlds
  }

  /// What is wrong with this world, whatever comes; nil when nothing is.
  var violation: String? {
    if let next = entry.next {
      for offset in 0..<next where !copies.contains(where: { $0.offset == offset }) {
        return "next is \(next), and \(offset) is not stored"
      }
    }
    return zip(copies, copies.dropFirst()).contains { $0 == $1 } ? "one epoch inserted an offset twice" : nil
  }

  /// What is wrong with this world if nothing comes any more; nil when nothing is.
  var finalViolation: String? {
    guard entry.next == messages else { return "next is \(String(describing: entry.next)) at the end" }
    let offsets = copies.map(\.offset)
    return offsets == Array(0..<messages) ? nil : "stored at the end: \(copies)"
  }

  // MARK: Steps of owners

  private var current: Int { ownerLimit - 1 }

  private func changed(_ body: (inout LedgerModel) -> Void) -> LedgerModel {
    var copy = self
    body(&copy)
    return copy
  }

  private func sending(_ index: Int, _ request: Request) -> [LedgerModel] {
    [changed { $0.owners[index].waiting = request }]
  }

  private func moves(_ index: Int) -> [LedgerModel] {
    let owner = owners[index]
    switch owner.machine.phase {
    case .untaken(let over): return sending(index, .take(over: over))
    case .recovering(let claims):
      let stored = copies.map(\.offset).filter { offset in claims.contains { $0.from <= offset && offset < $0.to } }
      return [changed { $0.owners[index].machine.readBack(stored) }]
    case .ready: return movesWhenReady(index)
    case .claimed:
      // The claim is too old for the writer to send anything under it.
      if expired.contains(owner.machine.epoch) { return [changed { $0.owners[index].machine.outcomeUnknown() }] }
      return sending(index, .insert(epoch: owner.machine.epoch, offsets: wanted(owner)))
    case .lost:
      // Who is the group's member takes it back; anyone else has noticed by now.
      return [
        changed {
          if index == current { $0.owners[index].machine.reclaim() } else { $0.owners[index].hasEnded = true }
        }
      ]
    }
  }

  private func wanted(_ owner: Owner) -> [Int64] {
    (owner.position..<min(owner.position + batch, messages)).filter(owner.machine.needsInsert)
  }

  private func movesWhenReady(_ index: Int) -> [LedgerModel] {
    let owner = owners[index]
    if owner.position < messages {
      let end = min(owner.position + batch, messages)
      let wanted = wanted(owner)
      guard let first = wanted.first, let last = wanted.last else {
        return [
          changed {
            $0.owners[index].machine.pass(to: end)
            $0.owners[index].position = end
          }
        ]
      }
      return sending(
        index, .record(owner.machine.claiming(from: first, to: last == end - 1 ? end : last + 1, tsMin: 0, tsMax: 0)))
    }
    if let change = owner.machine.completing { return sending(index, .record(change)) }
    guard let claim = owner.machine.former.first, index == current else { return [] }
    if isBroken { return sending(index, .close(claim, epoch: owner.machine.epoch)) }
    switch owner.examination {
    case .none:
      return [
        changed { world in
          for known in entry.claims where known.isSettled { world.owners[index].machine.settled(known) }
          world.owners[index].examination = .sawEntry
        }
      ]
    case .sawEntry:
      let found = copies.filter { claim.from <= $0.offset && $0.offset < claim.to }.map { ($0.offset, $0.epoch) }
      let surplus = PartitionOwner.surplus(found.map { (offset: $0.0, epoch: $0.1) })
      // Old enough to be given up: nothing is on its way any more, and nothing will be sent.
      let isAged = owner.machine.isPast(claim) && !isOnItsWay(claim.epoch)
      var worlds = [
        changed { $0.owners[index].examination = surplus.isEmpty ? .clean(wasAged: false) : .delete(surplus) }
      ]
      if isAged, surplus.isEmpty {
        worlds.append(
          changed {
            $0.expired.insert(claim.epoch)
            $0.owners[index].examination = .clean(wasAged: true)
          })
      }
      return worlds
    case .delete(let surplus):
      guard let (epoch, offsets) = surplus.min(by: { $0.key < $1.key }) else {
        return [changed { $0.owners[index].examination = .none }]
      }
      var rest = surplus
      rest[epoch] = nil
      return changed { $0.owners[index].examination = .delete(rest) }
        .sending(index, .delete(epoch: epoch, offsets: offsets))
    case .clean(let wasAged):
      // Not to be closed yet: look again later.
      let next = changed { $0.owners[index].examination = .none }
      return wasAged || owner.machine.canClose(claim)
        ? next.sending(index, .close(claim, epoch: owner.machine.epoch)) : [next]
    }
  }

  private func isOnItsWay(_ epoch: Int32) -> Bool {
    func isInsert(_ request: Request?) -> Bool {
      if case .insert(epoch, _)? = request { return true }
      return false
    }
    return late.contains(where: isInsert) || owners.contains { isInsert($0.waiting) }
  }

  // MARK: Requests

  private func answers(_ index: Int) -> [LedgerModel] {
    let request = owners[index].waiting!
    var worlds = [
      changed { world in
        let answer = world.carryOut(request)
        world.owners[index].waiting = nil
        world.hear(index, request, answer)
      }
    ]
    guard lossesLeft > 0 else { return worlds }
    // Nobody hears whether it was carried out: it was, in part, or it is still on its way.
    for part in Self.parts(of: request) {
      worlds.append(
        changed { world in
          world.lossesLeft -= 1
          _ = world.carryOut(part)
          world.owners[index].waiting = nil
          world.unknown(index, request)
        })
    }
    worlds.append(
      changed { world in
        world.lossesLeft -= 1
        world.abandonRequest(of: index)
        world.unknown(index, request)
      })
    return worlds
  }

  /// The ways in which a request can be carried out when something breaks: whole, or an insert in part.
  private static func parts(of request: Request) -> [Request] {
    guard case .insert(let epoch, let offsets) = request, offsets.count > 1 else { return [request] }
    return [request] + offsets.map { .insert(epoch: epoch, offsets: [$0]) }
  }

  private mutating func abandonRequest(of index: Int) {
    if let request = owners[index].waiting {
      late.append(request)
      // Any order will do, as long as the same set has one.
      late.sort { $0.hashValue < $1.hashValue }
    }
    owners[index].waiting = nil
  }

  private enum Answer {
    case done, refused
    case taken(LedgerEntry)
  }

  private mutating func carryOut(_ request: Request) -> Answer {
    switch request {
    case .take(let over): return entry.take(over: over) ? .taken(entry) : .refused
    case .record(let change): return entry.record(change) ? .done : .refused
    case .insert(let epoch, let offsets):
      copies += offsets.map { Copy(offset: $0, epoch: epoch) }
      copies.sort()
      return .done
    case .settle(let claim):
      entry.settle(claim)
      return .done
    case .delete(let epoch, let offsets):
      copies.removeAll { $0.epoch == epoch && offsets.contains($0.offset) }
      return .done
    case .close(let claim, let epoch): return entry.close(claim, under: epoch) ? .done : .refused
    }
  }

  private mutating func hear(_ index: Int, _ request: Request, _ answer: Answer) {
    switch (request, answer) {
    case (.take, .taken(let entry)):
      owners[index].machine.took(entry)
      owners[index].examination = .none
    case (.take, _), (.record, .refused), (.close, .refused):
      // What it settles is sent at once; it does not wait for more than that.
      if let claim = owners[index].machine.refused() { owners[index].waiting = .settle(claim) }
    case (.record(let change), _): owners[index].machine.recorded(change)
    case (.insert, _):
      owners[index].machine.inserted()
      owners[index].position = min(owners[index].position + batch, messages)
    case (.close(let claim, _), _): owners[index].machine.closed(claim)
    case (.settle, _), (.delete, _): break
    }
  }

  private mutating func unknown(_ index: Int, _ request: Request) {
    switch request {
    case .take, .record, .insert: owners[index].machine.outcomeUnknown()
    case .settle, .delete, .close: owners[index].examination = .none
    }
  }
}
