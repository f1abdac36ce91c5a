import CRdKafka
import Dispatch
import Synchronization

/// A `rd_kafka_t` that stays valid while anyone uses it, and that nobody can begin to use once it is being closed.
///
/// `rd_kafka_destroy` must come after the last call and the last message, and it blocks; so it happens where a client
/// is closed, or, if something is still in use then, on a thread of its own when that ends.
@safe final class ClientHandle: @unchecked Sendable {
  // Unchecked: librdkafka's client is thread-safe, and `uses` keeps it from being destroyed under a caller.
  private let pointer: OpaquePointer
  /// Twice the number of users, plus one when closed.
  private let uses = Atomic<Int>(0)
  private let idle = DispatchSemaphore(value: 0)
  private let destroyedByLastUser: Bool
  private let name: String
  /// What the client's callbacks refer to, kept as long as the client.
  private let companion: AnyObject?

  /// Takes over a client.
  /// - Parameters:
  ///   - name: what to call it when it is closed: `the producer`.
  ///   - destroyedByLastUser: whether `retire` will be used rather than `closeAndWait`.
  ///   - companion: what the client's callbacks refer to.
  init(adopting pointer: OpaquePointer, name: String, destroyedByLastUser: Bool = false, companion: AnyObject? = nil) {
    unsafe self.pointer = unsafe pointer
    self.name = name
    self.destroyedByLastUser = destroyedByLastUser
    self.companion = companion
  }

  /// Registers a user, who has to `leave`.
  /// - Returns: false if the client is closed.
  func enter() -> Bool {
    var seen = uses.load(ordering: .relaxed)
    while seen & 1 == 0 {
      let (done, now) = uses.weakCompareExchange(expected: seen, desired: seen + 2, ordering: .acquiring)
      if done { return true }
      seen = now
    }
    return false
  }

  func leave() {
    guard uses.subtract(2, ordering: .acquiringAndReleasing).newValue == 1 else { return }
    guard destroyedByLastUser else {
      idle.signal()
      return
    }
    DispatchQueue.global().async { self.destroy() }
  }

  /// Whether nobody can begin to use it any more.
  var isClosed: Bool { uses.load(ordering: .acquiring) & 1 == 1 }

  /// Calls C with the client.
  /// - Throws: `.closed`, or what the body throws.
  @inline(__always) @safe
  func use<Result: ~Copyable>(
    _ body: (OpaquePointer) throws(KafkaError) -> Result
  ) throws(KafkaError) -> Result {
    guard enter() else { throw .closed(name) }
    defer { leave() }
    return try unsafe body(pointer)
  }

  /// Calls C with a client that its owner knows is not destroyed yet.
  @safe func useByOwner<Result>(_ body: (OpaquePointer) -> Result) -> Result { unsafe body(pointer) }

  /// Lets nobody in any more, and waits until all are out: their calls are short, or have a timeout.
  /// - Returns: false if it was closed before; whoever did that destroys it.
  func closeAndWait() -> Bool {
    let before = uses.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue
    guard before & 1 == 0 else { return false }
    if before > 0 { idle.wait() }
    return true
  }

  /// Lets nobody in any more, and destroys the client now, or when the last user is out.
  func retire() {
    if uses.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue == 0 { destroy() }
  }

  /// Destroys the client, which must be closed and idle. Blocks.
  func destroy() { unsafe rd_kafka_destroy_flags(pointer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }
}
