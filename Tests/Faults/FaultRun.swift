import Foundation
import TestServers

/// One run: servers and roles, load, faults, calm, count, report.
struct FaultRun {
  enum Layout: String, CaseIterable, Sendable {
    case timeseries, documents
  }

  struct Plan: Sendable {
    let seed: UInt64
    let sluice: String
    var layout = Layout.timeseries
    /// Readings to be accepted before the faults end.
    var readings = 1_000_000
    /// Readings per second.
    var rate = 1_800.0
    /// How long the faults go on at most.
    var duration: Duration = .seconds(900)
    /// Whether only the faults of the form for a minute are done, whatever was accepted by then.
    var isShort = false
    /// The only kind of process that faults are done to; nil: all.
    var only: Target.Kind?
    /// How long it may take afterwards until everything is stored once, from the last time that more of it was.
    var patience: Duration = .seconds(400)
    var breakage: String?
  }

  private let plan: Plan

  init(_ plan: Plan) { self.plan = plan }

  /// Carries it out and prints what comes of it.
  func run() throws -> Readings.Verdict {
    say("seed=\(plan.seed) layout=\(plan.layout.rawValue)" + (plan.breakage.map { " break=\($0)" } ?? ""))
    let deployment = try Deployment(sluice: plan.sluice, layout: plan.layout.rawValue, breakage: plan.breakage)
    do {
      return try run(deployment)
    } catch {
      try keepLogs(deployment)
      throw error
    }
  }

  private func run(_ deployment: Deployment) throws -> Readings.Verdict {
    let load = try Load(deployment, rate: plan.rate, seed: plan.seed)
    var timeline = Timeline()
    let faultCount = try disturb(deployment, load, &timeline)
    let readings = try load.finish(&timeline)
    say("\(Self.text(ContinuousClock.now - load.start)) s  the senders have ended")
    let (verdict, calm) = try settle(deployment, readings)
    deployment.noteMemory()
    try report(deployment, verdict, timeline, faultCount: faultCount, settledAfter: calm)
    return verdict
  }

  /// Does one fault after another.
  /// - Returns: how many.
  private func disturb(_ deployment: Deployment, _ load: Load, _ timeline: inout Timeline) throws -> Int {
    let faults = plan.isShort ? AnySequence(Schedule.short(seed: plan.seed)) : AnySequence(Schedule(seed: plan.seed))
    var count = 0
    let end = load.start + plan.duration
    try eventually("readings are accepted") { load.accepted > 0 }
    for fault in faults where plan.only == nil || fault.actions.allSatisfy({ $0.target.kind == plan.only }) {
      if !plan.isShort && (ContinuousClock.now >= end || load.accepted >= plan.readings) { break }
      let start = (ContinuousClock.now - load.start) / .seconds(1)
      say("\(Self.text(ContinuousClock.now - load.start)) s  \(fault) for \(fault.duration) ms")
      var publishersAreFrozen = false
      for action in fault.actions {
        try deployment.begin(action) {
          publishersAreFrozen = true
          try load.freezePublishers()
        }
      }
      usleep(UInt32(fault.duration) * 1_000)
      for action in fault.actions { try deployment.heal(action) }
      if publishersAreFrozen {
        // Mosquitto forgets shared subscriptions when it ends: what is published before the bridges have subscribed again
        // is acknowledged and thrown away.
        try deployment.waitUntilReady(.bridge)
        load.resumePublishers()
      }
      timeline.add("\(fault)", from: start, to: (ContinuousClock.now - load.start) / .seconds(1))
      usleep(UInt32(fault.pause) * 1_000)
      count += 1
    }
    // What ends with nothing accepted has shown nothing.
    try deployment.waitUntilReady()
    let before = load.accepted
    try eventually(timeout: .seconds(60), "readings are accepted again") { load.accepted > before }
    return count
  }

  /// Waits until everything accepted is stored once, and nothing changes any more.
  private func settle(_ deployment: Deployment, _ readings: Readings) throws -> (Readings.Verdict, Duration) {
    let start = ContinuousClock.now
    var deadline = start + plan.patience
    let accepted = readings.acceptedCount
    var previous = -1
    var calmSince = start
    while true {
      let asked = ContinuousClock.now
      let count = try deployment.count()
      // The server goes through all readings for it, and has less time for the sinks meanwhile.
      let duration = ContinuousClock.now - asked
      let isStill = count == previous
      if !isStill {
        calmSince = .now
        deadline = .now + plan.patience
      }
      previous = count
      // What is in doubt may still be on its way, so that being complete is not enough.
      if count >= accepted && isStill && ContinuousClock.now - calmSince >= .seconds(4)
        || ContinuousClock.now >= deadline
      {
        let verdict = readings.verdict(try deployment.stored())
        if verdict.isClean || ContinuousClock.now >= deadline { return (verdict, calmSince - start) }
      }
      Thread.sleep(forTimeInterval: max(1, 5 * (duration / .seconds(1))))
    }
  }

  private func report(
    _ deployment: Deployment, _ verdict: Readings.Verdict, _ timeline: Timeline, faultCount: Int, settledAfter: Duration
  ) throws {
    let summary = timeline.summary
    let memory = deployment.peakMemory.sorted { $0.key.rawValue < $1.key.rawValue }
      .map { "\($0.key.rawValue) \($0.value / 1_024) MiB" }.joined(separator: ", ")
    say(
      """

      faults: \(faultCount)
      accepted per second: \(Int(summary.calm)) in calm, \(Int(summary.troubled)) in trouble
      longest gap: \(summary.longestGap) s without an accepted reading, from second \(summary.gapStart)
      all stored and tidy \(Self.text(settledAfter)) s after the senders ended
      most memory: \(memory)
      \(verdict) seed=\(plan.seed) layout=\(plan.layout.rawValue)
      """)
    if verdict.isClean { return }
    for finding in verdict.missing { say("missing: \(finding)") }
    for finding in verdict.repeated {
      say("repeated: \(finding)")
      for line in try deployment.evidence(finding) { say("  \(line)") }
    }
    for line in try deployment.ledger() { say("ledger: \(line)") }
    if plan.breakage == nil { try keepLogs(deployment) }
  }

  /// What the processes wrote, for those who look for the reason.
  private func keepLogs(_ deployment: Deployment) throws {
    let kept = "\(NSTemporaryDirectory())/sluice-faults-\(plan.seed)"
    try? FileManager.default.removeItem(atPath: kept)
    try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
    for file in try FileManager.default.contentsOfDirectory(atPath: deployment.folder) {
      try FileManager.default.copyItem(atPath: "\(deployment.folder)/\(file)", toPath: "\(kept)/\(file)")
    }
    say("the logs are kept in \(kept)")
  }

  /// Seconds with one digit behind the point.
  private static func text(_ duration: Duration) -> String {
    String(format: "%.1f", duration / .seconds(1))
  }
}
