package import Synchronization

/// What a client, which is a key or an address, has used up in this process.
package final class Account: Sendable {
  /// When it was last let in, in milliseconds since 1970; 0: not yet.
  package let lastUsed = Atomic<Int64>(0)
  package let bucket = Mutex(TokenBucket())
  /// Bytes of its requests that are in memory.
  package let bytes = Holding()
  /// Its readings that Kafka has not acknowledged.
  package let readings = Holding()
  /// Its jobs that are running.
  package let jobs = Holding()

  package init() {}
}

/// How much of a budget one client holds.
package final class Holding: Sendable {
  /// Changed only under the budget's lock.
  fileprivate let count = Atomic(0)

  package init() {}
}

/// Something there is only so much of, which clients share so that none can take it all.
///
/// A client that has another request already may not come to hold more than is left free for the others (the dynamic
/// threshold of shared buffers: Choudhury and Hahne, 1998). One greedy client so gets half, two a third each, and there is
/// always something left for one that holds nothing: it is refused only when what it wants is more than that.
package final class SharedBudget: Sendable {
  private let limit: Int
  private let used = Mutex(0)

  package init(limit: Int) { self.limit = limit }

  /// Takes a part.
  ///
  /// - Parameter own: what the request that asks holds already. A client's only request may have all there is, or one that
  ///   is large enough would be told to come again for ever.
  /// - Returns: whether there was as much for this client.
  package func take(_ count: Int, for holding: Holding, own: Int = 0) -> Bool {
    used.withLock { used in
      let held = holding.count.load(ordering: .relaxed)
      let free = limit - used - count
      guard free >= 0, held <= own || held + count <= free else { return false }
      used += count
      holding.count.store(held + count, ordering: .relaxed)
      return true
    }
  }

  /// Gives a part back.
  package func give(_ count: Int, of holding: Holding) {
    used.withLock { used in
      used -= count
      holding.count.subtract(count, ordering: .relaxed)
    }
  }

  /// What all clients hold.
  package var inUse: Int { used.withLock { $0 } }
}
