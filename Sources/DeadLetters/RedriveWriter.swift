import Kafka
import Operations
import Synchronization
import Timestamps

/// The transactional producer of a redrive. For one thread; to be closed.
final class RedriveWriter {
  enum Outcome {
    case written
    /// Kafka does not take one of the messages; none was written.
    case tooLarge(KafkaError)
  }

  /// How long a transaction may be open: when a run is killed, the readers of the topic wait so long for the messages
  /// behind it, unless the next run begins earlier.
  static let transactionTimeout: Duration = .seconds(15)
  /// How long Kafka may take for something, all attempts together.
  static let patience: Duration = .seconds(30)
  private static let callTimeout: Duration = .seconds(10)

  private let producer: Producer
  private let topic: Topic
  private let deadLetterTopic: Topic
  private let supervisor: Supervisor

  init(
    _ kafka: KafkaConfiguration, deadLetterTopic: String, topic: String, supervisor: Supervisor
  ) throws(DeadLettersError) {
    var kafka = kafka
    kafka.set("transactional.id", "sluice-redrive-\(deadLetterTopic)")
    kafka.set("transaction.timeout.ms", "\(Self.transactionTimeout / .milliseconds(1))")
    kafka.setDefaults([
      "message.timeout.ms": "10000", "socket.timeout.ms": "10000", "linger.ms": "2",
      "reconnect.backoff.ms": "100", "reconnect.backoff.max.ms": "1000",
      // What is on the dead-letter topic fits; the brokers say what does not fit on the other.
      "message.max.bytes": "10485760",
    ])
    do throws(KafkaError) {
      let producer = try Producer(kafka)
      self.producer = producer
      self.topic = try producer.topic(topic)
      self.deadLetterTopic = try producer.topic(deadLetterTopic)
    } catch {
      throw .kafka(error)
    }
    self.supervisor = supervisor
    supervisor.start("kafka-reports", mayEnd: true) { [producer] in producer.run() }
  }

  func close() { producer.close(timeout: .seconds(1)) }

  /// Ends whoever puts letters of this topic back, and becomes the one.
  func takeOver() throws(DeadLettersError) {
    let deadline = Clock.monotonic() + Self.patience
    while true {
      do throws(KafkaError) {
        return try producer.initTransactions(timeout: Self.callTimeout)
      } catch {
        guard error.isRetriable, Clock.monotonic() < deadline, !supervisor.isStopping else {
          throw DeadLettersError(
            "Kafka did not begin transactions: \(error); it needs its topic __transaction_state "
              + "(transaction.state.log.replication.factor), and the user the right to write to transactional ids")
        }
      }
    }
  }

  /// Writes messages and the markers of their letters, or nothing.
  func write(_ entries: ArraySlice<RedriveBatch.Entry>) throws(DeadLettersError) -> Outcome {
    let deadline = Clock.monotonic() + Self.patience
    var backoff = Backoff()
    while true {
      let receipt = FirstFailure()
      do throws(KafkaError) {
        try producer.beginTransaction()
        try produce(entries, receipt)
        try commit(deadline)
        return .written
      } catch {
        let cause = receipt.error ?? error
        try giveUp(error, entries.count)
        if cause.code == .messageTooLarge { return .tooLarge(cause) }
        guard error.isRetriable || error.requiresAbort, Clock.monotonic() < deadline,
          !supervisor.waitForStop(timeout: backoff.next())
        else {
          throw DeadLettersError("Kafka did not take the next \(entries.count) letters, none of them: \(cause); repeat")
        }
      }
    }
  }

  private func produce(_ entries: ArraySlice<RedriveBatch.Entry>, _ receipt: FirstFailure) throws(KafkaError) {
    for entry in entries {
      for message in entry.messages {
        try lend(message.key, message.value) { (key, value) throws(KafkaError) in
          try producer.produce(
            to: topic, key: key, value: value, headers: MessageHeaders(message.headers), handsOverHeaders: true,
            receiver: receipt, index: 0)
        }
      }
    }
    let time = Timestamp.text(Clock.nowMilliseconds())
    for (partition, marker) in RedriveBatch.markers(entries) {
      try producer.produce(
        to: deadLetterTopic, partition: partition, key: nil, value: nil,
        headers: MessageHeaders(marker.headers(time: time)), handsOverHeaders: true, receiver: receipt, index: 0)
    }
  }

  /// Commits; asks again while it is not known whether that came about.
  private func commit(_ deadline: Duration) throws(KafkaError) {
    while true {
      do throws(KafkaError) {
        return try producer.commitTransaction(timeout: Self.callTimeout)
      } catch {
        guard error.isRetriable, !error.requiresAbort, Clock.monotonic() < deadline else { throw error }
      }
    }
  }

  /// Undoes what was begun.
  /// - Throws: when it cannot be said, or done.
  private func giveUp(_ error: KafkaError, _ count: Int) throws(DeadLettersError) {
    if error.isFenced {
      throw DeadLettersError("another sluice dlq redrive has taken over; what this one had put back, it knows of")
    }
    var cause = error
    if !error.isFatal {
      do throws(KafkaError) { return try producer.abortTransaction(timeout: Self.callTimeout) } catch { cause = error }
      if cause.isFenced { return try giveUp(cause, count) }
    }
    throw DeadLettersError(
      "Kafka did not say in time whether the last \(count) letters were put back: \(cause); run it again, nothing is put "
        + "back twice")
  }

  private func lend(
    _ key: [UInt8]?, _ value: [UInt8]?,
    _ body: (UnsafeRawBufferPointer?, UnsafeRawBufferPointer?) throws(KafkaError) -> Void
  ) throws(KafkaError) {
    // withUnsafeBytes does not know typed errors.
    let error = (key ?? []).withUnsafeBytes { keyBytes in
      (value ?? []).withUnsafeBytes { valueBytes -> KafkaError? in
        do throws(KafkaError) {
          try body(key == nil ? nil : keyBytes, value == nil ? nil : valueBytes)
          return nil
        } catch {
          return error
        }
      }
    }
    if let error { throw error }
  }
}

/// Keeps the first failure of some messages.
private final class FirstFailure: DeliveryReceiver {
  private let first = Mutex<KafkaError?>(nil)

  var error: KafkaError? { first.withLock { $0 } }

  func delivered(_ report: DeliveryReport) {
    guard let error = report.error else { return }
    // Those behind a failed message are purged: that says nothing.
    first.withLock { first in
      if first == nil || first?.code == .purged || first?.code == .purgedInFlight { first = error }
    }
  }
}
