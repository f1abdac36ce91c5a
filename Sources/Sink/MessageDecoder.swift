import Glibc
import JSON
import Kafka
package import Operations
package import Readings

/// Why a message is not stored.
package struct Rejection: Error, Equatable {
  /// A short name for machines; one of a fixed set.
  let reason: String
  /// A sentence for people.
  let detail: String
}

/// Validates messages of the topic. Anyone may produce to it, so nothing is taken for granted.
package final class MessageDecoder {
  private let parser = JSONParser()
  private let decoder: ReadingDecoder
  private let unknownMembers: Counter

  package init(bounds: TimeBounds, unknownMembers: Counter) {
    decoder = ReadingDecoder(unknownMembers: .count, bounds: bounds)
    self.unknownMembers = unknownMembers
  }

  /// Decodes a message into a batch.
  func decode(
    _ message: ConsumedMessage, received: Int64, into batch: ReadingBatch, now: Int64
  ) throws(Rejection) {
    try message.withValue { (value) throws(Rejection) in
      try message.withKey { (key) throws(Rejection) in
        try decode(value: value, key: key, received: received, into: batch, now: now)
      }
    }
  }

  /// Decodes a message's value and key into a batch, which stays as it was when this throws.
  /// - Parameter received: when Sluice got it, in milliseconds since 1970: the time of a reading that has none.
  package func decode(
    value: UnsafeRawBufferPointer?, key: UnsafeRawBufferPointer?, received: Int64, into batch: ReadingBatch, now: Int64
  ) throws(Rejection) {
    guard let value else { throw Rejection(reason: "tombstone", detail: "the message has no value") }
    let mark = batch.mark
    try decode(value, received: received, into: batch, now: now)
    do throws(Rejection) {
      guard let key, !key.isEmpty else {
        throw Rejection(reason: "no_key", detail: "the message has no key; it must be the device's name")
      }
      guard let device = batch.readings.last?.device, Self.isEqual(key, batch[device]) else {
        throw Rejection(reason: "key_mismatch", detail: "the key is not the device's name")
      }
    } catch {
      batch.roll(back: mark)
      throw error
    }
  }

  private func decode(
    _ value: UnsafeRawBufferPointer, received: Int64, into batch: ReadingBatch, now: Int64
  ) throws(Rejection) {
    let implied = ReadingDecoder.Implied(now: now, arrival: received)
    do throws(JSONParsing<ReadingError>) {
      let unknown = try parser.parse(copying: value) { (root) throws(ReadingError) in
        try decoder.decode(root, implied: implied, into: batch)
      }
      if unknown > 0 { unknownMembers.increment(by: unknown) }
    } catch {
      switch error {
      case .malformed(let error): throw Rejection(reason: "malformed", detail: "the value is not JSON: \(error)")
      case .refused(let error): throw Rejection(reason: error.code.rawValue, detail: "\(error)")
      }
    }
  }

  private static func isEqual(_ key: UnsafeRawBufferPointer, _ device: UnsafeRawBufferPointer) -> Bool {
    guard let first = key.baseAddress, let second = device.baseAddress else { return key.count == device.count }
    return key.count == device.count && memcmp(first, second, key.count) == 0
  }

  /// When Sluice got a message, in milliseconds since 1970: the header `received`, else Kafka's time stamp, else now.
  static func received(_ message: ConsumedMessage, now: Int64) -> Int64 {
    let stated = message.withHeader("received") { value -> Int64? in
      guard let value, (1...15).contains(value.count) else { return nil }
      var number: Int64 = 0
      for byte in value {
        guard byte &- UInt8(ascii: "0") < 10 else { return nil }
        number = number * 10 + Int64(byte &- UInt8(ascii: "0"))
      }
      return number
    }
    // A header may say anything: what lies ahead of this clock by more than clocks differ is not believed.
    if let stated, stated <= now + 3_600_000 { return stated }
    return message.timestamp ?? now
  }
}
