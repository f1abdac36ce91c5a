import Synchronization

/// Tells the log and the health report about a dependency: one line when it fails, one when it works again, however
/// many failures there are between.
package final class StateLog: Sendable {
  private let name: String
  private let log: Log
  private let health: HealthComponent?
  private let now: @Sendable () -> Duration
  private let outage = Mutex(Outage())

  /// - Parameters:
  ///   - name: the dependency, such as `kafka`.
  ///   - health: what to set along with it.
  ///   - now: a monotonic clock.
  package init(
    _ name: String, log: Log, health: HealthComponent? = nil,
    now: @escaping @Sendable () -> Duration = Clock.monotonic
  ) {
    self.name = name
    self.log = log
    self.health = health
    self.now = now
  }

  /// It failed, for this reason. The health report has the latest reason, the log the first.
  package func failing(_ reason: String) {
    health?.set(.failing(reason))
    let change = outage.withLock { $0.failed(at: now()) }
    if change == .began { log.warning("\(name) is failing", ["reason": .string(reason)]) }
  }

  /// It works.
  package func ok() {
    health?.set(.ok)
    guard case .ended(let lasted, let failures)? = outage.withLock({ $0.succeeded(at: now()) }) else { return }
    log.info("\(name) works again", ["after_ms": .int(Int(lasted / .milliseconds(1))), "failures": .int(failures)])
  }
}
