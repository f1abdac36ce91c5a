import Publishing

@testable import Sink

/// A model of owners, the database and everything on its way between them, for one partition or two.
///
/// Every step that others can tell from the next is one here: carrying out, hearing of it, not hearing of it. An owner
/// does what `LedgeredInserter` and `Writer` do: one request may carry changes, or readings, of both partitions, and
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
    /// Begins without the sequence numbers that the ledger has.
    case forgetsSequences
  }

  let messages: Int64
  /// Messages of a batch, in each partition.
  let batch: Int64
  let ownerLimit: Int
  var mistake: Mistake?
  /// The message that has the sequence number of the first, in each partition; nil: messages have none.
  var repeated: Int64?
  /// Whether former claims are examined. If not, they stay open, nobody says that they are settled, and surplus copies in
  /// them do not count: they would be found.
  var examines = true
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
  func rested(_ index: Int) -> [LedgerModel] {
    if owners[index].waiting != nil || owners[index].hasEnded { return [self] }
    let (worlds, isLocal) = moves(index)
    return isLocal && !worlds.isEmpty ? worlds.flatMap { $0.rested(index) } : [self]
  }

  /// What is wrong with this world, whatever comes; nil when nothing is.
  var violation: String? {
    for (number, partition) in partitions.enumerated() {
      for offset in 0..<(partition.entry.next ?? 0)
      where offset != repeated && !partition.copies.contains(where: { $0.offset == offset }) {
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
      let lasting = partition.copies.filter { examines || !isSurplus($0, in: partition) }
      if lasting.map(\.offset) != (0..<messages).filter({ $0 != repeated }) {
        return "stored at the end: \(partition.copies)"
      }
    }
    return nil
  }

  /// Whether an examination would find that a copy is one too many.
  func isSurplus(_ copy: Copy, in partition: Partition) -> Bool {
    let isFormer = partition.entry.claims.contains {
      $0.epoch < partition.entry.epoch && $0.from <= copy.offset && copy.offset < $0.to
    }
    return isFormer && partition.copies.contains { $0.offset == copy.offset && $0.epoch > copy.epoch }
  }

  func changed(_ body: (inout LedgerModel) -> Void) -> LedgerModel {
    var copy = self
    body(&copy)
    return copy
  }

  // MARK: The group

  /// Other sinks are given partitions: the old owner may sleep, be dead, or go on.
  func rebalances() -> [LedgerModel] {
    guard owners.count < ownerLimit else { return [] }
    var choices = [Array(repeating: true, count: partitions.count)]
    if partitions.count == 2 { choices += [[true, false], [false, true]] }
    if owners.count == ownerLimit - 1 {
      // The last is given at least what nobody else lives to write.
      choices.removeAll { choice in
        choice.indices.contains { !choice[$0] && (lastOwner(of: $0).map { owners[$0].hasEnded } ?? true) }
      }
    }
    return choices.flatMap { choice in changed { $0.owners.append(Owner(choice)) }.rested(owners.count) }
  }

  func lastOwner(of partition: Int) -> Int? { owners.lastIndex { $0.shares[partition].isAssigned } }

  /// Whether an owner is the one that the group names in the end.
  func isCurrent(_ index: Int, _ partition: Int) -> Bool {
    owners.count == ownerLimit && lastOwner(of: partition) == index
  }

  /// An owner notices what the group decided, gives its batch up and begins anew with what it still has.
  func notices(_ index: Int) -> [LedgerModel] {
    let owner = owners[index]
    let left = partitions.indices.map { isCurrent(index, $0) }
    // Nothing of a request was carried out: it may as well not have been sent.
    guard owner.examination == nil, owner.waiting.map({ $0.open == $0.sent }) ?? true,
      left.contains(true), left != owner.shares.map(\.isAssigned)
    else { return [] }
    return changed { $0.owners[index] = Owner(left) }.rested(index)
  }

  mutating func end(_ index: Int) {
    // What it knew matters to nobody.
    owners[index] = Owner(owners[index].shares.map(\.isAssigned))
    owners[index].hasEnded = true
  }
}

extension LedgerModel.Share {
  /// Whether it takes part in the batch being written.
  func isPending(_ messages: Int64) -> Bool { isAssigned && position < messages }
}

extension LedgerModel.Statement {
  var partition: Int {
    switch self {
    case .take(let number, _), .record(let number, _), .insert(let number, _), .settle(let number, _),
      .delete(let number, _, _), .close(let number, _, _):
      number
    case .look(let statements): statements[0].partition
    }
  }
}
