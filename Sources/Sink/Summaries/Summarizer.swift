package import MongoDB
package import Operations

/// The thread that keeps the collection `summaries`: at intervals it looks which hours of which devices changed, as the sinks
/// noted in `devices`, and summarises these anew from the stored readings.
///
/// Of all sinks one does it at a time. What it writes replaces what was there, so a turn that is cut short is done again, and
/// a reading that comes late changes its hour and its day, whenever that was.
package struct Summarizer: Sendable {
  private let store: SummaryStore
  private let interval: Duration
  private let supervisor: Supervisor
  private let state: StateLog

  /// - Parameters:
  ///   - pool: connections of its own, whose answers may take long; closed when it ends.
  ///   - interval: from the end of a turn to the next.
  ///   - marksAtOnce: how many marks are held.
  package init(
    _ schema: DatabaseSchema, pool: MongoPool, interval: Duration, supervisor: Supervisor, log: Log,
    marksAtOnce: Int = 500_000
  ) {
    store = SummaryStore(pool: pool, schema: schema, marksAtOnce: marksAtOnce)
    self.interval = interval
    self.supervisor = supervisor
    state = StateLog("summaries", log: log)
  }

  /// Starts its thread.
  package func start() {
    supervisor.start("sink-summaries", mayEnd: true) {
      repeat {
        do throws(MongoError) {
          var last = ""
          while try turn(after: &last) {}
          state.ok()
        } catch {
          // The marks are still there, and the next turn finds them.
          state.failing("\(error)")
        }
      } while !supervisor.waitForStop(timeout: interval)
      store.pool.close()
    }
  }

  /// Summarises what is due, and then some devices that were never summarised, if it is this process's turn.
  /// - Parameter done: the name of the last of these that was read; those after it are next. So none is read over and over
  ///   while a sink that does not note what changes stores more of it.
  /// - Returns: whether there may be more that was never summarised.
  func turn(after done: inout String) throws(MongoError) -> Bool {
    guard try goOn() else { return false }
    var last: String? = ""
    while let name = last {
      let due = try store.due(after: name)
      guard try summarize(due) else { return false }
      last = due.reduce(0) { $0 + $1.size } < store.marksAtOnce ? nil : due.last?.name
    }
    let new = try store.neverSummarised(after: done)
    // One after the other, so that what is done of a long past need not be done again.
    for device in new {
      guard try summarize([device]) else { return false }
      done = device.name
    }
    return !new.isEmpty
  }

  /// - Returns: false when the turn is over.
  private func summarize(_ devices: [SummaryPlan.Device]) throws(MongoError) -> Bool {
    let oldest = (Clock.nowMilliseconds() - store.retention) / SummaryPlan.hour + 1
    let parts = SummaryPlan.parts(devices, oldest: oldest)
    for part in parts {
      guard try goOn() else { return false }
      try store.summarize(part, while: goOn)
    }
    for day in Set(parts.map(\.day)) {
      guard try goOn() else { return false }
      try store.putTogether(day, while: goOn)
    }
    try store.done(devices, while: goOn)
    return try goOn()
  }

  /// Whether the process runs on and the turn is still its own, which this prolongs.
  private func goOn() throws(MongoError) -> Bool {
    guard !supervisor.isStopping else { return false }
    return try store.takeTurn(now: Clock.nowMilliseconds())
  }
}
