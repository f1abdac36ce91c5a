import Kafka
import MQTT
import Operations
import Publishing
import Readings

/// Puts batches of messages on Kafka, and says whether it has all of them. For one thread.
///
/// A batch is begun in portions, on which Kafka works while the next is read.
final class Forwarder {
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

  private let readings: ReadingProducer
  private let deadLetters: DeadLetterProducer
  private let translation: Translation
  private let metrics: BridgeMetrics
  private let log: Log
  private var buffer = ByteBuffer(capacity: 4096)
  private var hasToldOfTruncation = false
  private var slices: [Slice] = []
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
  /// - Parameter patience: how long Kafka may take from the moment of the call, where it has to be waited for.
  /// - Throws: when Kafka does not have all of the batch; it may have parts.
  func begin(_ messages: [MQTTMessage], patience: () -> Duration) throws(Setback) {
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
  func finish(patience: () -> Duration) throws(Setback) {
    let now = Clock.nowMilliseconds()
    // The broker sends nothing more, or is not read, before it has the acknowledgements.
    if !slices.isEmpty { readings.flush() }
    while !slices.isEmpty { try settleFirst(now, patience) }
    count = 0
  }

  /// Forgets what was begun; reports that come yet do no harm.
  func abandon() {
    slices = []
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

  /// Waits until Kafka has the slice that was produced first, or what is sent instead of parts of it.
  private func settleFirst(_ now: Int64, _ patience: () -> Duration) throws(Setback) {
    let slice = slices.removeFirst()
    var (receipt, readingCount, letters) = (slice.receipt, slice.readingCount, slice.letters)
    waiting -= readingCount
    while true {
      guard let failures = receipt.wait(timeout: patience()) else { throw .unanswered }
      let failedReadings = failures.count { $0.index < readingCount }
      readings.count(acknowledged: readingCount - failedReadings, failed: failedReadings)
      count(letters, without: failures.lazy.map { $0.index - readingCount })
      letters = try remedies(for: failures, letters, readingCount, count == 1 ? slice.only : nil, now)
      guard !letters.isEmpty else { return }
      readingCount = 0
      receipt = DeliveryReceipt(count: letters.count)
      publish(letters, after: 0, receipt)
    }
  }

  private func count(_ letters: [Refused], without failures: some Sequence<Int>) {
    guard !letters.isEmpty else { return }
    let failed = Set(failures)
    for (index, refused) in letters.enumerated() where !failed.contains(index) {
      metrics.dead.with(refused.reason).increment()
    }
  }

  /// What to send instead of that which Kafka did not take. Only a message that is too large is the message's own fault;
  /// it would be no smaller if it came again.
  /// - Throws: the first failure that is Kafka's.
  private func remedies(
    for failures: [DeliveryReceipt.Failure], _ letters: [Refused], _ readingCount: Int, _ only: MQTTMessage?,
    _ now: Int64
  ) throws(Setback) -> [Refused] {
    if let failure = failures.first(where: { $0.error.code != .messageTooLarge }) { throw .refused(failure.error) }
    var remedies: [Refused] = []
    for failure in failures {
      if failure.index < readingCount {
        // Kafka measures whole requests too, and then says so of each message in one: known only of one alone.
        guard let only else { throw .refused(failure.error) }
        guard remedies.isEmpty else { continue }
        remedies.append(Translation.refuse(only, reason: Translation.tooLarge, detail: "\(failure.error)", now: now))
      } else {
        var refused = letters[failure.index - readingCount]
        tell(of: refused, failure.error)
        if let shorter = refused.letter.shortened() {
          refused.letter = shorter
          remedies.append(refused)
        } else {
          metrics.discarded.increment()
        }
      }
    }
    return remedies
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
