import Kafka
import Operations
import Synchronization

/// Counts what of its partitions a sink has not written yet.
///
/// It asks the brokers where a partition ends: a sink whose database is away reads nothing, and would not hear that the topic
/// grows; and it begins with what the group has committed, so that a sink which writes nothing at all is seen to be behind.
final class LagObserver: Sendable {
  /// How long a broker may take to answer.
  private static let patience: Duration = .seconds(1)

  private let metrics: SinkMetrics
  /// The offset after the last one written, of each partition that this sink has; nil until it has written there.
  private let next = Mutex<[TopicPartition: Int64?]>([:])

  init(metrics: SinkMetrics) { self.metrics = metrics }

  func assigned(_ partitions: [TopicPartition]) {
    next.withLock { next in for partition in partitions { next.updateValue(nil, forKey: partition) } }
  }

  func stored(_ offsets: [TopicPartition: Int64]) {
    next.withLock { next in
      for (partition, offset) in offsets where next[partition] != nil { next[partition] = offset }
    }
  }

  func ended(_ partitions: [TopicPartition]) {
    next.withLock { next in
      for partition in partitions {
        next[partition] = nil
        metrics.lag.with("\(partition.partition)").set(0)
      }
    }
  }

  /// Sets the metric; where no broker answers it stays as it was.
  func observe(_ consumer: Consumer) throws(KafkaError) {
    let known = next.withLock { $0 }
    let unwritten = known.filter { $0.value == nil }.map(\.key)
    let committed = unwritten.isEmpty ? [:] : try consumer.committed(unwritten, timeout: Self.patience)
    for (partition, written) in known {
      let ends = try consumer.watermarks(of: partition, timeout: Self.patience)
      let position = written ?? committed[partition] ?? ends.low
      next.withLock { next in
        // Those given up meanwhile are another sink's.
        guard let later = next[partition] else { return }
        let lag = ends.high - max(later ?? position, ends.low)
        metrics.lag.with("\(partition.partition)").set(Double(max(lag, 0)))
      }
    }
  }
}
