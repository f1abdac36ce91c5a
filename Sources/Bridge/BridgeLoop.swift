import MQTT
import Operations
import Publishing

/// The bridge's thread: connects, takes batches and acknowledges them, and begins anew when something fails.
final class BridgeLoop {
  /// How long the broker may take to answer.
  private static let answerTimeout: Duration = .seconds(10)
  /// How often an idle bridge looks whether Kafka is still there.
  private static let idleTimeout: Duration = .milliseconds(500)
  /// How long a new connection may bring nothing until it is said to work.
  private static let firstTimeout: Duration = .milliseconds(20)
  /// Messages after which those read so far are handed to Kafka, which works on them while more are read.
  private static let portion = 500
  /// Connections that end sooner are failures in a row: waits between them grow.
  private static let steadyTime: Duration = .seconds(10)
  /// After so many cuts in a row it is likely that another client has the same id.
  private static let suspectCuts = 3

  private let bridge: BridgeService
  private let subscriber: MQTTSubscriber
  private let forwarder: Forwarder
  private let supervisor: Supervisor
  private var limit: BatchLimit
  /// A portion of a batch.
  private var messages: [MQTTMessage] = []
  /// Whether a batch went through on this connection.
  private var hasAcknowledged = false
  /// Whether it was waited for messages on this connection.
  private var hasWaited = false
  /// Connections in a row that worked, and were soon cut.
  private var cuts = 0
  /// When the batch in hand is to be over, once a stop is asked for.
  private var stopEnds: Duration?

  init(_ bridge: BridgeService, _ forwarder: Forwarder, _ supervisor: Supervisor) {
    self.bridge = bridge
    subscriber = bridge.subscriber
    self.forwarder = forwarder
    self.supervisor = supervisor
    limit = BatchLimit(maximum: bridge.configuration.batchMessages)
  }

  /// Runs until a stop is asked for.
  func run() {
    var backoff = Backoff(base: .milliseconds(100), cap: .seconds(10))
    while !supervisor.isStopping {
      if let reason = bridge.readings.unavailability {
        // Not into the log: the line about Kafka is there.
        bridge.health.set(.failing("not connected, so that the broker keeps the messages: \(reason)"))
        _ = supervisor.waitForStop(timeout: .milliseconds(10))
        continue
      }
      let start = Clock.monotonic()
      hasAcknowledged = false
      hasWaited = false
      do throws(Setback) {
        try serve()
      } catch {
        subscriber.drop()
        // A stop interrupts what the broker is waited for with.
        if supervisor.isStopping { return }
        let isSteady = Clock.monotonic() - start >= Self.steadyTime
        cuts = hasWaited && error.isCut && !isSteady ? cuts + 1 : 0
        let id = bridge.configuration.mqtt.clientID
        let suspicion = cuts < Self.suspectCuts ? "" : "; another client may have the client id \(id)"
        bridge.state.failing("\(error)\(suspicion)")
        bridge.metrics.outages.with(error.cause).increment()
        // Kafka that takes some batches and others not gets the next, smaller one soon.
        let isProgress = hasAcknowledged && error.cause == Setback.kafka
        if isProgress || isSteady { backoff.reset() }
        _ = supervisor.waitForStop(timeout: backoff.next())
      }
    }
  }

  /// One connection, until Kafka goes away or a stop is asked for.
  private func serve() throws(Setback) {
    try asking { () throws(MQTTError) in
      let hasSession = try subscriber.connect(timeout: Self.answerTimeout)
      let subscriptions = bridge.subscriptions
      // Also where there is a session: one that a broker read back after a crash may lack its latest subscriptions.
      // QoS 2 has no advantage here: see MQTTSubscriber.
      try subscriber.subscribe(subscriptions.wanted.map { ($0, qos: 1) }, timeout: Self.answerTimeout)
      // Only now, for what is published while there is no subscription is lost.
      if hasSession { try subscriber.unsubscribe(subscriptions.former, timeout: Self.answerTimeout) }
    }
    while !supervisor.isStopping, bridge.readings.unavailability == nil {
      try takeBatch()
      // Only now: a broker that lets one in and Kafka that takes nothing would be said to work again and again.
      bridge.state.ok()
    }
    subscriber.disconnect()
  }

  /// Puts what the broker has on Kafka, at most a batch, and acknowledges it when Kafka has all of it.
  private func takeBatch() throws(Setback) {
    let metrics = bridge.metrics
    var start = Duration.zero
    var count = 0
    var bytes = 0
    do throws(Setback) {
      repeat {
        messages.removeAll(keepingCapacity: true)
        let timeout: Duration = count > 0 ? .zero : hasWaited ? Self.idleTimeout : Self.firstTimeout
        hasWaited = true
        try asking { () throws(MQTTError) in
          try subscriber.receive(limit: min(Self.portion, limit.current - count), timeout: timeout, into: &messages)
        }
        if messages.isEmpty { break }
        if count == 0 { start = Clock.monotonic() }
        count += messages.count
        bytes += messages.reduce(0) { $0 + $1.byteCount }
        metrics.received.increment(by: messages.count)
        try forwarder.begin(messages, patience: patience)
      } while count < limit.current && bytes < BridgeService.batchBytes
      if count == 0 { return }
      metrics.batchSizes.observe(Double(count))
      try forwarder.finish(patience: patience)
    } catch {
      forwarder.abandon()
      if error.cause == Setback.kafka { limit.failed(count: count) }
      throw error
    }
    try asking { () throws(MQTTError) in try subscriber.acknowledge() }
    hasAcknowledged = true
    limit.succeeded()
    metrics.acknowledged.increment(by: count)
    metrics.batchDuration.observe(Clock.monotonic() - start)
  }

  /// How long Kafka may still take when it was waited for that long: a bit longer than the producer needs to find out that
  /// it takes too long, and not so long that the broker takes this client for gone. With the shortest keep-alive, 5 s, half
  /// a second is left at worst. Once a stop is asked for, not beyond the time for that: the broker will send again what is
  /// not acknowledged.
  private func patience(waited: Duration) -> Duration {
    let configuration = bridge.configuration
    let patience = min(
      configuration.deliveryTimeout + .seconds(2) - waited, subscriber.keepAliveBudget - .seconds(1))
    guard supervisor.isStopping else { return patience }
    let now = Clock.monotonic()
    let end = stopEnds ?? now + configuration.stopTimeout
    stopEnds = end
    return min(patience, end - now)
  }

  private func asking(_ body: () throws(MQTTError) -> Void) throws(Setback) {
    do throws(MQTTError) { try body() } catch { throw .broker(error) }
  }
}
