import MQTT
import Operations
import Readings

/// Publishes a share of the fleet's readings over one MQTT connection, as many at a time as its window takes. For one
/// thread, except `wake()`.
final class MQTTSender {
  private struct Pending {
    let identity: ReadingIdentity
    /// When it was published first.
    let start: Int64
    /// To publish it again; empty when that may not be.
    var topic = ""
    var payload: [UInt8] = []
  }

  private enum Phase {
    case sending
    /// Nothing new is published; until a moment, acknowledgements are waited for.
    case finishing(until: Int64)
  }

  private let context: SenderContext
  private let share: FleetShare
  private let account: Account
  private let state: StateLog
  private let publisher: MQTTPublisher
  private let qos: Int
  private var pacing: Pacing
  private var claim: Pacing.Claim?
  private var phase = Phase.sending
  /// By packet identifier.
  private var inFlight: [Int: Pending] = [:]
  /// What was on its way when the connection ended, in order; it is published before anything new.
  private var again: ArraySlice<Pending> = []
  private var payload = ByteBuffer(capacity: 512)
  private var acknowledged: [Int] = []
  private var backoff = Backoff(base: .milliseconds(100), cap: .seconds(2))

  init(
    _ mqtt: SimulationPlan.MQTT, publisher: MQTTPublisher, share: FleetShare, pacing: Pacing, state: StateLog,
    context: SenderContext
  ) {
    self.context = context
    self.share = share
    self.pacing = pacing
    self.state = state
    self.publisher = publisher
    qos = mqtt.qos
    account = Account(share, tally: context.tally, file: context.file)
  }

  /// How a connection of a run is configured.
  static func configuration(_ mqtt: SimulationPlan.MQTT, run: String, number: Int) -> MQTTConfiguration {
    // Silence is noticed after 15 s: a broker that hangs is found out while the run lasts.
    MQTTConfiguration(
      address: mqtt.address, clientID: "sluice-simulate-\(run)-\(number)", cleanSession: true,
      keepAlive: .seconds(10), maximumInflight: mqtt.window)
  }

  /// Publishes until the time is over, the readings are used up, or a stop is asked for.
  func run() {
    while !isDone {
      guard publisher.isConnected || connect() else { break }
      do throws(MQTTError) {
        let due = try publishWhatIsDue()
        try step(until: due)
      } catch {
        lost(error)
      }
    }
    publisher.disconnect()
    for reading in again + inFlight.values { account.lose(reading.identity) }
    account.close()
  }

  /// Moves on when it is time to, and says whether all is over.
  private var isDone: Bool {
    let now = Clock.monotonicNanoseconds()
    if case .sending = phase {
      if context.isStopping || pacing.isOver(at: now) { finish(at: now) }
    }
    guard case .finishing(let end) = phase else { return false }
    return inFlight.isEmpty && again.isEmpty || now >= end || context.isStopping && !publisher.isConnected
  }

  private func finish(at now: Int64) { phase = .finishing(until: now + context.plan.answerTimeout.nanoseconds) }

  // MARK: Publishing

  /// - Returns: when the next reading is due, as far as that is known.
  private func publishWhatIsDue() throws(MQTTError) -> Int64? {
    while let reading = again.first, !publisher.isFull {
      let mid = try publish(reading.topic, reading.payload)
      inFlight[mid] = again.removeFirst()
    }
    guard again.isEmpty, case .sending = phase else { return nil }
    while !publisher.isFull {
      let now = Clock.monotonicNanoseconds()
      if claim == nil { claim = pacing.claim(1, now: now, take: context.take) }
      guard let claim else {
        finish(at: now)
        return nil
      }
      if claim.due > now { return claim.due }
      if pacing.isOver(at: now) { return nil }
      try publishNext(now)
      self.claim = nil
    }
    return nil
  }

  private func publishNext(_ now: Int64) throws(MQTTError) {
    payload.truncate(to: 0)
    let (identity, topic) = share.appendPayload(at: Clock.nowMilliseconds(), to: &payload)
    var reading = Pending(identity: identity, start: now)
    if context.plan.hasIDs {
      reading.topic = topic
      reading.payload = Array(payload.bytes)
    }
    do throws(MQTTError) {
      inFlight[try publisher.publish(topic, payload: payload.bytes, qos: qos, retain: false)] = reading
    } catch {
      // It has its number already, and must not be a gap.
      if context.plan.hasIDs { again.append(reading) } else { account.refuse(identity) }
      throw error
    }
  }

  private func publish(_ topic: String, _ payload: [UInt8]) throws(MQTTError) -> Int {
    let result = payload.withUnsafeBytes { bytes -> Result<Int, MQTTError> in
      Result { () throws(MQTTError) in try publisher.publish(topic, payload: bytes, qos: qos, retain: false) }
    }
    return try result.get()
  }

  private func step(until due: Int64?) throws(MQTTError) {
    // Long enough to sleep, short enough to see that the time is over.
    let now = Clock.monotonicNanoseconds()
    let wait = min(max(0, (due ?? .max) - now), 200_000_000)
    acknowledged.removeAll(keepingCapacity: true)
    defer { book() }
    try publisher.step(timeout: .nanoseconds(wait), acknowledged: &acknowledged)
  }

  private func book() {
    guard !acknowledged.isEmpty else { return }
    let now = Clock.monotonicNanoseconds()
    for mid in acknowledged {
      guard let reading = inFlight.removeValue(forKey: mid) else { continue }
      account.accept(reading.identity, nanoseconds: now - reading.start)
    }
  }

  // MARK: The connection

  /// Connects, as often as it takes.
  /// - Returns: false when that cannot succeed any more.
  private func connect() -> Bool {
    while !isDone {
      do throws(MQTTError) {
        try publisher.connect(timeout: .seconds(5))
        backoff.reset()
        state.ok()
        return true
      } catch {
        if error.kind == .interrupted { continue }
        state.failing("\(error)")
        guard error.isRetriable else {
          context.tally.complain("\(error)")
          return false
        }
        dropOverdue()
        _ = context.wait(nanoseconds: backoff.next().nanoseconds)
      }
    }
    return false
  }

  /// The connection is gone, and with it all certainty about what was on its way.
  private func lost(_ error: MQTTError) {
    state.failing("\(error)")
    if !error.isRetriable { context.tally.complain("\(error)") }
    publisher.drop()
    let order = publisher.unacknowledged
    let readings = order.compactMap { inFlight.removeValue(forKey: $0) }
    inFlight.removeAll()
    if context.plan.hasIDs {
      again = readings + again
    } else {
      for reading in readings { account.lose(reading.identity) }
    }
    dropOverdue()
  }

  /// Gives up what was tried for long enough.
  private func dropOverdue() {
    let now = Clock.monotonicNanoseconds()
    while let reading = again.first, now >= context.repeatDeadline(reading.start) {
      account.lose(again.removeFirst().identity)
    }
  }
}
