import Kafka
import MQTT
import Operations
import Publishing
import Readings

/// Puts batches of messages on Kafka, and says whether it has all of them. For one thread.
///
/// A batch is begun in portions, on which Kafka works while the next is read.
final class Forwarder {
  /// How long Kafka may still take when it was waited for that long.
  typealias Patience = (_ waited: Duration) -> Duration

  /// What was produced together.
  private struct Slice {
    let receipt: DeliveryReceipt
    let readingCount: Int
    let letters: [Refused]
    /// The message, when it was handed over alone.
    let only: MQTTMessage?
  }

  /// Readings after which a slice is produced: one message may hold a thousand.
  private static let sliceReadings = 5_000
  /// Readings that wait for Kafka, beyond which it is waited for: the producer's queue has an end.
  private static let waitingReadings = 10_000
  /// How long Kafka is waited for until it is asked again how long it may take: a stop makes it less.
  private static let glance: Duration = .milliseconds(100)

  private let readings: ReadingProducer
  private let deadLetters: DeadLetterProducer
  private let translation: Translation
  private let metrics: BridgeMetrics
  private let log: Log
  private var buffer = ByteBuffer(capacity: 4096)
  private var hasToldOfTruncation = false
  private var slices: [Slice] = []
  /// Letters to send when nothing else of the batch is under way, with which they could share a request.
  private var postponed: [Refused] = []
  private var waiting = 0
  /// Messages of the batch.
  private var count = 0

  init(
    readings: ReadingProducer, deadLetters: DeadLetterProducer, translation: Translation, metrics: BridgeMetrics,
    log: Log
  ) {
    self.readings = readings
    self.deadLetters = deadLetters
    self.translation = translation
    self.metrics = metrics
    self.log = log
  }

  /// Puts the readings of some more messages on their topic, and what is none on that of the dead letters.
  ///
  /// Retained messages are left out. The broker sends them, marked as such, to whoever subscribes, so after every
  /// reconnection: they are the last known values, of a time that is not told, and were delivered unmarked when they
  /// were published.
  /// - Throws: when Kafka does not have all of the batch; it may have parts.
  func begin(_ messages: [MQTTMessage], patience: Patience) throws(Setback) {
    let now = Clock.nowMilliseconds()
    count += messages.count
    var next = 0
    while next < messages.count {
      translation.removeAll()
      while next < messages.count, translation.readings.count < Self.sliceReadings {
        if messages[next].isRetained {
          metrics.retained.increment()
        } else if !translation.add(messages[next], now: now) {
          metrics.empty.increment()
        }
        next += 1
      }
      while waiting > Self.waitingReadings { try settleFirst(now, patience) }
      produce(only: messages.count == 1 ? messages[0] : nil, now)
    }
  }

  /// Waits until Kafka has all that was begun; the next message begins another batch.
  /// - Throws: when Kafka does not have all of the batch; it may have parts.
  func finish(patience: Patience) throws(Setback) {
    let now = Clock.nowMilliseconds()
    // The broker sends nothing more, or is not read, before it has the acknowledgements.
    if !slices.isEmpty { readings.flush() }
    while !slices.isEmpty { try settleFirst(now, patience) }
    try sendPostponed(patience)
    count = 0
  }

  /// Forgets what was begun; reports that come yet do no harm.
  func abandon() {
    slices = []
    postponed = []
    waiting = 0
    count = 0
  }

  /// Produces what was translated.
  private func produce(only: MQTTMessage?, _ now: Int64) {
    let readingCount = translation.readings.count
    let letters = translation.refused
    guard readingCount + letters.count > 0 else { return }
    let receipt = DeliveryReceipt(count: readingCount + letters.count)
    readings.publish(
      translation.readings, headers: ReadingProducer.headers(source: "mqtt", received: now), receiver: receipt,
      buffer: &buffer)
    publish(letters, after: readingCount, receipt)
    slices.append(Slice(receipt: receipt, readingCount: readingCount, letters: letters, only: only))
    waiting += readingCount
  }

