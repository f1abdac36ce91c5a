import Dialects
package import HTTP
package import Keys
import Readings

/// What a client that was let in may do. A grant holds for a request; for a connection that lives longer, ask
/// `Authenticator.renew` now and then.
package struct Grant: Sendable {
  /// nil: nobody needs one.
  package let key: LiveKey?
  /// What the key was found by.
  let credential: Credential?
  /// The address's; nil: nobody asks for it.
  let address: Account?
  /// Whose share of memory and of the queue this takes from: the key's, or without keys the address's.
  let account: Account
  private let authenticator: Authenticator

  init(_ key: LiveKey?, by credential: Credential?, address: Account?, _ authenticator: Authenticator) {
    self.key = key
    self.credential = credential
    self.address = address
    account = key?.account ?? address ?? Account()
    self.authenticator = authenticator
  }

  /// Whether readings of all devices are welcome, so that none needs to be looked at.
  package var mayWriteEverything: Bool { key?.mayWriteEverything ?? true }

  /// Whether readings of this device are welcome.
  package func mayWrite(device: UnsafeRawBufferPointer) -> Bool { key?.mayWrite(device) ?? true }

  /// Takes what readings cost, all or nothing.
  ///
  /// - Returns: nil when the rate allows them, or why not, with the answer: 429 with the time to wait, or 413 for more than
  ///   it ever allows at once.
  package func take(readings count: Int) -> Refusal? { authenticator.take(count, of: self) }

  /// Takes what so many readings cost, or as many of them as the rate allows now.
  func take(upTo count: Int) -> Int { authenticator.take(upTo: count, of: self) }

  /// A refusal when not even one reading could be taken.
  package var exhaustion: Refusal? { authenticator.exhaustion(of: self) }

  /// Gives back what was taken for readings that could not be passed on, through no fault of the client's.
  package func give(readings count: Int) { authenticator.give(count, to: self) }
}

extension Grant {
  /// Takes the readings of other devices out of a batch, and adds their items to the errors, which stay in order.
  func filter(_ batch: ReadingBatch, errors: inout [ItemError]) {
    if mayWriteEverything { return }
    var merged: [ItemError] = []
    var removed: [Int] = []
    var refused = errors[...]
    for (index, reading) in batch.readings.enumerated() where !mayWrite(device: batch[reading.device]) {
      let item = Int(reading.item)
      while let first = refused.first, first.index < item {
        merged.append(first)
        refused.removeFirst()
      }
      // Once for an item that is several readings.
      if merged.last?.index != item { merged.append(ItemError(index: item, error: Self.forbiddenDevice)) }
      removed.append(index)
    }
    guard !removed.isEmpty else { return }
    authenticator.countForbidden(devices: removed.count)
    batch.remove(at: removed)
    errors = merged + refused
  }

  private static let forbiddenDevice = ReadingError(
    .forbidden, field: "device", "this key may not write this device")
}

/// Why a client is not let in, or not now.
package struct Refusal: Error, Sendable {
  enum Reason: String, Sendable, CaseIterable {
    case missing, unknown, expired, revoked, origin, dialect, device, rate
  }

  /// For the metrics only: a client learns what `response` says.
  let reason: Reason
  package let response: Response
}
