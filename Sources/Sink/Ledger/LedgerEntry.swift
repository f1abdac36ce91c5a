/// The ledger's document of one partition, and the changes that may be made to it, each in one step.
///
/// The database carries them out (`LedgerStore`); the model test carries them out here. They must mean the same.
struct LedgerEntry: Hashable, Sendable {
  /// Offsets that an owner is about to insert, or was when it was last heard of.
  struct Claim: Hashable, Sendable {
    /// The epoch under which they are inserted: no offset is inserted twice under one.
    let epoch: Int32
    /// The first offset, and the one behind the last.
    let from: Int64
    let to: Int64
    /// The earliest and latest time of its readings: where in the collection to look for them.
    let tsMin: Int64
    let tsMax: Int64
    /// Whether its writer has said that nothing of it is on its way any more.
    var isSettled = false
  }

  /// Which ownership this is: a change made under an earlier one is refused.
  var epoch: Int32 = 0
  /// The first offset that is not known to be stored; all before it are. Absent until something is.
  var next: Int64?
  /// Of the messages before `next`.
  var seen = SeenSequences()
  /// In the order in which they were made.
  var claims: [Claim] = []

  /// Takes ownership, from `known` only if it is given.
  /// - Returns: false when it is another epoch's.
  mutating func take(over known: Int32?) -> Bool {
    if let known, known != epoch { return false }
    epoch += 1
    return true
  }

  /// Records what the owner has stored, which ends its claim, and what it is about to store.
  /// - Returns: false when it is no longer the owner.
  mutating func record(_ change: LedgerChange) -> Bool {
    guard epoch == change.epoch else { return false }
    if let progress = change.progress {
      next = progress.next
      seen = progress.seen
    }
    claims.removeAll { $0.epoch == epoch }
    if let claim = change.claim { claims.append(claim) }
    return true
  }

  /// Begins at another offset under a new epoch, since the log no longer has what was stored of it. The sequence numbers
  /// stay: what was stored and comes again is known by them.
  mutating func rewind(to next: Int64) {
    epoch += 1
    self.next = next
    claims = []
  }

  /// Notes that nothing of a claim is on its way any more; whoever owns the partition by now.
  mutating func settle(_ claim: Claim) {
    for index in claims.indices where claims[index].isSame(as: claim) { claims[index].isSettled = true }
  }

  /// Forgets a claim of an earlier epoch.
  /// - Returns: false when the caller is no longer the owner.
  mutating func close(_ claim: Claim, under epoch: Int32) -> Bool {
    guard self.epoch == epoch else { return false }
    claims.removeAll { $0.isSame(as: claim) }
    return true
  }
}

extension LedgerEntry.Claim {
  /// Whether it is that claim, settled or not.
  func isSame(as other: Self) -> Bool { epoch == other.epoch && from == other.from }
}

/// A change that only the owner can make.
struct LedgerChange: Hashable, Sendable {
  /// Up to where a partition is stored, and the sequence numbers of the messages before that.
  struct Progress: Hashable, Sendable {
    let next: Int64
    let seen: SeenSequences
  }

  let epoch: Int32
  /// Nil leaves it.
  let progress: Progress?
  /// What is inserted next; nil ends the last claim without another.
  let claim: LedgerEntry.Claim?
}
