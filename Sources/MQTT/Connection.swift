import CMosquitto
import Glibc
import Synchronization

/// One connection to a broker: a libmosquitto handle that is used for one connection only, by one thread.
///
/// A handle keeps state between its connections (outgoing messages, half-received QoS 2 messages, packets queued);
/// a new one for each connection begins with none, so that what the broker does not hold is not held anywhere.
///
/// What libmosquitto 2.0.11 does, from its source, with `mosquitto_threaded_set` and no `mosquitto_loop_start`:
/// - Every packet, acknowledgements and PINGREQ too, is appended to one queue (`packet__queue`) and leaves only in
///   `mosquitto_loop_write`, in order, and always the whole queue (`packet__write`; its `max_packets` counts calls).
/// - `mosquitto_loop_read` overwrites `max_packets`: it reads one packet, or as many as there are QoS 1 and 2 messages
///   under way in the handle, which a subscriber at QoS 1 has none of. Over TLS it also empties the decrypted record.
/// - A PUBACK is queued before the message callback (`handle__publish`), so a callback cannot prevent it.
/// - `mosquitto_loop_misc` queues a PINGREQ, or closes when the last was not answered (`mosquitto__check_keepalive`).
/// - Each queued packet also writes a byte to a socket pair that only `mosquitto_loop` empties. It fills up, which
///   nothing minds, except that `errno` is then EAGAIN after a packet was handled.
/// - `mosquitto_new` ignores SIGPIPE for the process.
/// - `mosquitto_destroy` closes the socket without writing what is queued (over TLS, with a close notification).
// @safe: the handle is valid as long as the object, and nobody else has it.
@safe final class Connection {
  let inbox: Inbox
  private let handle: OpaquePointer
  private let keepAlive: Duration
  private let wake: WakeSignal

  /// When the queue was last written out entirely: from then the broker counts its 1.5 times keep-alive.
  private(set) var lastWrite = ContinuousClock.now
  private var lastInbound = ContinuousClock.now
  /// When silence becomes a lost connection; set while a PINGREQ is to be answered.
  private var silenceEnds: ContinuousClock.Instant?

  /// Creates a handle that is not connected yet.
  /// - Parameter keepsMessages: false for publishers.
  init(_ configuration: MQTTConfiguration, keepsMessages: Bool, wake: WakeSignal) throws(MQTTError) {
    Self.initializeLibrary
    self.wake = wake
    keepAlive = configuration.keepAlive
    inbox = Inbox(keepsMessages: keepsMessages)
    let clean = configuration.cleanSession || !keepsMessages
    let object = unsafe Unmanaged.passUnretained(inbox).toOpaque()
    guard let handle = unsafe mosquitto_new(configuration.clientID, clean, object) else {
      throw MQTTError(.other, "mosquitto_new: \(MQTTError.systemMessage(errno))")
    }
    unsafe self.handle = unsafe handle
    unsafe inbox.listen(to: handle)
    try configure(configuration)
  }

  deinit { unsafe mosquitto_destroy(handle) }

  private static let initializeLibrary: Void = { mosquitto_lib_init() }()

