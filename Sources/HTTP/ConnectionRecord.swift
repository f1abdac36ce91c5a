import CMicroHTTPD
import Synchronization

/// What the server keeps about one open connection.
final class ConnectionRecord: Sendable {
  let descriptor: Int32
  let client: ClientAddress
  /// Who serves it.
  let loop: ServingLoop
  let deadline: Deadline
  /// The request being served, for those who are not the thread that serves it.
  let exchange = Mutex<Exchange?>(nil)
  /// Whether bytes may come after the last answer, so that closing at once would destroy it on its way (RFC 9112, 9.6).
  let lingers = Atomic(false)
  /// Whether another protocol has it.
  let isUpgraded = Atomic(false)
  /// When it expired; 0 before. Only the tending thread uses it.
  nonisolated(unsafe) var expiredAt: Int64 = 0
  /// What the handler wants to find again at the connection's next request. Only the serving thread uses it.
  nonisolated(unsafe) var value: AnyObject?
  /// What its TLS uses. Only the serving thread uses it.
  nonisolated(unsafe) var tls: TLSCredentials?
  /// The client's certificate once somebody asked for it. Only the serving thread uses it.
  nonisolated(unsafe) var certificate: [UInt8]??
  /// Where the table keeps this.
  let slot: Int

  init(descriptor: Int32, client: ClientAddress, loop: ServingLoop, slot: Int, idleUntil: Int64) {
    self.descriptor = descriptor
    self.client = client
    self.loop = loop
    self.slot = slot
    deadline = Deadline(.head, at: idleUntil)
  }

  /// Sends without waiting, past the library; true when the kernel took all of it.
  func sendAll(_ bytes: [UInt8]) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe sluice_http_send(descriptor, $0.baseAddress, $0.count) } == bytes.count
  }
}

/// All open connections. A record's descriptor is open for as long as the lock is held and the record is in here.
struct ConnectionTable: Sendable {
  private var slots: [ConnectionRecord?] = []
  private var free: [Int] = []

  var count: Int { slots.count - free.count }

  mutating func add(descriptor: Int32, client: ClientAddress, loop: ServingLoop, idleUntil: Int64) -> ConnectionRecord {
    let slot = free.popLast() ?? slots.count
    let record = ConnectionRecord(
      descriptor: descriptor, client: client, loop: loop, slot: slot, idleUntil: idleUntil)
    if slot == slots.count { slots.append(record) } else { slots[slot] = record }
    return record
  }

  mutating func remove(_ record: ConnectionRecord) {
    slots[record.slot] = nil
    free.append(record.slot)
  }

  var records: some Sequence<ConnectionRecord> { slots.lazy.compactMap { $0 } }
}
