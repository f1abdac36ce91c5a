/// A subscriber whose acknowledgements are withheld until the caller says so.
///
/// `connect`, `subscribe`, then again and again: `receive`, put the messages where they are safe, `acknowledge`. Until
/// then the broker keeps them, and after `drop`, a crash or a lost connection it delivers them again, in order.
///
/// QoS 2 is refused, for with it a message could be lost: the broker forgets a message's content when it gets PUBREC,
/// which the library needs to send before it hands the message over. A process that ends between that and having
/// stored the message leaves nobody who knows it: the broker resends PUBREL only, without content (MQTT 3.1.1, 4.3.3).
/// With a subscription at QoS 1 the broker delivers messages that were published at QoS 2 at QoS 1, and keeps them
/// until PUBACK.
///
/// MQTT lets nobody know whether an acknowledgement arrived. What was acknowledged just before a connection ended may
/// come again.
///
/// For one thread, except `wake()`.
// @unchecked Sendable: used by one thread at a time, except wake(), which only touches the Sendable signal.
package final class MQTTSubscriber: @unchecked Sendable {
  private let configuration: MQTTConfiguration
  private let signal: WakeSignal
  private var connection: Connection?
  /// Whether acknowledgements are in the library's queue. Then nothing may be written: they would go along.
  private var isWithholding = false
  /// SUBSCRIBE packets that are not answered yet.
  private var unanswered: [Int32: [String]] = [:]

  /// - Throws: `.usage` for a configuration that cannot work.
  package init(_ configuration: MQTTConfiguration) throws(MQTTError) {
    try configuration.validate()
    self.configuration = configuration
    signal = try WakeSignal()
  }

  /// Connects, after `drop()` of a connection that there still is, and waits for the broker's answer.
  ///
  /// Where the session was present, its subscriptions are too, and the messages that they collected come from now on.
  /// - Parameter timeout: for everything but the lookup of the host's name.
  /// - Returns: whether the broker had a session for the client id.
  /// - Throws: `.refused`, `.unreachable`, `.tls`, `.timedOut`, `.connectionLost`, `.interrupted`.
  package func connect(timeout: Duration) throws(MQTTError) -> Bool {
    drop()
    let (connection, sessionPresent) = try Connection.establish(
      configuration, keepsMessages: true, timeout: timeout, wake: signal)
    self.connection = connection
    isWithholding = connection.inbox.needsAcknowledgement
    return sessionPresent
  }

  package var isConnected: Bool { connection != nil }

  /// Subscribes, and waits for the answer.
  ///
  /// Messages that arrive meanwhile are kept for `receive`, unacknowledged. In two cases it returns without the
  /// answer, and a refusal is thrown by a later `receive`: when `maximumInflight` messages have arrived before it, and
  /// when acknowledgements are withheld, behind which the request has to wait until `acknowledge()`.
  /// - Parameter filters: topics, possibly with wildcards and `$share/group/`; each with the highest QoS, 0 or 1.
  /// - Throws: `.usage` for a filter that is not valid or another QoS; `.subscriptionRefused`, still connected.
  package func subscribe(_ filters: [(String, qos: Int)], timeout: Duration) throws(MQTTError) {
    guard filters.allSatisfy({ (0...1).contains($0.qos) }) else {
      throw .usage("a subscription is at QoS 0 or 1; at QoS 2 a crash could lose a message")
    }
    try Self.check(filters.map(\.0))
    let connection = try connected()
    let deadline = ContinuousClock.now + timeout
    for qos in 0...1 {
      // One SUBSCRIBE of this library has one QoS.
      let names = filters.filter { $0.qos == qos }.map(\.0)
      guard !names.isEmpty else { continue }
      unanswered[try connection.subscribe(names, qos: qos)] = names
    }
    guard !isWithholding else { return }
    try readUntil(deadline, "no answer to SUBSCRIBE") { () throws(MQTTError) in try checkSubscriptions(connection) }
  }

  /// Ends subscriptions, and waits for the answer as `subscribe` does.
  package func unsubscribe(_ filters: [String], timeout: Duration) throws(MQTTError) {
    guard !filters.isEmpty else { return }
    try Self.check(filters)
    let connection = try connected()
    let deadline = ContinuousClock.now + timeout
    connection.inbox.unsubscribed.removeAll()
    let mid = try connection.unsubscribe(filters)
    guard !isWithholding else { return }
    try readUntil(deadline, "no answer to UNSUBSCRIBE") { connection.inbox.unsubscribed.contains(mid) }
  }

  /// Waits until messages arrive, and reads what is there.
  ///
  /// Their acknowledgements are withheld until `acknowledge()`. Returns earlier without messages after `wake()`.
  /// - Parameters:
  ///   - limit: reading ends with this many; those that `subscribe` kept, or that came in one TLS record, may exceed it.
  ///   - timeout: how long to wait for the first message.
  ///   - messages: where they are appended; nothing is when it throws.
  /// - Throws: `.connectionLost`; `.timedOut` when the broker was silent for 1.5 times the keep-alive, or when
  ///   acknowledgements were withheld that long; `.subscriptionRefused`, still connected.
  package func receive(limit: Int, timeout: Duration, into messages: inout [MQTTMessage]) throws(MQTTError) {
    let connection = try connected()
    let deadline = ContinuousClock.now + timeout
    let inbox = connection.inbox
    try orDrop { () throws(MQTTError) in
      while true {
        if !isWithholding, connection.hasQueued { try connection.write() }
        try connection.read(upTo: max(1, limit), bytes: configuration.maximumBatchBytes)
        if inbox.needsAcknowledgement { isWithholding = true }
        if !isWithholding { try connection.tend() }
        _ = try checkSubscriptions(connection)
        if !inbox.messages.isEmpty { return inbox.takeMessages(into: &messages) }
        if isWithholding, ContinuousClock.now >= connection.patienceEnds {
          throw MQTTError(.timedOut, "acknowledgements were withheld longer than the keep-alive allows")
        }
        let next = isWithholding ? connection.patienceEnds : connection.nextTending
        let writing = !isWithholding && connection.hasQueued
        switch try connection.wait(writing: writing, until: min(deadline, next)) {
        case .woken: return
        case .timedOut where ContinuousClock.now >= deadline: return
        case .timedOut, .readable, .writable: continue
        }
      }
    }
  }

  /// Sends the acknowledgements of everything received so far.
  ///
  /// What `subscribe` kept and `receive` has not returned yet counts as not received.
  /// - Throws: `.connectionLost`, `.timedOut`: the broker will deliver again what it has not been told of.
  package func acknowledge() throws(MQTTError) {
    let connection = try connected()
    guard isWithholding, connection.inbox.messages.isEmpty else { return }
    try orDrop { () throws(MQTTError) in
      try connection.flush(until: .now + configuration.keepAlive)
    }
    isWithholding = false
  }

  /// How long acknowledgements may still be withheld before the broker considers this client dead (1.5 times the
  /// keep-alive since it last heard of us, less a second); zero when that is over or without a connection.
  ///
  /// Pings could only be sent behind the acknowledgements. Who cannot finish in this time has to `drop()`.
  package var keepAliveBudget: Duration {
    guard let connection else { return .zero }
    return max(.zero, connection.patienceEnds - .now)
  }

  /// Cuts the connection without a word: what is not acknowledged is delivered again, and the session stays.
  package func drop() {
    connection = nil
    isWithholding = false
    unanswered = [:]
  }

  /// Says DISCONNECT and waits, up to a second, until the broker has read everything before it.
  ///
  /// Only after `acknowledge()`: while acknowledgements are withheld this is `drop()`, for DISCONNECT would have to
  /// follow them.
  package func disconnect() {
    if !isWithholding { connection?.disconnect() }
    drop()
  }

  /// Ends a wait in `receive`, `connect` or `subscribe`, or the next one. From any thread.
  package func wake() { signal.set() }

  // MARK: -

  /// What the library does not check: it takes an empty filter, and sees none behind a zero byte.
  private static func check(_ filters: [String]) throws(MQTTError) {
    for filter in filters where filter.isEmpty || filter.utf8.contains(0) {
      throw .usage("a topic filter is empty or has a zero byte")
    }
  }

  private func connected() throws(MQTTError) -> Connection {
    guard let connection else { throw .notConnected }
    return connection
  }

  /// Every error that says nothing else ends the connection.
  private func orDrop(_ body: () throws(MQTTError) -> Void) throws(MQTTError) {
    do throws(MQTTError) {
      try body()
    } catch {
      if case .subscriptionRefused = error.kind {} else { drop() }
      throw error
    }
  }

  /// Writes what is queued and waits for its answer, keeping the messages that come before.
  private func readUntil(
    _ deadline: ContinuousClock.Instant, _ otherwise: String, answered: () throws(MQTTError) -> Bool
  ) throws(MQTTError) {
    let connection = try connected()
    try orDrop { () throws(MQTTError) in
      try connection.flush(until: deadline)
      while connection.inbox.messages.count < configuration.maximumInflight,
        connection.inbox.bytes < configuration.maximumBatchBytes
      {
        let progress = try connection.readPacket()
        isWithholding = connection.inbox.needsAcknowledgement
        if try answered() { return }
        if progress { continue }
        switch try connection.wait(writing: false, until: deadline) {
        case .woken: throw MQTTError(.interrupted, "woken; \(otherwise)")
        case .timedOut: throw MQTTError(.timedOut, otherwise)
        case .readable, .writable: continue
        }
      }
    }
  }

  /// Looks at answers to SUBSCRIBE.
  /// - Returns: whether all have come.
  private func checkSubscriptions(_ connection: Connection) throws(MQTTError) -> Bool {
    for (mid, filters) in unanswered {
      guard let codes = connection.inbox.granted.removeValue(forKey: mid) else { continue }
      unanswered[mid] = nil
      guard codes.count == filters.count else {
        throw MQTTError(.protocolViolation, "SUBACK with \(codes.count) codes for \(filters.count) filters")
      }
      if let refused = codes.firstIndex(where: { $0 > 2 }) {
        throw MQTTError(
          .subscriptionRefused(filter: filters[refused]), "the broker refuses to subscribe to \(filters[refused])",
          code: Int(codes[refused]))
      }
    }
    return unanswered.isEmpty
  }
}
