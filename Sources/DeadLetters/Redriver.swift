package import Dialects
package import Kafka
package import Operations
import Publishing
package import Readings
import Synchronization
import Timestamps

/// Puts letters back, each once.
///
/// Each transaction has some messages and the markers that name their letters, so both are there or neither. Taking over
/// the transactional id ends whoever did this before, alive or not; only then the markers are read. So a second run, at
/// the same time or after a crash, knows of all that the first did, and the first can do nothing more.
package final class Redriver: Sendable {
  package struct Configuration: Sendable {
    package var kafka: KafkaConfiguration
    package var deadLetterTopic: String
    /// The topic of the readings.
    package var topic: String
    package var filter = LetterFilter()
    /// Letters to put back, at most; nil for all.
    package var limit: Int?
    package var pace = RedrivePace(rate: 1_000)
    package var maximumRedrives = 3
    package var bounds: TimeBounds
    /// What MQTT messages may be written in.
    package var dialects = MQTTDialects()
    package var isDryRun = false

    package init(kafka: KafkaConfiguration, deadLetterTopic: String, topic: String, bounds: TimeBounds) {
      self.kafka = kafka
      self.deadLetterTopic = deadLetterTopic
      self.topic = topic
      self.bounds = bounds
    }
  }

  private let configuration: Configuration
  private let supervisor: Supervisor
  private let warn: @Sendable (String) -> Void
  private let told: @Sendable (Letter.Place, RedriveDecision) -> Void
  private let state = Mutex(RedriveTally())
  private let begun = Mutex<Duration?>(nil)

  /// - Parameters:
  ///   - warn: hears what people should know before letters are put back.
  ///   - told: hears of each letter in a dry run.
  package init(
    _ configuration: Configuration, supervisor: Supervisor, warn: @escaping @Sendable (String) -> Void = { _ in },
    told: @escaping @Sendable (Letter.Place, RedriveDecision) -> Void = { _, _ in }
  ) {
    self.configuration = configuration
    self.supervisor = supervisor
    self.warn = warn
    self.told = told
    if let limit = configuration.limit { state.withLock { $0.limit = limit } }
  }

  /// What became of the letters so far.
  package var tally: RedriveTally { state.withLock { $0 } }

  /// How it goes on, in a line.
  package var progress: String {
    guard let begun = begun.withLock({ $0 }) else { return "reading \(configuration.deadLetterTopic)" }
    return tally.progress(elapsed: (Clock.monotonic() - begun) / .seconds(1))
  }

  /// Does it all, on the calling thread, until it is done or the supervisor is to stop.
  /// - Returns: whether all letters were seen to.
  package func run() throws(DeadLettersError) -> Bool {
    let topic = try DeadLetterTopic(
      configuration.kafka, name: configuration.deadLetterTopic, topic: configuration.topic)
    defer { topic.close() }
    if configuration.isDryRun { return try work(topic, nil) }
    if topic.isOnMockCluster {
      warn(
        "this is the embedded Kafka of sluice dev, which takes transactions and cannot undo them: when this is killed, or "
          + "runs twice at once, letters may be put back twice, or not at all")
    }
    let writer = try RedriveWriter(
      configuration.kafka, deadLetterTopic: configuration.deadLetterTopic, topic: configuration.topic,
      supervisor: supervisor)
    defer { writer.close() }
    try writer.takeOver()
    return try work(topic, writer)
  }

  private func work(_ topic: DeadLetterTopic, _ writer: RedriveWriter?) throws(DeadLettersError) -> Bool {
    let filter = configuration.filter
    let isStopping = { self.supervisor.isStopping }
    let isRead = try topic.look(filter: filter, isStopping: isStopping) { self.state.withLock { $0.selected += 1 } }
    guard isRead else { return false }
    let start = Clock.monotonic()
    begun.withLock { $0 = start }
    let rules = RedriveRules(
      topic: configuration.topic, maximumRedrives: configuration.maximumRedrives, bounds: configuration.bounds,
      dialects: configuration.dialects)
    rules.putBack = topic.putBack
    var batch = RedriveBatch()
    var taken = 0
    let limit = configuration.limit ?? .max
    let isDone = try topic.letters(filter, isStopping: isStopping) { (letter) throws(DeadLettersError) in
      guard taken < limit else { return false }
      let now = Clock.nowMilliseconds()
      let decision = rules.decide(letter, now: now)
      if configuration.isDryRun { told(letter.place, decision) }
      switch decision {
      case .skipped(let reason, let detail): state.withLock { $0.skip(reason, letter.place, detail) }
      case .refused(let reason, let detail): state.withLock { $0.refuse(reason, letter.place, detail) }
      case .putBack(let messages):
        taken += 1
        let origin = letter.origin.flatMap { $0.topic == configuration.topic ? $0 : nil }
        if let origin, !rules.putBack.note(origin, time: now) {
          throw DeadLettersError("more letters than can be kept in mind; give --limit or --since, and repeat")
        }
        batch.add(RedriveBatch.Entry(place: letter.place, origin: origin, messages: messages))
        if batch.isFull(letters: configuration.pace.batch) { return try put(&batch, writer, start) }
      }
      return true
    }
    // What was gathered when a stop was asked for is left for the next run.
    if !supervisor.isStopping, !batch.isEmpty { _ = try put(&batch, writer, start) }
    return (isDone || taken >= limit) && !supervisor.isStopping
  }

  /// Puts a batch back, when it is time.
  /// - Returns: whether to go on.
  private func put(
    _ batch: inout RedriveBatch, _ writer: RedriveWriter?, _ start: Duration
  ) throws(DeadLettersError) -> Bool {
    defer { batch = RedriveBatch() }
    guard let writer else {
      state.withLock { $0.redriven += batch.entries.count }
      return true
    }
    let due = start + configuration.pace.due(tally.redriven)
    let wait = due - Clock.monotonic()
    if wait > .zero, supervisor.waitForStop(timeout: wait) { return false }
    try put(batch.entries[...], writer)
    return true
  }

  /// Puts entries back in one transaction, or in several where Kafka says that something is too large.
  private func put(_ entries: ArraySlice<RedriveBatch.Entry>, _ writer: RedriveWriter) throws(DeadLettersError) {
    switch try writer.write(entries) {
    case .written:
      state.withLock { $0.redriven += entries.count }
    case .tooLarge(let error) where entries.count == 1:
      state.withLock { $0.refuse(.tooLarge, entries[entries.startIndex].place, "\(error)") }
    case .tooLarge:
      let middle = entries.startIndex + entries.count / 2
      try put(entries[..<middle], writer)
      try put(entries[middle...], writer)
    }
  }
}
