package import Kafka
package import Publishing
package import Readings

extension SinkService {
  /// What to read, and where to write it.
  package struct Configuration: Sendable {
    package var kafka: KafkaConfiguration
    package var topic: String
    package var group: String
    package var schema: DatabaseSchema
    /// When readings may have been measured.
    package var bounds: TimeBounds
    /// Readings of a batch, at most.
    package var batchReadings: Int
    /// How long an idle writer is kept waiting for more readings to share a batch.
    package var batchDelay: Duration
    /// Who is told up to where it is stored.
    package var backlog: Backlog?
    /// Added to Kafka's offsets in what is stored. Not zero for a Kafka that forgets everything when it ends, and counts
    /// from zero again: its messages would be taken for earlier ones.
    package var offsetBase: Int64
    /// Whether a time-series collection is written to under the ledger. Without it a reading may be there twice: for the
    /// test that has to find that out.
    package var keepsLedger: Bool
    /// Whether the hours that change are noted for a `Summarizer`.
    package var marksHours: Bool
    /// Bytes that the states of devices may take which wait to be written.
    package var unflushedBytes: Int

    package init(
      kafka: KafkaConfiguration, topic: String, group: String, schema: DatabaseSchema, bounds: TimeBounds,
      batchReadings: Int, batchDelay: Duration, backlog: Backlog? = nil,
      offsetBase: Int64 = 0, keepsLedger: Bool = true, marksHours: Bool = false, unflushedBytes: Int = 48 << 20
    ) {
      self.kafka = kafka
      self.topic = topic
      self.group = group
      self.schema = schema
      self.bounds = bounds
      self.batchReadings = batchReadings
      self.batchDelay = batchDelay
      self.backlog = backlog
      self.offsetBase = offsetBase
      self.keepsLedger = keepsLedger
      self.marksHours = marksHours
      self.unflushedBytes = unflushedBytes
    }
  }

  /// After which silence the group gives this sink's partitions to others.
  static let sessionTimeout: Duration = .seconds(10)

  /// The consumer's settings.
  /// - Parameter kafka: those that were asked for, which go before the sink's own.
  /// - Throws: when they have a property that a sink cannot work with.
  package static func kafka(_ kafka: KafkaConfiguration) throws(KafkaError) -> KafkaConfiguration {
    var kafka = kafka
    kafka.setDefaults([
      "session.timeout.ms": "\(sessionTimeout.components.seconds * 1_000)", "heartbeat.interval.ms": "2000",
      // Also how long librdkafka waits for an answer to its request to join: it stays out so long when that is lost. No call
      // on the polling thread takes as much.
      "max.poll.interval.ms": "60000",
      "partition.assignment.strategy": "range,roundrobin",
      // Bounds what librdkafka fetches ahead, per consumer. It does not count headers: so few messages are enough to wait
      // with the next fetch, which brings a mebibyte of each partition.
      "queued.max.messages.kbytes": "16384", "queued.min.messages": "\(FetchedAhead.limit)", "fetch.wait.max.ms": "100",
      "reconnect.backoff.ms": "100",
      "reconnect.backoff.max.ms": "1000",
    ])
    // A member that keeps partitions over a rebalance would keep what it read of them, which is given up here.
    let strategies = (kafka.value("partition.assignment.strategy") ?? "").split { $0 == "," || $0 == " " }
    guard strategies.allSatisfy({ $0 == "range" || $0 == "roundrobin" }) else {
      throw KafkaError(
        .invalidArgument, message: "partition.assignment.strategy: must be range or roundrobin here, which are eager")
    }
    // What came before a group began, or was not committed in time, would be passed over.
    guard ["earliest", "beginning", "smallest", nil].contains(kafka.value("auto.offset.reset")) else {
      throw KafkaError(.invalidArgument, message: "auto.offset.reset: must be earliest here")
    }
    // A redrive puts messages and the note that it did so on Kafka as one: what of it does not count must not be stored.
    kafka.set("isolation.level", "read_committed")
    return kafka
  }
}
