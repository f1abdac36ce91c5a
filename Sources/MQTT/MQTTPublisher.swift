/// A publisher with a bounded number of unacknowledged messages. Its network loop is `step`, on the caller's thread.
///
/// Always with a clean session: what was not acknowledged when the connection ended is in `unacknowledged`, and
/// publishing it again is the caller's.
///
/// For one thread, except `wake()`.
// @unchecked Sendable: used by one thread at a time, except wake(), which only touches the Sendable signal.
package final class MQTTPublisher: @unchecked Sendable {
  private let configuration: MQTTConfiguration
  private let signal: WakeSignal
  private var connection: Connection?
  private var outstanding = PacketIdentifiers()

  /// - Throws: `.usage` for a configuration that cannot work.
  package init(_ configuration: MQTTConfiguration) throws(MQTTError) {
    try configuration.validate()
    self.configuration = configuration
    signal = try WakeSignal()
  }

  /// Connects, after `drop()` of a connection that there still is, and forgets `unacknowledged`.
  /// - Parameter timeout: for everything but the lookup of the host's name.
  /// - Throws: `.refused`, `.unreachable`, `.tls`, `.timedOut`, `.connectionLost`, `.interrupted`.
  package func connect(timeout: Duration) throws(MQTTError) {
    drop()
    outstanding = PacketIdentifiers()
    (connection, _) = try Connection.establish(configuration, keepsMessages: false, timeout: timeout, wake: signal)
  }

  package var isConnected: Bool { connection != nil }

  /// Messages published on the latest connection that the broker has not acknowledged, in order; after an error they
  /// may or may not have arrived.
  package var unacknowledged: [Int] { outstanding.ordered }

  /// How many those are.
  package var inFlight: Int { outstanding.count }

  /// Whether `publish` would throw `.windowFull`.
  package var isFull: Bool { outstanding.count >= configuration.maximumInflight }

  /// Queues a message; `step` sends it.
  /// - Parameters:
  ///   - topic: without wildcards.
  ///   - payload: copied, up to 268,435,455 bytes.
  ///   - qos: 0 to 2. At QoS 0 it counts as acknowledged once written.
  ///   - retain: whether the broker keeps it for those who subscribe later.
  /// - Returns: the packet identifier: unique among the unacknowledged of this connection.
  /// - Throws: `.windowFull`, `.usage`, `.connectionLost`.
  package func publish(
    _ topic: String, payload: UnsafeRawBufferPointer, qos: Int, retain: Bool
  ) throws(MQTTError) -> Int {
    guard let connection else { throw .notConnected }
    guard !isFull else { throw MQTTError(.windowFull, "\(inFlight) messages are not acknowledged") }
    guard !topic.utf8.contains(0) else { throw .usage("a zero byte in a topic") }
    let mid = unsafe try connection.publish(topic, payload, qos: qos, retain: retain)
    outstanding.insert(mid)
    return mid
  }

  /// Sends what is queued, then waits for acknowledgements and reads what is there. Keeps the connection alive: call
  /// it again before the keep-alive is over, also with nothing under way.
  /// - Parameters:
  ///   - timeout: how long to wait for the first; zero to wait for nothing. `wake()` ends it early.
  ///   - acknowledged: where the identifiers of what the broker took over are appended, also when it throws.
  /// - Throws: `.connectionLost`; `.timedOut` when the broker was silent for 1.5 times the keep-alive.
  package func step(timeout: Duration, acknowledged: inout [Int]) throws(MQTTError) {
    guard let connection else { throw .notConnected }
    let deadline = ContinuousClock.now + timeout
    defer { collect(from: connection, into: &acknowledged) }
    do throws(MQTTError) {
      while true {
        if connection.hasQueued { try connection.write() }
        try connection.read()
        try connection.tend()
        if !connection.inbox.published.isEmpty { return }
        let next = min(deadline, connection.nextTending)
        switch try connection.wait(writing: connection.hasQueued, until: next) {
        case .woken: return
        case .timedOut where ContinuousClock.now >= deadline: return
        case .timedOut, .readable, .writable: continue
        }
      }
    } catch {
      drop()
      throw error
    }
  }

  private func collect(from connection: Connection, into acknowledged: inout [Int]) {
    for mid in connection.inbox.published { outstanding.remove(mid) }
    acknowledged.append(contentsOf: connection.inbox.published)
    connection.inbox.published.removeAll(keepingCapacity: true)
  }

  /// Cuts the connection without a word; the broker publishes the will.
  package func drop() { connection = nil }

  /// Sends what is queued and says DISCONNECT, waiting up to a second until the broker has read it.
  ///
  /// Does not wait for acknowledgements: `step` until `inFlight` is 0 first.
  package func disconnect() {
    connection?.disconnect()
    drop()
  }

  /// Ends a wait in `step` or `connect`, or the next one. From any thread.
  package func wake() { signal.set() }
}
