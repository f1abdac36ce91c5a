import HTTP
import Keys
import Synchronization

/// The accounts of client addresses, as many as there is room for.
///
/// There are two halves: what is asked for is in the young one, or comes there. When that is full, the old one is
/// forgotten and the young one is old. So at least the last `capacity` / 2 different addresses are known, and each costs
/// the same small time; one that is forgotten begins anew with a full burst.
final class AddressAccounts: Sendable {
  private struct State {
    var young: [ClientAddress: Account] = [:]
    var old: [ClientAddress: Account] = [:]
  }

  private let capacity: Int
  private let state = Mutex(State())

  init(capacity: Int = 65_536) { self.capacity = max(2, capacity) }

  func account(of address: ClientAddress) -> Account {
    state.withLock { state in
      if let known = state.young[address] { return known }
      let account = state.old.removeValue(forKey: address) ?? Account()
      if state.young.count >= capacity / 2 {
        state.old = state.young
        state.young = [:]
      }
      state.young[address] = account
      return account
    }
  }

  /// How many are known.
  var count: Int { state.withLock { $0.young.count + $0.old.count } }
}
