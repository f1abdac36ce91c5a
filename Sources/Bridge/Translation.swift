import Dialects
import JSON
import MQTT
import Publishing
import Readings

/// A message that is no reading, and why.
struct Refused {
  var letter: DeadLetter
  /// A short name for machines, one of a few.
  let reason: String
  /// Of the message.
  let topic: String
}

/// Turns MQTT messages into readings and dead letters, in memory that is reused. For one thread.
final class Translation {
  let readings = ReadingBatch(textCapacity: 64 << 10)
  private(set) var refused: [Refused] = []
  private let context: DecodingContext
  private let payloadLimit: Int
  private let deduplicates: Bool
  private let dialects: MQTTDialects
  private var redeliveryID = RedeliveryID()

  /// - Parameters:
  ///   - payloadLimit: bytes; what is larger is not looked into.
  ///   - readingsLimit: of one message.
  ///   - dialects: what is read.
  ///   - deduplicates: whether readings that can be recognised get an id for it.
  init(
    bounds: TimeBounds, payloadLimit: Int, readingsLimit: Int, dialects: MQTTDialects = MQTTDialects(),
    deduplicates: Bool
  ) {
    self.dialects = dialects
    self.deduplicates = deduplicates
    context = DecodingContext(parser: JSONParser(), bounds: bounds, readingsLimit: readingsLimit)
    self.payloadLimit = payloadLimit
  }

  /// Forgets what was added, and keeps the memory.
  func removeAll() {
    readings.removeAll()
    refused.removeAll(keepingCapacity: true)
  }

  /// Adds a message: to the readings, or else to the refused.
  /// - Parameter now: milliseconds since 1970.
  /// - Returns: false when there is nothing to store in it, and nothing wrong with it.
  func add(_ message: MQTTMessage, now: Int64) -> Bool {
    var topic = message.topic
    return topic.withUTF8 { topic in
      message.payload.withUnsafeBytes { add(message, UnsafeRawBufferPointer(topic), $0, now) }
    }
  }

  private func add(
    _ message: MQTTMessage, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ now: Int64
  ) -> Bool {
    if dialects.isBeside(topic: topic) { return false }
    guard payload.count <= payloadLimit else {
      refused.append(
        Self.refuse(
          message, reason: Self.tooLarge,
          detail: "the payload has \(payload.count) bytes; at most \(payloadLimit) are read", now: now))
      return true
    }
    let first = readings.count
    do throws(ReadingError) {
      let holdsReadings = try dialects.decode(
        topic: topic, payload: payload, now: now, context: context, into: readings)
      // At QoS 0 nothing is delivered again. Otherwise the first delivery needs the id as much as a second, whatever its
      // DUP says.
      if deduplicates, message.qos > 0 {
        redeliveryID.identify(readings, from: first, topic: topic, payload: payload)
      }
      return holdsReadings
    } catch {
      refused.append(Self.refuse(message, reason: error.code.rawValue, detail: error.description, now: now))
      return true
    }
  }

  /// The reason of what is larger than is read, or than Kafka takes.
  static let tooLarge = "too_large"

  /// A message as a dead letter, keyed by its device where its topic names one.
  static func refuse(_ message: MQTTMessage, reason: String, detail: String, now: Int64) -> Refused {
    var topic = message.topic
    let device = topic.withUTF8 { SensorTopic.device(of: UnsafeRawBufferPointer($0)).map { Array($0) } }
    return Refused(
      letter: DeadLetter(
        key: device, value: message.payload,
        original: [("source", Array("mqtt".utf8)), ("received", Array("\(now)".utf8))], reason: reason, detail: detail,
        source: "bridge", mqttTopic: message.topic, now: now),
      reason: reason, topic: message.topic)
  }
}
