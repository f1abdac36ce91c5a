/// Worlds that differ only in which partition is the first.
extension LedgerModel {
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
}

extension [LedgerModel.Statement] {
  /// In the order of their partitions, as they are sent.
  fileprivate func mirrored() -> Self {
    filter { $0.partition == 1 }.map { $0.mirrored() } + filter { $0.partition == 0 }.map { $0.mirrored() }
  }
}
