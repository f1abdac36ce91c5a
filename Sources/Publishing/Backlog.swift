package import Kafka
package import Operations
import Synchronization

/// What is on the topic and not stored yet, for a Kafka that keeps only so many bytes of a partition and drops the oldest
/// beyond that: what might not fit is refused before it is produced, and so nothing that was accepted is dropped.
///
/// It knows of the messages that are produced through it, and learns from the sink up to which offset each partition is
/// stored. To which partition a message will go is not known beforehand: it has to fit into the fullest.
package final class Backlog: Sendable {
  /// What a message takes beyond its key, value and headers: its own fields, and those of a batch that holds nothing
  /// else (Kafka protocol, record batch: 61 bytes and up to 35).
  static let messageOverhead = 96

  private struct Message {
    let offset: Int64
    let bytes: Int
  }

  private struct Partition {
    /// In the order of their offsets; those before `first` are stored.
    var messages: [Message] = []
    var first = 0
    var bytes = 0
    /// Up to where it is stored.
    var next: Int64 = 0

    mutating func append(_ message: Message) {
      // The sink may have been faster than the report.
      guard message.offset >= next else { return }
      messages.append(message)
      bytes += message.bytes
    }

    mutating func store(upTo next: Int64) {
      self.next = max(self.next, next)
      while first < messages.count, messages[first].offset < self.next {
        bytes -= messages[first].bytes
        first += 1
      }
      if first > messages.count / 2 {
        messages.removeFirst(first)
        first = 0
      }
    }
  }

  private struct State {
    /// Handed over and not reported.
    var pendingBytes = 0
    var pending = 0
    var partitions: [Int32: Partition] = [:]
    var isPressed = false

    /// Bytes of the fullest partition, if all that is pending goes there.
    var fullest: Int { pendingBytes + (partitions.values.map(\.bytes).max() ?? 0) }
  }

  private let limit: Int
  private let state = Mutex(State())
  private let stateLog: StateLog
  private static let reason = "MongoDB is behind, and Kafka has no room for more until it has caught up"

  /// - Parameter partitionBytes: how much of a partition may be unstored.
  package init(partitionBytes: Int, log: Log, health: Health) {
    limit = partitionBytes
    stateLog = StateLog("backlog", log: log, health: health.component("backlog"))
    stateLog.ok()
  }

  /// Messages that Kafka has, or may get, and that are not stored.
  package var count: Int {
    state.withLock { state in
      state.partitions.values.reduce(state.pending) { $0 + $1.messages.count - $1.first }
    }
  }

  /// Why nothing more should be taken now; nil when it may.
  ///
  /// From when half of the room is used until three quarters are free: the rest is for what is under way.
  package var unavailability: String? { state.withLock { $0.isPressed } ? Self.reason : nil }

  /// Takes room for a message.
  /// - Returns: whether there is enough; if so, exactly one `settle` follows.
  package func reserve(_ bytes: Int) -> Bool {
    let (fits, pressed) = state.withLock { state -> (Bool, Bool) in
      let fullest = state.fullest + bytes
      let fits = fullest <= limit
      if fits {
        state.pendingBytes += bytes
        state.pending += 1
      }
      let pressed = !state.isPressed && fullest > limit / 2
      if pressed { state.isPressed = true }
      return (fits, pressed)
    }
    if pressed { stateLog.failing(Self.reason) }
    return fits
  }

  /// What became of a message for which room was taken.
  package func settle(_ bytes: Int, _ report: DeliveryReport) {
    state.withLock { state in
      state.pendingBytes -= bytes
      state.pending -= 1
      guard report.error == nil, report.offset >= 0 else { return }
      state.partitions[report.partition, default: Partition()].append(Message(offset: report.offset, bytes: bytes))
    }
    relieve()
  }

  /// The sink has stored everything before these offsets, by partition.
  package func stored(_ next: [Int32: Int64]) {
    state.withLock { state in
      for (partition, offset) in next { state.partitions[partition, default: Partition()].store(upTo: offset) }
    }
    relieve()
  }

  private func relieve() {
    let isRelieved = state.withLock { state in
      let isRelieved = state.isPressed && state.fullest <= limit / 4
      if isRelieved { state.isPressed = false }
      return isRelieved
    }
    if isRelieved { stateLog.ok() }
  }
}

/// Passes reports on, after the backlog has them.
final class BacklogReceiver: DeliveryReceiver {
  private let backlog: Backlog
  private let receiver: any DeliveryReceiver
  private let sizes: Mutex<[Int]>

  /// - Parameter count: of the messages; their indices begin at 0.
  init(_ backlog: Backlog, for receiver: any DeliveryReceiver, count: Int) {
    self.backlog = backlog
    self.receiver = receiver
    sizes = Mutex(Array(repeating: 0, count: count))
  }

  /// Takes room for a message.
  /// - Returns: false when there is none.
  func reserve(_ bytes: Int, index: Int) -> Bool {
    guard backlog.reserve(bytes) else { return false }
    sizes.withLock { $0[index] = bytes }
    return true
  }

  func delivered(_ report: DeliveryReport) {
    // Zero: refused before it took any room.
    let bytes = sizes.withLock { $0[report.index] }
    if bytes > 0 { backlog.settle(bytes, report) }
    receiver.delivered(report)
  }
}