  private func publish(_ letters: [Refused], after readingCount: Int, _ receipt: DeliveryReceipt) {
    for (index, refused) in letters.enumerated() {
      deadLetters.publish(refused.letter, receiver: receipt, index: readingCount + index)
    }
  }

  /// Waits until Kafka has the slice that was produced first, all but what it finds too large.
  private func settleFirst(_ now: Int64, _ patience: Patience) throws(Setback) {
    let slice = slices.removeFirst()
    let readingCount = slice.readingCount
    waiting -= readingCount
    let failures = try awaitFailures(of: slice.receipt, patience)
    let failedReadings = failures.count { $0.index < readingCount }
    readings.count(acknowledged: readingCount - failedReadings, failed: failedReadings)
    count(slice.letters, without: failures.lazy.map { $0.index - readingCount })
    try Self.checkSizeOnly(failures)
    postponed += failures.dropFirst(failedReadings).map { slice.letters[$0.index - readingCount] }
    guard failedReadings > 0 else { return }
    // Kafka measures whole requests too, and then says so of each message in one: known only of one alone.
    guard count == 1, let only = slice.only else { throw .refused(failures[0].error) }
    postponed.append(Translation.refuse(only, reason: Translation.tooLarge, detail: "\(failures[0].error)", now: now))
  }

  /// Sends the letters that were too large, at least together with others: in smaller groups, and cut where one is too large
  /// alone.
  private func sendPostponed(_ patience: Patience) throws(Setback) {
    var together = max(1, postponed.count / 4)
    while !postponed.isEmpty {
      let letters = Array(postponed.prefix(together))
      let receipt = DeliveryReceipt(count: letters.count)
      publish(letters, after: 0, receipt)
      readings.flush()
      let failures = try awaitFailures(of: receipt, patience)
      count(letters, without: failures.lazy.map(\.index))
      try Self.checkSizeOnly(failures)
      postponed.removeFirst(letters.count)
      postponed.insert(
        contentsOf: failures.compactMap { failure in
          let refused = letters[failure.index]
          return letters.count == 1 ? shortened(refused, failure.error) : refused
        }, at: 0)
      // Larger again, for it was perhaps a single one.
      together = failures.isEmpty ? together * 2 : max(1, together / 4)
    }
  }

  /// Waits for all reports of what was produced.
  private func awaitFailures(
    of receipt: DeliveryReceipt, _ patience: Patience
  ) throws(Setback) -> [DeliveryReceipt.Failure] {
    let start = Clock.monotonic()
    while true {
      let left = max(patience(Clock.monotonic() - start), .zero)
      if let failures = receipt.wait(timeout: min(left, Self.glance)) { return failures }
      guard left > .zero else { throw .unanswered }
    }
  }

  private func count(_ letters: [Refused], without failures: some Sequence<Int>) {
    guard !letters.isEmpty else { return }
    let failed = Set(failures)
    for (index, refused) in letters.enumerated() where !failed.contains(index) {
      metrics.dead.with(refused.reason).increment()
    }
  }

  /// Only a message that is too large is the message's own fault; it would be no smaller if it came again.
  /// - Throws: the first failure that is Kafka's.
  private static func checkSizeOnly(_ failures: [DeliveryReceipt.Failure]) throws(Setback) {
    if let failure = failures.first(where: { $0.error.code != .messageTooLarge }) { throw .refused(failure.error) }
  }

  /// What is sent in the place of a letter that is too large alone; nil when there is nothing left to cut.
  private func shortened(_ refused: Refused, _ error: KafkaError) -> Refused? {
    tell(of: refused, error)
    guard let letter = refused.letter.shortened() else {
      metrics.discarded.increment()
      return nil
    }
    var shorter = refused
    shorter.letter = letter
    return shorter
  }

  /// Once: a device that sends one such message sends many.
  private func tell(of refused: Refused, _ error: KafkaError) {
    guard !hasToldOfTruncation else { return }
    hasToldOfTruncation = true
    log.warning(
      "a dead letter is too large for Kafka and is cut; further ones are only marked",
      [
        "topic": .string(String(refused.topic.prefix(256))), "bytes": .int(refused.letter.value?.count ?? 0),
        "reason": .string("\(error)"),
      ])
  }
}
