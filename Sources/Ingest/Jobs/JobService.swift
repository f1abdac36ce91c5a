import Crypto
import Keys
package import Operations

/// The jobs of this process: those that are running, and the records of those that were.
package final class JobService: Sendable {
  private struct State {
    /// By their ids.
    var jobs: [String: Job] = [:]
    /// Records that are to be removed from the disk.
    var forgotten: [String] = []
    /// Jobs between their beginning and their end.
    var active: [String: Job] = [:]
    var isStopping = false
  }

  let settings: JobSettings
  let log: Log
  private let state = Monitor(State())
  private let queue: BoundedQueue<JobTask>
  /// Places for jobs, which clients share as they do memory.
  private let places: SharedBudget
  private let disk: JobDirectory?
  private let ended: MetricFamily<Counter>

  /// Reads the records that are there; a job that was running has failed.
  ///
  /// - Throws: what is wrong with the folder of the records.
  package init(_ settings: JobSettings, log: Log, metrics: Metrics) throws(JobDirectory.Failure) {
    self.settings = settings
    self.log = log
    queue = BoundedQueue(capacity: settings.concurrent)
    places = SharedBudget(limit: settings.concurrent)
    ended = metrics.counters("sluice_jobs_total", "Jobs that ended, by how.", labels: ["state"])
    disk = try settings.directory.map { path throws(JobDirectory.Failure) in try JobDirectory(path, log: log) }
    metrics.gauge("sluice_jobs_running", "Jobs that are running.") { [places] in Double(places.inUse) }
    let records = disk?.load(now: Clock.nowMilliseconds()) ?? []
    state.withLock { state in
      for record in records { state.jobs[record.id] = Job(record) }
      Self.forget(&state, kept: settings.kept)
    }
    removeForgotten()
  }

  /// Carries jobs out, one after the other, until `stop`. To be called on as many threads as `threadCount` says.
  package func work() {
    while let task = queue.take() {
      save(task.job)
      JobRun(task, self).run()
    }
  }

  package var threadCount: Int { settings.concurrent }

  /// Ends all jobs: at once those that are still coming in, and after `timeout` those that are complete. What is then still
  /// under way is accounted for when the producer is closed.
  package func stop(timeout: Duration) {
    let jobs = state.withLock { state in
      state.isStopping = true
      return Array(state.active.values)
    }
    for job in jobs { job.inbox.stop(.soon) }
    queue.close()
    let isIdle: Bool? = state.wait(timeout: timeout) { $0.active.isEmpty ? true : nil }
    if isIdle == nil { for job in jobs { job.inbox.stop(.now) } }
  }

  // MARK: Beginning and end

  /// Why there is no room for a job.
  enum Refusal: Error { case stopping, full, share }

  /// Takes a place for a job; `start` has to follow.
  func reserve(for grant: Grant) throws(Refusal) {
    if state.withLock({ $0.isStopping }) { throw .stopping }
    guard places.take(1, for: grant.account.jobs) else { throw places.inUse == settings.concurrent ? .full : .share }
  }

  /// Makes a job's record.
  func make(owner: String?, format: JobRecord.Format, url: FetchURL?, now: Int64) -> Job {
    Job(
      JobRecord(
        id: Base64.url(RandomBytes.make(12)), owner: owner, created: now, format: format, url: url?.withoutQuery))
  }

  /// Hands a job, whose place is taken, to a thread.
  func start(_ task: JobTask) {
    let isStopping = state.withLock { state in
      state.jobs[task.job.id] = task.job
      state.active[task.job.id] = task.job
      Self.forget(&state, kept: settings.kept)
      return state.isStopping
    }
    guard !isStopping, queue.put(task, timeout: .zero) else {
      task.job.inbox.stop(.now)
      JobRun(task, self).end(.stopped)
      return
    }
  }

  /// A job is over; what it says of itself is final.
  func finished(_ task: JobTask) {
    save(task.job)
    ended.with(task.job.record.state.rawValue).increment()
    places.give(1, of: task.grant.account.jobs)
    state.withLock { _ = $0.active.removeValue(forKey: task.job.id) }
    state.broadcast()
  }

  // MARK: Records

  /// The job of that id, if this owner may see it.
  ///
  /// - Parameter seesAll: whether everybody may see everything, for there are no keys.
  func find(_ id: String, owner: String?, seesAll: Bool) -> Job? {
    state.withLock { $0.jobs[id] }.flatMap { seesAll || $0.owner == owner ? $0 : nil }
  }

  /// The jobs that this owner may see, the latest first.
  func list(owner: String?, seesAll: Bool, limit: Int) -> [JobRecord] {
    let jobs = state.withLock { $0.jobs.values.filter { seesAll || $0.owner == owner } }
    return jobs.sorted { ($0.created, $0.id) > ($1.created, $1.id) }.prefix(limit).map(\.record)
  }

  /// Writes down what a job says of itself; by its thread.
  func save(_ job: Job) {
    guard let disk else { return }
    removeForgotten()
    disk.write(job.record)
  }

  private func removeForgotten() {
    let forgotten = state.withLock { state in
      defer { state.forgotten = [] }
      return state.forgotten
    }
    for id in forgotten { disk?.remove(id) }
  }

  /// Forgets the oldest that have ended, of whoever has most, so that nobody can push out what others want to know.
  private static func forget(_ state: inout State, kept: Int) {
    while state.jobs.count > kept {
      var owned: [String?: Int] = [:]
      for job in state.jobs.values { owned[job.owner, default: 0] += 1 }
      let candidates = state.jobs.values.filter { state.active[$0.id] == nil }
      let oldest = candidates.min { (-owned[$0.owner]!, $0.created, $0.id) < (-owned[$1.owner]!, $1.created, $1.id) }
      guard let oldest else { return }
      state.jobs[oldest.id] = nil
      state.forgotten.append(oldest.id)
    }
  }
}