  private func configure(_ configuration: MQTTConfiguration) throws(MQTTError) {
    try unsafe check(mosquitto_threaded_set(handle, true), "threaded mode")
    let window = Int32(configuration.maximumInflight)
    try unsafe check(mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, window), "send maximum")
    // With TCP_CORK around each write of the queue: full segments, and no waiting for the last.
    try unsafe check(mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1), "no delay")
    let (username, password) = configuration.credentials
    if let username {
      try unsafe check(mosquitto_username_pw_set(handle, username, password), "user name and password")
    }
    if let will = configuration.will {
      let size = Int32(clamping: will.payload.count)
      try check(
        unsafe mosquitto_will_set(handle, will.topic, size, will.payload, Int32(clamping: will.qos), will.isRetained),
        "the will")
    }
    guard configuration.address.usesTLS else { return }
    let (ca, certificate, key) = configuration.files
    for file in [ca, certificate, key].compactMap({ $0 }) where unsafe access(file, R_OK) != 0 {
      throw .usage("\(file): \(MQTTError.systemMessage(errno))")
    }
    if ca == nil {
      try unsafe check(mosquitto_int_option(handle, MOSQ_OPT_TLS_USE_OS_CERTS, 1), "the system's certificates")
    }
    if ca != nil || certificate != nil {
      // The callback refuses to give a passphrase: OpenSSL would ask the terminal for it.
      try check(
        unsafe mosquitto_tls_set(handle, ca, ca == nil ? "/etc/ssl/certs" : nil, certificate, key) { _, _, _, _ in 0 },
        "certificates")
    }
  }

  // MARK: Reading and writing

  /// Whether packets wait to be written.
  var hasQueued: Bool { unsafe mosquitto_want_write(handle) }

  /// Reads until nothing is there, or until this many messages or bytes are in the inbox.
  func read(upTo limit: Int = .max, bytes: Int = .max) throws(MQTTError) {
    // Looked at first: an answer to a PINGREQ leaves no trace.
    if Self.poll(unsafe mosquitto_socket(handle), Int16(POLLIN), -1, 0).ready & Int16(POLLIN) != 0 { heard() }
    while inbox.messages.count < limit, inbox.bytes < bytes, try readPacket() {}
  }

  /// Reads a packet; over TLS, all of a record.
  /// - Returns: false when nothing complete was there.
  func readPacket() throws(MQTTError) -> Bool {
    let before = inbox.events
    errno = 0
    let code = unsafe mosquitto_loop_read(handle, 1)
    let systemError = errno
    if code != MOSQ_ERR_SUCCESS.rawValue {
      throw MQTTError(
        library: code, systemError: systemError, during: "reading", detail: inbox.detail, isInput: true)
    }
    // EAGAIN alone does not say that nothing was there (see the socket pair above).
    return systemError != EAGAIN || inbox.events != before
  }

  /// Writes what is queued, as far as the socket takes it.
  func write() throws(MQTTError) {
    cork(true)
    errno = 0
    let code = unsafe mosquitto_loop_write(handle, 1)
    let systemError = errno
    try check(code, "writing", systemError)
    cork(false)
    if !hasQueued { lastWrite = .now }
  }

  /// Writes all that is queued.
  func flush(until deadline: ContinuousClock.Instant) throws(MQTTError) {
    try write()
    while hasQueued {
      if case .timedOut = try wait(reading: false, until: deadline) {
        throw MQTTError(.timedOut, "writing: the broker takes nothing")
      }
      try write()
    }
  }

  private func cork(_ on: Bool) {
    let socket = unsafe mosquitto_socket(handle)
    guard socket >= 0 else { return }
    var value: Int32 = on ? 1 : 0
    _ = unsafe setsockopt(socket, Int32(IPPROTO_TCP), TCP_CORK, &value, 4)
  }

  enum Wakeup { case readable, writable, woken, timedOut }

  /// Waits for the socket or for `wake()`.
  /// - Parameter reading: whether input ends the wait; output always does, while something is queued and `writing`.
  func wait(
    reading: Bool = true, writing: Bool = true, until deadline: ContinuousClock.Instant
  ) throws(MQTTError) -> Wakeup {
    var interest = reading ? Int16(POLLIN) : 0
    if writing { interest |= Int16(POLLOUT) }
    let socket = unsafe mosquitto_socket(handle)
    guard socket >= 0 else { throw .notConnected }
    while true {
      let milliseconds = (deadline - .now).roundedUpMilliseconds
      let (count, ready, woken) = Self.poll(socket, interest, wake.descriptor, milliseconds)
      if count < 0, errno != EINTR {
        throw MQTTError(.other, "poll: \(MQTTError.systemMessage(errno))")
      }
      if woken {
        wake.clear()
        return .woken
      }
      // Errors and the end of the connection too: the next read says which.
      if ready & ~Int16(POLLOUT) != 0 {
        if ready & Int16(POLLIN) != 0 { heard() }
        return .readable
      }
      if ready != 0 { return .writable }
      if ContinuousClock.now >= deadline { return .timedOut }
    }
  }

  private static func poll(
    _ socket: Int32, _ interest: Int16, _ wake: Int32, _ milliseconds: Int32
  ) -> (count: Int32, ready: Int16, woken: Bool) {
    unsafe withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 2) { descriptors in
      unsafe descriptors.initializeElement(at: 0, to: pollfd(fd: socket, events: interest, revents: 0))
      unsafe descriptors.initializeElement(at: 1, to: pollfd(fd: wake, events: Int16(POLLIN), revents: 0))
      let count = unsafe Glibc.poll(descriptors.baseAddress, 2, milliseconds)
      guard count > 0 else { return (count, 0, false) }
      return unsafe (count, descriptors[0].revents, descriptors[1].revents != 0)
    }
  }

  // MARK: Keep-alive

  private func heard() {
    lastInbound = .now
    silenceEnds = nil
  }

  /// When `tend` has something to do.
  var nextTending: ContinuousClock.Instant {
    // The library counts whole seconds, and is never ahead of these.
    if let silenceEnds { return min(silenceEnds, max(lastWrite + keepAlive, .now + .seconds(1))) }
    return min(lastWrite, lastInbound) + keepAlive
  }

  /// Sends a PINGREQ when it is time, and finds out that the broker is silent.
  ///
  /// Writes the queue, so only while no acknowledgement in it is withheld; and only after reading, for an answer
  /// that has arrived but was not read would count as none.
  func tend() throws(MQTTError) {
    let now = ContinuousClock.now
    guard now >= nextTending else { return }
    if let silenceEnds, now >= silenceEnds {
      throw MQTTError(.timedOut, "the broker is silent", code: Int(MOSQ_ERR_KEEPALIVE.rawValue))
    }
    if silenceEnds == nil, now >= lastInbound + keepAlive { silenceEnds = now + keepAlive / 2 }
    errno = 0
    let code = unsafe mosquitto_loop_misc(handle)
    try check(code, "keep-alive", errno)
    if hasQueued { try write() }
  }

  /// When the broker may consider this client dead (MQTT 3.1.1, 3.1.2.10), less a second for its rounding.
  var patienceEnds: ContinuousClock.Instant { lastWrite + keepAlive * 3 / 2 - .seconds(1) }

  // MARK: Calls that the library answers with a packet identifier

  func subscribe(_ filters: [String], qos: Int) throws(MQTTError) -> Int32 {
    var mid: Int32 = 0
    let code = unsafe filters.withCStrings { strings in
      unsafe mosquitto_subscribe_multiple(handle, &mid, Int32(strings.count), strings.baseAddress, Int32(qos), 0, nil)
    }
    try check(code, "subscribing to \(filters.joined(separator: ", "))", errno)
    return mid
  }

  func unsubscribe(_ filters: [String]) throws(MQTTError) -> Int32 {
    var mid: Int32 = 0
    let code = unsafe filters.withCStrings { strings in
      unsafe mosquitto_unsubscribe_multiple(handle, &mid, Int32(strings.count), strings.baseAddress, nil)
    }
    try check(code, "unsubscribing from \(filters.joined(separator: ", "))", errno)
    return mid
  }

  func publish(
    _ topic: String, _ payload: UnsafeRawBufferPointer, qos: Int, retain: Bool
  ) throws(MQTTError) -> Int {
    guard let size = Int32(exactly: payload.count) else { throw .usage("a payload of \(payload.count) bytes") }
    var mid: Int32 = 0
    let code = unsafe mosquitto_publish(handle, &mid, topic, size, payload.baseAddress, Int32(clamping: qos), retain)
    try check(code, "publishing to \(topic)", errno)
    return Int(mid)
  }

  /// Says DISCONNECT after all that is queued, and waits up to a second until the broker has closed its side.
  ///
  /// The library closes the socket as soon as DISCONNECT is written. With messages unread in it the kernel then
  /// resets the connection, and acknowledgements that the broker has not read yet are lost. A second descriptor keeps
  /// the connection until the broker, who reads in order, has come to DISCONNECT.
  func disconnect() {
    let socket = fcntl(unsafe mosquitto_socket(handle), F_DUPFD_CLOEXEC, 0)
    defer { if socket >= 0 { close(socket) } }
    guard unsafe mosquitto_disconnect(handle) == MOSQ_ERR_SUCCESS.rawValue else { return }
    let deadline = ContinuousClock.now + .seconds(1)
    do throws(MQTTError) {
      repeat {
        errno = 0
        let code = unsafe mosquitto_loop_write(handle, 1)
        try check(code, "disconnecting", errno)
      } while unsafe mosquitto_socket(handle) >= 0
        && Self.poll(socket, Int16(POLLOUT), -1, (deadline - .now).roundedUpMilliseconds).ready != 0
    } catch { return }
    guard unsafe mosquitto_socket(handle) < 0, socket >= 0 else { return }
    shutdown(socket, Int32(SHUT_WR))
    unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) { buffer in
      while Self.poll(socket, Int16(POLLIN), -1, (deadline - .now).roundedUpMilliseconds).ready != 0,
        unsafe Glibc.read(socket, buffer.baseAddress, buffer.count) > 0
      {}
    }
  }

  func check(_ code: Int32, _ action: String, _ systemError: Int32 = 0) throws(MQTTError) {
    guard code != MOSQ_ERR_SUCCESS.rawValue else { return }
    throw MQTTError(library: code, systemError: systemError, during: action, detail: inbox.detail)
  }

  // MARK: Connecting

  /// Begins to connect, without waiting for more than the addresses of a name.
  func start(_ address: MQTTAddress, at target: ConnectionTarget) throws(MQTTError) {
    let seconds = Int32(keepAlive.components.seconds)
    let connect = {
      errno = 0
      let code = unsafe mosquitto_connect_bind_async(
        self.handle, target.host, Int32(address.port), seconds, target.localAddress)
      return (code, errno)
    }
    let (code, systemError) = address.usesTLS ? Self.guardingFirstTLS(connect) : connect()
    // MOSQ_ERR_CONN_PENDING (-1) is as good as success; below zero is nothing else.
    guard code > 0 else { return }
    if code == MOSQ_ERR_ERRNO.rawValue {
      throw MQTTError(.unreachable, "\(address): \(MQTTError.systemMessage(systemError))", code: Int(code))
    }
    throw MQTTError(library: code, systemError: systemError, during: "\(address)", detail: inbox.detail)
  }

  private static let tlsIsInitialized = Mutex(false)

  /// The library initializes TLS in the first connection that needs it, unguarded against others that do the same.
  /// Only until that has happened, one thread at a time; what it waits for is the lookup of a name just looked up.
  private static func guardingFirstTLS<Result>(_ body: () -> Result) -> Result {
    let result: Result? = tlsIsInitialized.withLock { isInitialized in
      if isInitialized { return nil }
      isInitialized = true
      return body()
    }
    return result ?? body()
  }

  /// Waits for the TCP connection.
  func awaitTCP(_ address: MQTTAddress, until deadline: ContinuousClock.Instant) throws(MQTTError) {
    switch try wait(reading: false, until: deadline) {
    case .woken: throw MQTTError(.interrupted, "woken while connecting")
    case .timedOut: throw MQTTError(.unreachable, "\(address): no answer", code: Int(MOSQ_ERR_ERRNO.rawValue))
    case .readable, .writable: break
    }
    var failure: Int32 = 0
    var size = socklen_t(4)
    _ = unsafe getsockopt(unsafe mosquitto_socket(handle), SOL_SOCKET, SO_ERROR, &failure, &size)
    guard failure == 0 else {
      throw MQTTError(
        .unreachable, "\(address): \(MQTTError.systemMessage(failure))", code: Int(MOSQ_ERR_ERRNO.rawValue))
    }
  }

  /// Shakes hands, over TLS too, sends CONNECT and waits for the answer.
  /// - Returns: whether the broker had a session.
  func awaitConnack(_ address: MQTTAddress, until deadline: ContinuousClock.Instant) throws(MQTTError) -> Bool {
    var hasEnded = false
    while true {
      // The TLS handshake happens in reads alone, and writes do nothing until it is over.
      do throws(MQTTError) {
        _ = try readPacket()
      } catch {
        guard let answer = inbox.connected, answer.code != 0 else { throw error }
        let words = unsafe String(cString: mosquitto_connack_string(Int32(answer.code)))
        throw MQTTError(
          .refused(reason: MQTTError.Refusal(code: answer.code)), "\(address): \(words)", code: answer.code)
      }
      if let answer = inbox.connected {
        unsafe inbox.ignoreLog(of: handle)
        heard()
        return answer.sessionPresent
      }
      // A handshake that was cut is no error to the library: it would wait forever.
      if hasEnded { throw MQTTError(.connectionLost, "\(address): closed while connecting") }
      if hasQueued { try write() }
      switch try wait(writing: false, until: deadline) {
      case .woken: throw MQTTError(.interrupted, "woken while connecting")
      case .timedOut: throw MQTTError(.timedOut, "\(address): no answer to CONNECT")
      case .writable: break
      case .readable: hasEnded = hasHungUp
      }
    }
  }

  private var hasHungUp: Bool {
    let (_, ready, _) = Self.poll(unsafe mosquitto_socket(handle), Int16(POLLIN), -1, 0)
    return ready & Int16(POLLHUP | POLLERR) != 0
  }
}
