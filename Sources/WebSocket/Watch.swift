/// What the time says about one connection: a value that is told what happens and asked what to do.
///
/// All times are milliseconds of one clock that never jumps.
struct Watch: Equatable {
  /// Durations in milliseconds.
  struct Limits: Equatable {
    /// Silence after which the client is asked for a sign of life; as much again without one, and it is gone.
    var ping: Int64 = 20_000
    /// How long no message may come while none is being answered.
    var idle: Int64 = 600_000
    /// How long a message may take, plus the time that `messageRate` allows for what has come of it.
    var message: Int64 = 30_000
    /// Bytes per second that a large message must reach.
    var messageRate: Int64 = 1_000
    /// How long the client may take none of what waits for it.
    var send: Int64 = 20_000
    /// How long the client may take to answer a close frame.
    var close: Int64 = 2_000
  }

  /// What is to be done.
  enum Verdict: Equatable {
    case fine
    case ping
    case close(CloseReason)
    case end(Ending.Cause)
  }

  private let limits: Limits
  private var heardAt: Int64
  private var isPinged = false
  private var messageAt: Int64
  /// Since when a message is coming in.
  private var begunAt: Int64?
  private var begunBytes: Int64 = 0
  /// Since when bytes wait for the client to take them.
  private var waitingSince: Int64?
  private var closingSince: Int64?
  private var isReading = true

  init(_ limits: Limits, now: Int64) {
    self.limits = limits
    heardAt = now
    messageAt = now
  }

  /// Bytes came.
  mutating func heard(_ now: Int64) {
    heardAt = now
    isPinged = false
  }

  mutating func messageBegan(_ now: Int64) {
    begunAt = now
    begunBytes = 0
  }

  mutating func messageContinued(_ count: Int) { begunBytes += Int64(count) }

  mutating func messageEnded(_ now: Int64) {
    begunAt = nil
    messageAt = now
  }

  /// Bytes wait to be sent, or none do; `progress` when some of them were taken.
  mutating func sending(_ isWaiting: Bool, progress: Bool, _ now: Int64) {
    if !isWaiting { waitingSince = nil } else if progress || waitingSince == nil { waitingSince = now }
  }

  /// The close frame is on its way.
  mutating func closing(_ now: Int64) {
    if closingSince == nil { closingSince = now }
  }

  /// While the server itself does not read, nothing can be asked of the client; the time for it begins anew after that.
  mutating func reads(_ isReading: Bool, _ now: Int64) {
    guard isReading != self.isReading else { return }
    self.isReading = isReading
    if isReading {
      heard(now)
      messageAt = now
      if begunAt != nil { begunAt = now }
    }
  }

  /// - Parameter isBusy: whether messages are being answered.
  mutating func verdict(_ now: Int64, isBusy: Bool) -> Verdict {
    if let waitingSince, now - waitingSince > limits.send { return .end(.slow) }
    if let closingSince { return now - closingSince > limits.close ? .end(.server) : .fine }
    guard isReading else { return .fine }
    if let begunAt, now - begunAt > limits.message + begunBytes * 1_000 / max(limits.messageRate, 1) {
      return .close(.tooSlow)
    }
    if !isBusy, begunAt == nil, now - messageAt > limits.idle { return .close(.idle) }
    if now - heardAt > 2 * limits.ping { return .end(.silent) }
    if !isPinged, now - heardAt > limits.ping {
      isPinged = true
      return .ping
    }
    return .fine
  }
}
