package import Crypto
import Synchronization

/// A key as a running process knows it: what the file says of it, and what has become of it here.
package final class LiveKey: Sendable {
  package let key: Key
  /// Goes on when the file is reread.
  package let account: Account
  package let policy: RatePolicy?
  private let permission: DevicePermission

  init(_ key: Key, _ account: Account) {
    self.key = key
    self.account = account
    policy = key.policy
    permission = DevicePermission(key)
  }

  /// Whether it may write this device.
  package func mayWrite(_ device: UnsafeRawBufferPointer) -> Bool { permission.contains(device) }

  /// Whether it may write all devices, so that none needs to be looked at.
  package var mayWriteEverything: Bool { permission.isEverything }

  package func mayUse(dialect: String) -> Bool { key.dialects.isEmpty || key.dialects.contains(dialect) }
}

/// The keys of a running process, found by the digest of what a client presents.
///
/// The look-up is not made to take the same time for all digests, and need not be: the digest of what an attacker sends
/// is not of his choosing, so the time that comparing takes tells him at most something about a digest, and from a
/// digest there is no way back to 256 random bits.
package final class KeyRing: Sendable {
  /// What a digest stands for.
  private struct Entry: Sendable {
    let key: LiveKey
    /// The end of a previous secret's grace.
    let until: Int64?
  }

  private struct State: Sendable {
    var entries: [Digest: Entry] = [:]
    var certificates: [Digest: LiveKey] = [:]
    /// By their ids.
    var keys: [String: LiveKey] = [:]
  }

  private let state = Mutex(State())

  package init() {}

  /// What a digest turned out to be.
  package enum Finding: Sendable {
    case valid(LiveKey)
    case unknown, expired, revoked
  }

  /// Finds the key of a secret.
  package func find(_ digest: Digest, at now: Int64) -> Finding {
    guard let entry = state.withLock({ $0.entries[digest] }) else { return .unknown }
    if let until = entry.until, until <= now { return .expired }
    return Self.finding(entry.key, at: now)
  }

  /// Finds the key for which a client certificate stands.
  package func find(certificate digest: Digest, at now: Int64) -> Finding {
    guard let key = state.withLock({ $0.certificates[digest] }) else { return .unknown }
    return Self.finding(key, at: now)
  }

  private static func finding(_ key: LiveKey, at now: Int64) -> Finding {
    switch key.key.state(at: now) {
    case .valid: .valid(key)
    case .expired: .expired
    case .revoked: .revoked
    }
  }

  /// Puts other keys in the place of those that are there; a key that stays keeps what it has used up.
  package func replace(with keys: [Key]) {
    let known = state.withLock { $0.keys }
    var new = State()
    for key in keys {
      let live = LiveKey(key, known[key.id]?.account ?? Account())
      new.keys[key.id] = live
      new.entries[key.hash] = Entry(key: live, until: nil)
      for previous in key.previous where new.entries[previous.hash] == nil {
        new.entries[previous.hash] = Entry(key: live, until: previous.until)
      }
      for certificate in key.certificates { new.certificates[certificate] = live }
    }
    state.withLock { $0 = new }
  }

  /// When each key was last accepted, in milliseconds since 1970; those that were not are left out.
  package var lastUses: [String: Int64] {
    state.withLock { $0.keys }.compactMapValues {
      let time = $0.account.lastUsed.load(ordering: .relaxed)
      return time > 0 ? time : nil
    }
  }

  /// Keys that may be used now.
  package func count(at now: Int64) -> Int {
    state.withLock { $0.keys }.values.count { $0.key.state(at: now) == .valid }
  }
}
