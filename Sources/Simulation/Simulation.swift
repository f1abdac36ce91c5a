import HTTPClient
import MQTT
package import Operations
import Readings
import Synchronization

/// Plays a fleet: each connection has a thread, and a share of the devices that only it speaks for, so that a device's
/// readings stay in order.
package final class Simulation: Sendable {
  /// How many readings had which outcome.
  package struct Counts: Sendable, Equatable {
    /// Answered 202, or among the accepted of a 207; over MQTT acknowledged by the broker.
    package var accepted: Int
    /// Certainly not accepted.
    package var refused: Int
    /// Sent, and without an answer that says what became of them.
    package var unknown: Int
  }

  private enum Sender {
    case http(SimulationPlan.HTTP)
    case mqtt(SimulationPlan.MQTT, MQTTPublisher)
  }

  private let plan: SimulationPlan
  private let context: SenderContext
  private let senders: [Sender]
  private let running: Atomic<Int>
  private let finish = Atomic<Int64>(0)
  private let httpState: StateLog
  private let mqttState: StateLog

  /// - Throws: what is wrong with the plan, in words that name the flag.
  package init(_ plan: SimulationPlan, supervisor: Supervisor, log: Log) throws(SimulationError) {
    try Self.check(plan)
    self.plan = plan
    var file: OutcomeFile?
    if let path = plan.outcomeFile {
      do {
        file = try OutcomeFile(path)
      } catch {
        throw SimulationError("--accepted-file: '\(path)' cannot be written: \(error)")
      }
    }
    httpState = StateLog(plan.http?.address ?? "http", log: log)
    mqttState = StateLog(plan.mqtt.map { "\($0.address)" } ?? "mqtt", log: log)
    senders = try Self.senders(plan)
    running = Atomic(senders.count)
    context = SenderContext(plan, supervisor: supervisor, log: log, file: file)
  }

  private static func check(_ plan: SimulationPlan) throws(SimulationError) {
    let longest = Array("\(plan.prefix)\(plan.devices - 1)".utf8)
    guard plan.devices > 0 else { throw SimulationError("--devices: at least 1 is needed") }
    // One level of an MQTT topic, which HTTP could do without, but the same fleet plays both.
    guard longest.withUnsafeBytes({ ReadingRules.isIdentifier($0) }), !plan.prefix.utf8.contains(UInt8(ascii: "/"))
    else {
      throw SimulationError(
        "--prefix: '\(plan.prefix)' makes no names of devices: up to \(ReadingRules.identifierLimit) characters of "
          + "A-Z a-z 0-9 . _ : - with the number, and first a letter or digit")
    }
    guard plan.http != nil || plan.mqtt != nil else { throw SimulationError("--url or --mqtt: say where to send to") }
  }

  /// The connections, at most one for each device; the transports take turns, so that few devices use both.
  private static func senders(_ plan: SimulationPlan) throws(SimulationError) -> [Sender] {
    var senders: [Sender] = []
    for number in 0..<max(plan.http?.connections ?? 0, plan.mqtt?.connections ?? 0) {
      if let http = plan.http, number < http.connections { senders.append(.http(http)) }
      if let mqtt = plan.mqtt, number < mqtt.connections, senders.count < plan.devices {
        do {
          senders.append(
            .mqtt(mqtt, try MQTTPublisher(MQTTSender.configuration(mqtt, run: plan.run, number: number))))
        } catch {
          throw SimulationError("--mqtt-url: \(error)")
        }
      }
    }
    return Array(senders.prefix(plan.devices))
  }

  /// Starts the threads. When the last of them has ended, the supervisor is asked to stop.
  package func start() {
    let supervisor = context.supervisor
    supervisor.onStop("mqtt") { [senders] in
      for case .mqtt(_, let publisher) in senders { publisher.wake() }
    }
    for (number, sender) in senders.enumerated() {
      supervisor.start("sender-\(number)", mayEnd: true) { [self] in
        defer { ended() }
        try run(sender, number)
      }
    }
  }

  private func run(_ sender: Sender, _ number: Int) throws {
    let indices = stride(from: number, to: plan.devices, by: senders.count)
    let share = FleetShare(
      plan.fleet, seed: plan.seed, prefix: plan.prefix, indices: indices, run: plan.run, hasIDs: plan.hasIDs)
    let rate = plan.rate * Double(share.count) / Double(plan.devices)
    // Spread, so that the connections do not all send at the same moments: by less than a reading here, and over HTTP by
    // first batches of different sizes.
    let part = Double(number) / Double(senders.count)
    let lag = rate > 0 ? Int64(part / rate * 1e9) : 0
    let pacing = Pacing(rate: rate, start: context.start + lag, end: context.end)
    switch sender {
    case .http(let http):
      // A batch is no more than comes up within a second.
      let batch = rate > 0 ? max(1, min(http.batch, Int(rate))) : http.batch
      try HTTPSender(
        http, share: share, batch: batch, firstBatch: batch - Int(part * Double(batch)), pacing: pacing,
        state: httpState, context: context
      ).run()
    case .mqtt(let mqtt, let publisher):
      MQTTSender(mqtt, publisher: publisher, share: share, pacing: pacing, state: mqttState, context: context).run()
    }
  }

  private func ended() {
    guard running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    finish.store(Clock.monotonicNanoseconds(), ordering: .releasing)
    context.supervisor.requestStop()
  }

  // MARK: What came of it

  /// How it stands.
  package var counts: Counts { context.tally.counts }

  /// Since the start, or from it to the end.
  package var elapsed: Duration {
    let end = finish.load(ordering: .acquiring)
    return .nanoseconds((end == 0 ? Clock.monotonicNanoseconds() : end) - context.start)
  }

  /// What must not happen, not even under faults; nil when all went as it should.
  package var complaint: String? {
    if let failure = context.file?.failure { return "--accepted-file: \(failure)" }
    guard let (first, count) = context.tally.complaint else { return nil }
    return count > 1 ? "\(first) (and \(count - 1) more)" : first
  }

  /// One line for scripts, without its end: `accepted=N refused=N unknown=N seconds=S rate=R p50_ms=… p99_ms=…`. The rate
  /// is that of accepted readings; the latencies are theirs too, from the first sending on.
  package var summary: String {
    let counts = counts
    let seconds = elapsed / .seconds(1)
    let latencies = context.tally.latencies
    let rate = seconds > 0 ? Double(counts.accepted) / seconds : 0
    return "accepted=\(counts.accepted) refused=\(counts.refused) unknown=\(counts.unknown)"
      + " seconds=\(Self.text(seconds)) rate=\(Int(rate.rounded()))"
      + " p50_ms=\(Self.text(latencies.quantile(0.5))) p99_ms=\(Self.text(latencies.quantile(0.99)))"
  }

  /// With three digits behind the point.
  private static func text(_ number: Double) -> String {
    let thousandths = Int((number * 1_000).rounded())
    let fraction = String(thousandths % 1_000)
    return "\(thousandths / 1_000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
  }
}

/// A plan that cannot be carried out.
package struct SimulationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line that names the flag and says what to do.
  package let description: String

  init(_ description: String) { self.description = description }
}
