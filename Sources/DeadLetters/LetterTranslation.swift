import Dialects
import JSON
import Readings

/// What an MQTT message that once was no reading is now. The same decision as the bridge's, by the same decoder, but for
/// a message that arrived some time ago. For one thread.
final class LetterTranslation {
  /// Readings of one message, at most, as for the bridge.
  static let readingsLimit = 1_000

  private let bounds: TimeBounds
  private let dialects: MQTTDialects
  private let context: DecodingContext
  private let batch = ReadingBatch()
  private var buffer = ByteBuffer(capacity: 4_096)
  private var redeliveryID = RedeliveryID()

  init(bounds: TimeBounds, dialects: MQTTDialects) {
    self.dialects = dialects
    self.bounds = bounds
    // The decoder compares with the time of arrival; times are checked here, with this one.
    context = DecodingContext(
      parser: JSONParser(), bounds: TimeBounds(futureTolerance: .max / 4, retention: .max / 4),
      readingsLimit: Self.readingsLimit)
  }

  /// The readings of a message as the topic has them, each with its device.
  /// - Parameter arrival: when the bridge got it: the time of a reading that has none.
  /// - Throws: the first thing wrong.
  func readings(
    topic: String, payload: [UInt8], arrival: Int64, now: Int64
  ) throws(ReadingError) -> [(device: [UInt8], value: [UInt8])] {
    batch.removeAll()
    var topic = topic
    // The functions that lend bytes do not know typed errors.
    let error = topic.withUTF8 { topic in
      payload.withUnsafeBytes { payload -> ReadingError? in
        do throws(ReadingError) {
          let topic = UnsafeRawBufferPointer(topic)
          _ = try dialects.decode(topic: topic, payload: payload, now: arrival, context: context, into: batch)
          // The message may have come twice, and be two letters.
          redeliveryID.identify(batch, from: 0, topic: topic, payload: payload)
          return nil
        } catch {
          return error
        }
      }
    }
    if let error { throw error }
    var readings: [(device: [UInt8], value: [UInt8])] = []
    for reading in batch.readings {
      try bounds.check(reading.ts, now: now)
      buffer.truncate(to: 0)
      ReadingEncoder.encode(reading, of: batch, into: &buffer)
      readings.append((Array(batch[reading.device]), Array(buffer.bytes)))
    }
    return readings
  }
}
