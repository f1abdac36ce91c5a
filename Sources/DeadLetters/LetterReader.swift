import Kafka
import Operations

/// Reads a topic from its beginning to where it ended when it was asked: partition after partition, what is committed
/// only. For one thread; to be closed.
final class LetterReader {
  /// How long Kafka may say nothing.
  static let patience: Duration = .seconds(30)

  private let topic: String
  private let kafka: KafkaConfiguration
  /// Asks for offsets; reads nothing.
  private let asking: Consumer
  private let partitionCount: Int

  /// - Parameter partitions: how many the topic has.
  init(_ kafka: KafkaConfiguration, topic: String, partitions: Int) throws(DeadLettersError) {
    self.topic = topic
    partitionCount = partitions
    var kafka = kafka
    kafka.set("isolation.level", "read_committed")
    kafka.setDefaults([
      "fetch.wait.max.ms": "50", "queued.max.messages.kbytes": "16384", "reconnect.backoff.max.ms": "1000",
    ])
    do throws(KafkaError) { asking = try Consumer(kafka) } catch { throw .kafka(error) }
    self.kafka = kafka
  }

  func close() { asking.close() }

  /// The first offset of each partition, and the one behind its last.
  func extents() throws(DeadLettersError) -> [Int32: Range<Int64>] {
    var extents: [Int32: Range<Int64>] = [:]
    let deadline = Clock.monotonic() + Self.patience
    for partition in 0..<Int32(partitionCount) {
      extents[partition] = try extent(TopicPartition(topic: topic, partition: partition), deadline)
    }
    return extents
  }

  private func extent(_ partition: TopicPartition, _ deadline: Duration) throws(DeadLettersError) -> Range<Int64> {
    var backoff = Backoff(cap: .seconds(1))
    while true {
      do throws(KafkaError) {
        let marks = try asking.watermarks(of: partition, timeout: max(deadline - Clock.monotonic(), .seconds(1)))
        return max(marks.low, 0)..<max(marks.high, marks.low, 0)
      } catch {
        // A broker that was away has no leaders for a while.
        let isPassing = error.isRetriable || error.code == .unknownPartition
        let pause = backoff.next()
        guard isPassing, Clock.monotonic() + pause < deadline else {
          throw DeadLettersError("\(partition): Kafka does not say how long it is: \(error)")
        }
        // Nothing comes, for nothing is assigned: this waits.
        _ = asking.poll(timeout: pause)
      }
    }
  }

  /// Reads what lies within these extents, in their order.
  /// - Parameters:
  ///   - isStopping: asked between two messages.
  ///   - body: says whether to go on.
  /// - Returns: false when it was ended before all was read.
  func read(
    _ extents: [Int32: Range<Int64>], isStopping: () -> Bool = { false },
    _ body: (Letter) throws(DeadLettersError) -> Bool
  ) throws(DeadLettersError) -> Bool {
    for (partition, extent) in extents.sorted(by: { $0.key < $1.key }) where !extent.isEmpty {
      guard try read(TopicPartition(topic: topic, partition: partition), extent, isStopping, body) else { return false }
    }
    return true
  }

  private func read(
    _ partition: TopicPartition, _ extent: Range<Int64>, _ isStopping: () -> Bool,
    _ body: (Letter) throws(DeadLettersError) -> Bool
  ) throws(DeadLettersError) -> Bool {
    // A consumer for each partition, so that an end can only be that of this one.
    let consumer: Consumer
    do throws(KafkaError) { consumer = try Consumer(kafka, reportsEnds: true) } catch { throw .kafka(error) }
    defer { consumer.close() }
    do throws(KafkaError) { try consumer.assign([partition: extent.lowerBound]) } catch { throw .kafka(error) }
    var deadline = Clock.monotonic() + Self.patience
    var lastError: KafkaError?
    while !isStopping() {
      switch consumer.poll(timeout: .milliseconds(100)) {
      case .message(let message):
        // What came since is not meant.
        guard message.offset < extent.upperBound else { return true }
        guard try body(Letter(message)) else { return false }
        if message.offset == extent.upperBound - 1 { return true }
        deadline = Clock.monotonic() + Self.patience
      case .failed(let error) where error.code == .partitionEnd:
        // The offsets up to the extent's end are marks of transactions, or of one that is still open.
        return true
      case .failed(let error):
        guard error.isRetriable else { throw DeadLettersError("\(partition) cannot be read: \(error)") }
        lastError = error
        if Clock.monotonic() > deadline { throw Self.silence(partition, lastError) }
      case nil:
        if Clock.monotonic() > deadline { throw Self.silence(partition, lastError) }
      }
    }
    return false
  }

  private static func silence(_ partition: TopicPartition, _ error: KafkaError?) -> DeadLettersError {
    DeadLettersError(
      "\(partition): Kafka has sent nothing for \(patience)\(error.map { ": \($0)" } ?? ""); see to it, and repeat")
  }
}
