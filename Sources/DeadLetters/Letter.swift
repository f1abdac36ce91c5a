import Kafka
import Publishing
import Timestamps

/// A message of the dead-letter topic.
package struct Letter: Sendable {
  /// Where it is on the dead-letter topic.
  package struct Place: Sendable, Hashable, CustomStringConvertible {
    package let partition: Int32
    package let offset: Int64

    package init(partition: Int32, offset: Int64) {
      self.partition = partition
      self.offset = offset
    }

    /// Reads what ``description`` writes, `2:17`; nil when it is something else.
    package init?(_ text: String) {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let partition = Int32(parts[0]), let offset = Int64(parts[1]), partition >= 0, offset >= 0
      else { return nil }
      self.init(partition: partition, offset: offset)
    }

    package var description: String { "\(partition):\(offset)" }
  }

  package let place: Place
  /// Kafka's time of it, in milliseconds since 1970.
  package let timestamp: Int64?
  package let key: [UInt8]?
  package let value: [UInt8]?
  package let headers: [(String, [UInt8]?)]

  package init(place: Place, timestamp: Int64?, key: [UInt8]?, value: [UInt8]?, headers: [(String, [UInt8]?)]) {
    self.place = place
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  init(_ message: ConsumedMessage) {
    self.init(
      place: Place(partition: message.partition, offset: message.offset), timestamp: message.timestamp,
      key: message.withKey { $0.map { Array($0) } }, value: message.withValue { $0.map { Array($0) } },
      headers: message.headers)
  }

  /// The last header of a name; nil when there is none, or it has no value.
  package func header(_ name: String) -> [UInt8]? { headers.last { $0.0 == name }?.1 }

  /// A header as text.
  func text(_ name: String) -> String? { header(name).map { String(decoding: $0, as: UTF8.self) } }

  /// Why it was given up; what somebody else put on the topic says no reason.
  package var reason: String { text(DeadLetter.Header.reason) ?? "none" }

  /// The role that gave it up.
  package var source: String { text(DeadLetter.Header.source) ?? "none" }

  /// When it was given up, in milliseconds since 1970: as it says itself, or else Kafka's time.
  package var time: Int64? {
    let stated = header(DeadLetter.Header.time).flatMap { text in
      text.withUnsafeBytes { bytes in try? Timestamp.parse(bytes) }
    }
    return stated ?? timestamp
  }

  static let receivedHeader = "received"

  /// When Sluice got the message, in milliseconds since 1970; nil where the sink would not take the header for a time.
  var received: Int64? {
    guard let text = header(Self.receivedHeader), text.count <= 15,
      text.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 })
    else { return nil }
    return Int64(String(decoding: text, as: UTF8.self))
  }

  /// Where the message was before.
  var origin: DeadLetter.Origin? {
    guard let topic = text(DeadLetter.Header.topic), let partition = text(DeadLetter.Header.partition),
      let offset = text(DeadLetter.Header.offset), let partition = Int32(partition), let offset = Int64(offset),
      partition >= 0, offset >= 0
    else { return nil }
    return DeadLetter.Origin(topic: topic, partition: partition, offset: offset)
  }

  /// The topic of the MQTT message that it was.
  package var mqttTopic: String? { text(DeadLetter.Header.mqttTopic) }

  /// How many bytes the message had of which this is only the beginning.
  package var truncated: String? { text(DeadLetter.Header.truncated) }

  /// How often it was put back before.
  package var redrives: Int { text(DeadLetter.Header.redrives).flatMap(Int.init).map { max($0, 0) } ?? 0 }
}
