/// What an owner knows of a partition, and what it must do before it may insert: a pure state machine.
///
/// The rules that keep "stored once":
/// 1. Inserts happen only under a claim that the ledger has, and the ledger takes claims only from the current epoch.
/// 2. Whoever takes a partition raises the epoch first, then reads back which offsets of the open claims are stored, and
///    inserts only the others. So nothing that an earlier owner finished is inserted again.
/// 3. When the outcome of an insert or of a change is unknown, the owner does as if another had died: it takes the
///    partition anew, over its own epoch. So no offset is ever inserted twice under one epoch.
/// 4. An insert may still land after it was read back (a process or a database that slept). Then two copies differ in
///    their epoch. Claims of earlier epochs stay open and are examined at intervals; of several copies the one of the
///    highest epoch stays. A claim is closed when its writer has said that it is over, or after a long time.
struct PartitionOwner: Hashable, Sendable {
  /// What comes next.
  enum Phase: Hashable, Sendable {
    /// Take the partition: from anyone, or only over this epoch.
    case untaken(over: Int32?)
    /// Read back which offsets of these claims are stored.
    case recovering([LedgerEntry.Claim])
    /// Record a claim.
    case ready
    /// Insert what the claim covers.
    case claimed
    /// The ledger knows another owner: give up.
    case lost
  }

  private(set) var phase: Phase = .untaken(over: nil)
  private(set) var epoch: Int32 = 0
  /// The first offset that is not known to be stored.
  private(set) var next: Int64?
  /// Of the messages before `next`: what a repeat of one of them is known by.
  private(set) var seen = SeenSequences()
  /// Offsets from `next` on that are stored already.
  private(set) var stored: Set<Int64> = []
  /// What the ledger has for `next`.
  private var recorded: Int64?
  /// Claims of earlier epochs that may still bring copies.
  private(set) var former: [LedgerEntry.Claim] = []
  /// The own claim that the ledger has, and whether nothing of it is on its way.
  private var own: LedgerEntry.Claim?
  private var ownIsOver = false

  init() {}

  /// The partition was taken, and this is its entry now.
  mutating func took(_ entry: LedgerEntry) {
    epoch = entry.epoch
    // What this owner stored itself it knows, even where the ledger has not heard of it.
    if let theirs = entry.next, next.map({ $0 < theirs }) ?? true {
      next = theirs
      seen = entry.seen
    }
    former = entry.claims.map { claim in
      var claim = claim
      if ownIsOver, let own, own.isSame(as: claim) { claim.isSettled = true }
      return claim
    }
    own = nil
    ownIsOver = false
    recorded = entry.next
    stored = []
    let unread = former.filter { claim in next.map { claim.to > $0 } ?? true }
    phase = unread.isEmpty ? .ready : .recovering(unread)
  }

  /// The ledger refused: another owns the partition.
  /// - Returns: the own claim if it is over, which is to be settled in the ledger.
  mutating func refused() -> LedgerEntry.Claim? {
    phase = .lost
    return ownIsOver ? own : nil
  }

  /// The offsets that the claims being recovered have stored.
  mutating func readBack(_ offsets: some Sequence<Int64>) {
    stored = Set(offsets.filter { offset in next.map { offset >= $0 } ?? true })
    phase = .ready
  }

  /// Whether an offset is not stored yet, for all that this owner knows.
  func needsInsert(_ offset: Int64) -> Bool { !isDone(offset) && !stored.contains(offset) }

  /// Whether an offset and all before it are stored, or are not to be.
  func isDone(_ offset: Int64) -> Bool { next.map { offset < $0 } ?? false }

  /// The change to record before inserting.
  func claiming(from: Int64, to: Int64, tsMin: Int64, tsMax: Int64) -> LedgerChange {
    LedgerChange(
      epoch: epoch, progress: unrecorded,
      claim: LedgerEntry.Claim(epoch: epoch, from: from, to: to, tsMin: tsMin, tsMax: tsMax))
  }

  /// The change that records what is stored and claims nothing; nil when the ledger knows already.
  var completing: LedgerChange? {
    phase == .ready && (next != recorded || own != nil)
      ? LedgerChange(epoch: epoch, progress: unrecorded, claim: nil) : nil
  }

  private var unrecorded: LedgerChange.Progress? {
    next == recorded ? nil : next.map { LedgerChange.Progress(next: $0, seen: seen) }
  }

  /// The ledger took a change.
  mutating func recorded(_ change: LedgerChange) {
    if let progress = change.progress { recorded = progress.next }
    own = change.claim
    ownIsOver = false
    phase = change.claim == nil ? .ready : .claimed
  }

  /// Everything before an offset is stored, or is not to be, and so all that the claim covers.
  /// - Parameter seen: of the messages before it.
  mutating func pass(to offset: Int64, seen: SeenSequences) {
    if phase == .claimed {
      ownIsOver = true
      phase = .ready
    }
    if let next, next >= offset { return }
    next = offset
    self.seen = seen
    stored = stored.filter { $0 >= offset }
  }

  /// A take, a change or an insert was sent, and nobody knows whether it was or will be carried out.
  mutating func outcomeUnknown() {
    switch phase {
    case .untaken, .recovering, .lost: break
    // From anyone if there is no epoch to lose yet.
    case .ready, .claimed: phase = .untaken(over: epoch)
    }
  }

  /// This owner is the group's, so it takes the partition from whoever the ledger names.
  mutating func reclaim() { phase = .untaken(over: nil) }

  // MARK: Claims of earlier epochs

  /// What to delete of the copies found in a former claim: of several of one offset, all but that of the highest epoch.
  static func surplus(_ copies: [(offset: Int64, epoch: Int32)]) -> [Int32: [Int64]] {
    var highest: [Int64: Int32] = [:]
    for copy in copies { highest[copy.offset] = max(highest[copy.offset] ?? copy.epoch, copy.epoch) }
    var surplus: [Int32: [Int64]] = [:]
    for copy in copies where copy.epoch < highest[copy.offset]! { surplus[copy.epoch, default: []].append(copy.offset) }
    return surplus
  }

  /// Whether an examined claim can be closed: it was settled before it was examined, and all it covers is stored, so that
  /// nobody will insert any of it again.
  func canClose(_ claim: LedgerEntry.Claim) -> Bool { claim.isSettled && isPast(claim) }

  /// Whether the ledger knows that all that a claim covers is stored. Before, the claim is what tells another owner so.
  func isPast(_ claim: LedgerEntry.Claim) -> Bool { recorded.map { claim.to <= $0 } ?? false }

  /// The ledger says that a former claim is settled.
  mutating func settled(_ claim: LedgerEntry.Claim) {
    for index in former.indices where former[index].isSame(as: claim) { former[index].isSettled = true }
  }

  /// A former claim was closed.
  mutating func closed(_ claim: LedgerEntry.Claim) { former.removeAll { $0.isSame(as: claim) } }
}
