import Timestamps

/// Something that could not be stored, with its original bytes, and why.
package struct DeadLetter: Sendable {
  /// Where it was on Kafka.
  package struct Origin: Sendable, Equatable {
    package let topic: String
    package let partition: Int32
    package let offset: Int64

    package init(topic: String, partition: Int32, offset: Int64) {
      self.topic = topic
      self.partition = partition
      self.offset = offset
    }
  }

  /// Names of the headers that a dead letter has besides those of the original.
  package enum Header {
    /// All of them begin with this; originals of these names were set by an earlier dead letter and are replaced.
    package static let prefix = "dlq-"
    /// How often it was put back: kept, so that it is not put back for ever.
    package static let redrives = "dlq-redrives"
    /// A short name for machines.
    package static let reason = "dlq-reason"
    /// A sentence for people.
    package static let detail = "dlq-detail"
    /// The role that gave it up.
    package static let source = "dlq-source"
    /// When it was given up (RFC 3339).
    package static let time = "dlq-time"
    package static let topic = "dlq-topic"
    package static let partition = "dlq-partition"
    package static let offset = "dlq-offset"
    /// The topic of the MQTT message.
    package static let mqttTopic = "dlq-mqtt-topic"
    /// How many bytes the original has, where Kafka does not take it whole and only its beginning is kept.
    package static let truncated = "dlq-truncated"
    /// Of a marker, which is no letter: which letters of its partition were put back, by their offsets.
    package static let redriven = "dlq-redriven"
    /// Of a marker: which messages these were, by partition and offset in their topic.
    package static let redrivenOrigins = "dlq-redriven-origins"
  }

  package var key: [UInt8]?
  package var value: [UInt8]?
  package var headers: [(String, [UInt8]?)]

  /// - Parameters:
  ///   - original: the headers of the message.
  ///   - now: milliseconds since 1970.
  package init(
    key: [UInt8]?, value: [UInt8]?, original: [(String, [UInt8]?)] = [], reason: String, detail: String, source: String,
    origin: Origin? = nil, mqttTopic: String? = nil, now: Int64
  ) {
    self.key = key
    self.value = value
    headers = original.filter { !$0.0.hasPrefix(Header.prefix) || $0.0 == Header.redrives }
    func add(_ name: String, _ text: String) { headers.append((name, Array(text.utf8))) }
    add(Header.reason, reason)
    add(Header.detail, detail)
    add(Header.source, source)
    add(Header.time, Timestamp.text(now))
    if let origin {
      add(Header.topic, origin.topic)
      add(Header.partition, "\(origin.partition)")
      add(Header.offset, "\(origin.offset)")
    }
    if let mqttTopic { add(Header.mqttTopic, mqttTopic) }
  }

  /// The same letter with only the beginning of its value, for when Kafka does not take it whole: 64 KiB, and if that is
  /// too much as well, none of it. Nil when there is nothing left to cut.
  package func shortened() -> DeadLetter? {
    guard let value, !value.isEmpty else { return nil }
    let limit = 64 << 10
    var shorter = self
    shorter.value = value.count > limit ? Array(value[..<limit]) : []
    if !headers.contains(where: { $0.0 == Header.truncated }) {
      shorter.headers.append((Header.truncated, Array("\(value.count)".utf8)))
    }
    return shorter
  }
}
