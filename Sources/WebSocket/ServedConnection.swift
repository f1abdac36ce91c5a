import CWslay

/// One connection as its loop's thread serves it.
final class ServedConnection: FrameEvents {
  private enum Phase {
    /// Messages are read and answered.
    case open
    /// Nothing more is read; what is being answered gets its answer.
    case draining
    /// The close frame is on its way, and the client's is waited for.
    case closing
    /// The client sent what cannot be read on: it is dropped, for closing the socket now would destroy the close frame
    /// on its way.
    case dropping
    case over
  }

  private let connection: WebSocketConnection
  private let receiver: any MessageReceiver
  private let descriptor: Int32
  private let release: @Sendable () -> Void
  private let poller: Int32
  private let inFlightLimit: Int
  private let sendLimit: Int
  private let codec: FrameCodec
  private var watch: Watch
  private var phase = Phase.open
  private var cause = Ending.Cause.server
  /// What was received and not taken yet.
  private var pending: [UInt8]
  private var interest = (reads: true, writes: false)

  /// Nil when the descriptor cannot be watched; it is released then.
  init?(_ arrival: WebSocketLoop.Arrival, _ configuration: WebSocketServer.Configuration, poller: Int32, now: Int64) {
    connection = arrival.connection
    receiver = arrival.receiver
    descriptor = arrival.descriptor
    release = arrival.release
    pending = arrival.received
    self.poller = poller
    inFlightLimit = configuration.inFlightLimit
    sendLimit = configuration.sendLimit
    codec = FrameCodec(messageLimit: configuration.messageLimit)
    watch = Watch(configuration.watchLimits, now: now)
    guard sluice_ws_watch(poller, descriptor, connection.id, true, false) else {
      end(.lost)
      return nil
    }
  }

  var isOver: Bool { phase == .over }

  /// There is news: answers, or a reason to close; or the connection has just arrived.
  func news(_ now: Int64) { settle(now) }

  /// The poller has something to say.
  func ready(readable: Bool, hungUp: Bool, scratch: UnsafeMutableRawBufferPointer, _ now: Int64) {
    if hungUp, !interest.reads {
      end(.lost)
    } else if readable || hungUp, interest.reads {
      unsafe read(scratch, now)
    }
    settle(now)
  }

  /// Some time has passed.
  func tick(_ now: Int64) {
    switch watch.verdict(now, isBusy: connection.waiting.messages > 0) {
    case .fine: return
    case .ping: codec.ping()
    case .close(let reason): codec.close(reason)
    case .end(let cause): end(phase == .closing || phase == .dropping ? self.cause : cause)
    }
    settle(now)
  }

  /// Reads nothing more, and closes when all is answered, or at once.
  func shutDown(atOnce: Bool, _ now: Int64) {
    guard phase == .open || phase == .draining else { return }
    cause = .shutdown
    phase = .draining
    if atOnce { codec.close(.shuttingDown) }
    settle(now)
  }

  /// Ends it whatever state it is in.
  func end(_ cause: Ending.Cause) {
    guard phase != .over else { return }
    phase = .over
    connection.end()
    sluice_ws_unwatch(poller, descriptor)
    receiver.ended(Ending(cause: cause, code: codec.closeCode))
    release()
  }

  // MARK: FrameEvents

  var takesMore: Bool {
    switch phase {
    case .open:
      // What is answered as it is read, as while Kafka is away, waits to be sent until all that was read is taken.
      let waiting = connection.waiting
      return codec.output.count + waiting.bytes <= sendLimit / 4 && waiting.messages < inFlightLimit
    case .closing: return true
    case .draining, .dropping, .over: return false
    }
  }

  func messageBegan() { watch.messageBegan(MonotonicClock.milliseconds) }

  func messageContinued(_ piece: UnsafeRawBufferPointer) -> CloseReason? {
    watch.messageContinued(piece.count)
    return unsafe receiver.receive(piece)
  }

  func messageEnded(isText: Bool) {
    watch.messageEnded(MonotonicClock.milliseconds)
    connection.begin()
    receiver.finish(isText: isText)
  }

  // MARK: Bytes

  private func read(_ scratch: UnsafeMutableRawBufferPointer, _ now: Int64) {
    let count = unsafe sluice_ws_receive(descriptor, scratch.baseAddress, scratch.count)
    if count == -1 { return }
    guard count > 0 else {
      end(phase == .open ? .lost : cause)
      return
    }
    watch.heard(now)
    guard phase != .dropping else { return }
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[..<count])
    let taken = unsafe codec.feed(bytes, to: self)
    if codec.reads { unsafe pending.append(contentsOf: bytes[taken...]) }
  }

  /// Brings everything to where it cannot go on by itself.
  private func settle(_ now: Int64) {
    var isMoving = true
    while isMoving, phase != .over {
      isMoving = false
      if !pending.isEmpty, takesMore {
        let taken = unsafe pending.withUnsafeBytes { unsafe codec.feed($0, to: self) }
        pending.removeFirst(codec.reads ? taken : pending.count)
        isMoving = taken > 0
      }
      send(now)
      advance(now)
    }
    guard phase != .over else { return }
    let wanted = (reads: phase == .dropping || (pending.isEmpty && takesMore), writes: !codec.output.isEmpty)
    watch.reads(wanted.reads, now)
    if wanted != interest {
      interest = wanted
      sluice_ws_rewatch(poller, descriptor, connection.id, wanted.reads, wanted.writes)
    }
  }

  private func send(_ now: Int64) {
    let (answers, closeReason) = connection.take()
    for answer in answers {
      guard codec.output.count <= sendLimit else { return end(.slow) }
      codec.send(answer.message, isText: answer.isText)
    }
    if let closeReason { codec.close(closeReason) }
    var hasProgress = false
    while !codec.output.isEmpty {
      let output = codec.output
      let count = unsafe output.withUnsafeBytes { unsafe sluice_ws_send(descriptor, $0.baseAddress, $0.count) }
      if count == -2 { return end(phase == .open ? .lost : cause) }
      guard count > 0 else { break }
      hasProgress = true
      codec.sent(count)
    }
    watch.sending(!codec.output.isEmpty, progress: hasProgress, now)
  }

  private func advance(_ now: Int64) {
    if phase == .open, codec.hasFailed { phase = .draining }
    if phase == .draining, connection.isSettled { codec.close(.shuttingDown) }
    if phase == .open || phase == .draining, codec.closeSent {
      if phase == .open, codec.closeReceived { cause = .client }
      phase = .closing
      watch.closing(now)
      send(now)
    }
    guard phase == .closing, codec.output.isEmpty else { return }
    if codec.closeReceived {
      end(cause)
    } else if !codec.reads {
      sluice_ws_end_sending(descriptor)
      pending = []
      phase = .dropping
    }
  }
}

extension WebSocketServer.Configuration {
  var watchLimits: Watch.Limits {
    Watch.Limits(
      ping: pingInterval.wholeMilliseconds, idle: idleTimeout.wholeMilliseconds,
      message: messageTimeout.wholeMilliseconds, send: sendTimeout.wholeMilliseconds,
      close: closeTimeout.wholeMilliseconds)
  }
}
