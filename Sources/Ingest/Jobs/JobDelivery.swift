import Kafka
import Keys
import Operations
import Publishing
import Readings

/// A job's readings between its thread and Kafka: a window of chunks, of which what is not acknowledged is sent again
/// wherever that cannot store it twice.
final class JobDelivery {
  /// Readings, bytes of texts and chunks that wait for their acknowledgements, at most, or else a single chunk.
  private static let window = (readings: 10_000, bytes: 4 << 20, chunks: 64)

  private let job: Job
  private let route: ReadingsRoute
  private let grant: Grant
  private let traceparent: [UInt8]?
  private let patience: Duration
  private var flights: [JobFlight] = []
  /// Those to be sent again.
  private var refused: [JobFlight] = []
  /// Which readings of a flight may be stored though they were not acknowledged.
  private var doubts: [ObjectIdentifier: [Bool]] = [:]
  private var spare: [ReadingBatch] = []
  private var waiting = (readings: 0, bytes: 0)
  private var buffer = ByteBuffer(capacity: 4096)
  private var lastProgress = Clock.monotonic()
  /// Why the last flight was not acknowledged.
  private var lastError: KafkaError?

  init(_ task: JobTask, patience: Duration) {
    job = task.job
    route = task.route
    grant = task.grant
    traceparent = task.traceparent
    self.patience = patience
  }

  /// A batch to fill for `send`.
  func emptyBatch() -> ReadingBatch { spare.popLast() ?? ReadingBatch(textCapacity: 32 << 10) }

  /// Hands a chunk's readings over as soon as there is room for them.
  func send(_ batch: ReadingBatch, from chunk: JobChunk, observing: () -> Void) throws(JobEnd) {
    let flight = JobFlight(batch, place: chunk) { [inbox = job.inbox] in inbox.land($0) }
    if flights.allSatisfy(\.isDone) { lastProgress = Clock.monotonic() }
    try wait(observing) {
      flights.isEmpty
        || (waiting.readings + flight.count <= Self.window.readings
          && waiting.bytes + flight.textCount <= Self.window.bytes && flights.count < Self.window.chunks)
    }
    if !flight.isDone { try wait(observing) { route.publisher.unavailability == nil && publish(flight) } }
    flights.append(flight)
    waiting.readings += flight.count
    waiting.bytes += flight.textCount
    retire()
  }

  /// Waits until everything is acknowledged, or given up.
  func finish(observing: () -> Void) throws(JobEnd) {
    if flights.allSatisfy(\.isDone) { lastProgress = Clock.monotonic() }
    try wait(observing) { flights.isEmpty }
  }

  /// Waits for the reports of all that was handed over, of which there is one for each reading within Kafka's delivery
  /// timeout; the rest is given up.
  func drain() {
    while flights.contains(where: { flight in !flight.isDone && !refused.contains { $0 === flight } }) {
      for flight in job.inbox.waitForLanding(timeout: .seconds(1)) { _ = settle(flight) }
    }
    for flight in refused {
      let flags = doubts.removeValue(forKey: ObjectIdentifier(flight)) ?? []
      doubt(flight, flags.indices.filter { flags[$0] })
    }
    refused = []
    flights = []
  }

  /// Takes the reports that are there, and sees whether the job is to end.
  func look(timeout: Duration = .zero) throws(JobEnd) {
    var noBytes: [UInt8]?
    switch job.inbox.wait(timeout: timeout, bytes: &noBytes) {
    case .landed(let flights): try land(flights)
    case .ended(let end): throw end
    case .bytes, .complete, .nothing: break
    }
    try retry()
  }

  /// Takes reports.
  func land(_ flights: [JobFlight]) throws(JobEnd) {
    var end: JobEnd?
    for flight in flights { end = settle(flight) ?? end }
    if let end { throw end }
  }

  /// Sends again what Kafka has not taken, once it takes anything.
  func retry() throws(JobEnd) {
    if refused.isEmpty {
      if flights.isEmpty { lastProgress = Clock.monotonic() }
      return
    }
    if Clock.monotonic() - lastProgress > patience { throw impatience }
    guard route.publisher.unavailability == nil else { return }
    for flight in refused where publish(flight) { refused.removeAll { $0 === flight } }
  }

  private func wait(_ observing: () -> Void, until condition: () -> Bool) throws(JobEnd) {
    while true {
      try look()
      if condition() { return }
      if Clock.monotonic() - lastProgress > patience { throw impatience }
      // Also to see whether Kafka is back, or others have left room.
      try look(timeout: .milliseconds(100))
      observing()
    }
  }

  private var impatience: JobEnd {
    let reason = route.publisher.unavailability ?? lastError.map { "\($0)" } ?? "there is no room in the queue to it"
    return .kafka("Kafka has acknowledged nothing for \(patience): \(reason)")
  }

  /// - Returns: whether there was room for it.
  private func publish(_ flight: JobFlight) -> Bool {
    let count = held(flight)
    guard route.publisher.hasRoom(for: flight.batch.count), route.waiting.take(count, for: grant.account.readings)
    else {
      return false
    }
    flight.begin()
    route.publisher.publish(
      flight.batch, headers: ReadingProducer.headers(source: "job", received: route.now(), traceparent: traceparent),
      receiver: flight, buffer: &buffer)
    return true
  }

  /// What a flight takes of the room that all share: a chunk that has more than there ever is, all of it.
  private func held(_ flight: JobFlight) -> Int { min(flight.batch.count, route.limits.waiting) }

  /// Looks at what became of a flight.
  private func settle(_ flight: JobFlight) -> JobEnd? {
    let count = flight.batch.count
    route.waiting.give(held(flight), of: grant.account.readings)
    let failures = flight.settle()
    let acknowledged = count - failures.count
    route.publisher.count(acknowledged: acknowledged, failed: failures.count)
    if acknowledged > 0 {
      lastProgress = Clock.monotonic()
      job.update { $0.accept(acknowledged) }
    }
    let known = doubts.removeValue(forKey: ObjectIdentifier(flight))
    let flags = failures.map { $0.mayBeStored || known?[$0.index] == true }
    // What may be stored and has no id would be stored twice.
    let lost = flags.indices.filter { flags[$0] && flight.batch.readings[$0].id.isEmpty }
    doubt(flight, lost)
    flight.batch.remove(at: lost)
    if flight.batch.isEmpty {
      flight.isDone = true
      retire()
      return nil
    }
    doubts[ObjectIdentifier(flight)] = flags.indices.filter { !lost.contains($0) }.map { flags[$0] }
    refused.append(flight)
    lastError = failures.first?.error
    // Kafka measures whole requests: this says nothing about the readings.
    guard let error = failures.first(where: { $0.error.code == .messageTooLarge }) else { return nil }
    return .kafka("Kafka takes no requests as large as these: \(error.error)")
  }

  private func doubt(_ flight: JobFlight, _ indices: [Int]) {
    guard !indices.isEmpty else { return }
    let lines = flight.place.lines(of: indices.map { flight.batch.readings[$0].item })
    job.update {
      $0.doubt(lines.map { .init(line: $0, reason: "Kafka did not acknowledge in time; it may be stored") })
    }
  }

  /// Goes behind the chunks that are done, as far as there is no other in front of them.
  private func retire() {
    let done = flights.prefix(while: \.isDone)
    guard let last = done.last else { return }
    job.update { $0.account(lines: last.place.lines.upperBound) }
    for flight in done {
      waiting.readings -= flight.count
      waiting.bytes -= flight.textCount
      flight.batch.removeAll()
      if spare.count < 8 { spare.append(flight.batch) }
    }
    flights.removeFirst(done.count)
  }
}
