import Kafka
import MQTT
import Operations
import Publishing
import Readings

/// Puts batches of messages on Kafka, and says whether it has all of them. For one thread.
final class Forwarder {
  /// Readings that wait for Kafka at once: one message may hold a thousand, and the producer's queue has an end.
  private static let sliceReadings = 5_000

  private let readings: ReadingProducer
  private let deadLetters: DeadLetterProducer
  private let translation: Translation
  private let metrics: BridgeMetrics
  private let log: Log
  private var buffer = ByteBuffer(capacity: 4096)
  private var hasToldOfTruncation = false

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

  /// Puts the readings of all messages on their topic, and what is none on that of the dead letters.
  ///
  /// Retained messages are left out. The broker sends them, marked as such, to whoever subscribes, so after every
  /// reconnection: they are the last known values, of a time that is not told, and were delivered unmarked when they
  /// were published.
  /// - Parameter patience: how long Kafka may take from the moment of the call.
  /// - Throws: when Kafka does not have all of it; it may have parts.
  func forward(_ messages: [MQTTMessage], patience: () -> Duration) throws(Setback) {
    let now = Clock.nowMilliseconds()
    let headers = ReadingProducer.headers(source: "mqtt", received: now)
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
      try deliver(headers, only: messages.count == 1 ? messages[0] : nil, now, patience)
    }
  }

  /// Produces what was translated and waits until Kafka has it.
  /// - Parameter only: the message, when it is the only one.
  private func deliver(
    _ headers: MessageHeaders, only: MQTTMessage?, _ now: Int64, _ patience: () -> Duration
  ) throws(Setback) {
    var readingCount = translation.readings.count
    var letters = translation.refused
    guard readingCount + letters.count > 0 else { return }
    var receipt = DeliveryReceipt(count: readingCount + letters.count)
    readings.publish(translation.readings, headers: headers, receiver: receipt, buffer: &buffer)
    while true {
      for (index, refused) in letters.enumerated() {
        deadLetters.publish(refused.letter, receiver: receipt, index: readingCount + index)
      }
      guard let failures = receipt.wait(timeout: patience()) else { throw .unanswered }
      let failedReadings = failures.count { $0.index < readingCount }
      readings.count(acknowledged: readingCount - failedReadings, failed: failedReadings)
      count(letters, without: failures.lazy.map { $0.index - readingCount })
      letters = try remedies(for: failures, letters, readingCount, only, now)
      guard !letters.isEmpty else { return }
      readingCount = 0
      receipt = DeliveryReceipt(count: letters.count)
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
