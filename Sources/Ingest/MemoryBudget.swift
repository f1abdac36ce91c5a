import Synchronization

/// Bytes that all requests together may hold; who gets none is told to come again.
final class MemoryBudget: Sendable {
  private let limit: Int
  private let used = Atomic(0)

  init(limit: Int) { self.limit = limit }

  /// Takes bytes.
  /// - Returns: whether there were as many.
  func take(_ count: Int) -> Bool {
    if used.add(count, ordering: .relaxed).newValue <= limit { return true }
    used.subtract(count, ordering: .relaxed)
    return false
  }

  /// Gives bytes back.
  func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }

  /// Bytes held now.
  var inUse: Int { used.load(ordering: .relaxed) }
}
