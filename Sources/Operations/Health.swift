import Synchronization
import Timestamps

/// Whether a part of the process can do its work.
package enum HealthState: Sendable, Equatable {
  /// Not known yet.
  case starting
  case ok
  /// It cannot, for this reason.
  case failing(String)

  fileprivate var name: String {
    switch self {
    case .starting: "starting"
    case .ok: "ok"
    case .failing: "failing"
    }
  }
}

/// What `/readyz` answers: the state of each part, and whether all of them can work.
package final class Health: Sendable {
  private let parts = Mutex<[(name: String, component: HealthComponent)]>([])
  private let now: @Sendable () -> Int64

  /// - Parameter now: UTC in milliseconds since 1970.
  package init(now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds) { self.now = now }

  /// The part of this name; new ones are `starting`.
  package func component(_ name: String) -> HealthComponent {
    parts.withLock { parts in
      if let known = parts.first(where: { $0.name == name }) { return known.component }
      let component = HealthComponent(now: now)
      parts.append((name, component))
      return component
    }
  }

  /// Whether every part is ok. Before there are any nobody has said so, and it is not.
  package var isReady: Bool {
    let parts = parts.withLock { $0 }
    return !parts.isEmpty && parts.allSatisfy { $0.component.state == .ok }
  }

  /// All of it as a JSON object, the parts in the order in which they came:
  /// `{"ready":false,"components":{"kafka":{"state":"failing","reason":"…","since":"2026-11-21T02:15:18.070Z"}}}`.
  package func report() -> [UInt8] {
    let parts = parts.withLock { $0 }.map { (name: $0.name, status: $0.component.status) }
    let ready = !parts.isEmpty && parts.allSatisfy { $0.status.state == .ok }
    var bytes = Array("{\"ready\":\(ready),\"components\":{".utf8)
    for (index, part) in parts.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      QuotedText.append(part.name, to: &bytes)
      bytes.append(contentsOf: ":{\"state\":\"\(part.status.state.name)\"".utf8)
      if case .failing(let reason) = part.status.state {
        bytes.append(contentsOf: ",\"reason\":".utf8)
        QuotedText.append(reason, to: &bytes)
      }
      bytes.append(contentsOf: ",\"since\":\"".utf8)
      bytes.append(contentsOf: Timestamp.text(part.status.since).utf8)
      bytes.append(contentsOf: "\"}".utf8)
    }
    bytes.append(contentsOf: "}}".utf8)
    return bytes
  }
}

/// The state of one part of the process.
package final class HealthComponent: Sendable {
  fileprivate struct Status {
    var state: HealthState
    /// UTC in milliseconds.
    var since: Int64
  }

  private let current: Mutex<Status>
  private let now: @Sendable () -> Int64

  fileprivate init(now: @escaping @Sendable () -> Int64) {
    self.now = now
    current = Mutex(Status(state: .starting, since: now()))
  }

  fileprivate var status: Status { current.withLock { $0 } }

  /// What was set last.
  package var state: HealthState { status.state }

  /// Sets the state. A new reason for the same state does not change since when it is so.
  package func set(_ state: HealthState) {
    current.withLock { status in
      if status.state.name != state.name { status.since = now() }
      status.state = state
    }
  }
}
