import Synchronization

/// What became of all readings, added up over the connections while they go on.
final class Tally: Sendable {
  private let accepted = Atomic(0)
  private let refused = Atomic(0)
  private let unknown = Atomic(0)
  private struct Rest {
    var latencies = LatencyHistogram()
    var complaint: String?
    var complaints = 0
  }
  private let rest = Mutex(Rest())

  func add(accepted count: Int) { accepted.wrappingAdd(count, ordering: .relaxed) }
  func add(refused count: Int) { refused.wrappingAdd(count, ordering: .relaxed) }
  func add(unknown count: Int) { unknown.wrappingAdd(count, ordering: .relaxed) }
  func add(_ latencies: LatencyHistogram) { rest.withLock { $0.latencies.add(latencies) } }

  /// Something that must not happen, not even under faults; the first is kept.
  func complain(_ text: String) {
    rest.withLock {
      if $0.complaint == nil { $0.complaint = text }
      $0.complaints += 1
    }
  }

  var counts: Simulation.Counts {
    Simulation.Counts(
      accepted: accepted.load(ordering: .relaxed), refused: refused.load(ordering: .relaxed),
      unknown: unknown.load(ordering: .relaxed))
  }

  var latencies: LatencyHistogram { rest.withLock { $0.latencies } }

  var complaint: (first: String, count: Int)? {
    rest.withLock { rest in rest.complaint.map { ($0, rest.complaints) } }
  }
}
