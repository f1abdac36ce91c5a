import Kafka
import Operations
package import Publishing
import Readings

/// Where a reading came from.
package struct Origin: Sendable {
  let partition: Int32
  let offset: Int64
  /// When Sluice got it, in milliseconds since 1970.
  let received: Int64
  /// What a repeat of it is known by.
  let sequence: SequenceNumber?

  package init(partition: Int32, offset: Int64, received: Int64, sequence: SequenceNumber? = nil) {
    self.partition = partition
    self.offset = offset
    self.received = received
    self.sequence = sequence
  }
}

/// What was read from the topic and is to be written together.
///
/// `@unchecked Sendable`: filled by the polling thread, then handed over whole to the writing thread.
final class SinkBatch: @unchecked Sendable {
  /// A message that is no reading.
  struct Reject {
    let message: ConsumedMessage
    let origin: Origin
    let reason: String
    let detail: String
  }

  /// The assignment under which it was read: what came under an earlier one is another sink's by now.
  let generation: Int
  let readings = ReadingBatch(textCapacity: 64 << 10)
  /// Of each reading.
  private(set) var origins: [Origin] = []
  /// Of each reading: kept for its bytes, in case the database refuses the document.
  private(set) var messages: [ConsumedMessage] = []
  private(set) var rejects: [Reject] = []
  /// The offset behind the last message, by partition.
  private(set) var next: [Int32: Int64] = [:]
  /// When its first message came.
  private var started: Duration = .zero
  /// Bytes of the messages held.
  private(set) var byteCount = 0

  init(generation: Int) { self.generation = generation }

  var messageCount: Int { origins.count + rejects.count }
  var isEmpty: Bool { origins.isEmpty && rejects.isEmpty }
  /// How long its first message has waited.
  var age: Duration { isEmpty ? .zero : Clock.monotonic() - started }

  /// The readings' indices with those of one device and sensor behind one another, which time-series collections store
  /// best, and otherwise in their order.
  var order: [Int] {
    var series = Interner()
    var name = ByteBuffer()
    // Number of the series above, index below: one sort of plain integers.
    let keys = readings.readings.enumerated().map { index, reading in
      name.truncate(to: 0)
      name.append(readings[reading.device])
      name.append(0)
      name.append(readings[reading.sensor])
      return series.number(of: name.bytes) << 32 | index
    }
    return keys.sorted().map { $0 & 0xffff_ffff }
  }

  /// Adds a message, decoded.
  /// - Parameter offset: by which it is to be known.
  func append(_ message: ConsumedMessage, at offset: Int64, with decoder: MessageDecoder, now: Int64) {
    if isEmpty { started = Clock.monotonic() }
    let partition = message.partition
    next[partition] = offset + 1
    byteCount += message.byteCount + 128
    let origin = Origin(
      partition: partition, offset: offset, received: MessageDecoder.received(message, now: now),
      sequence: SequenceNumber(of: message))
    do {
      try decoder.decode(message, received: origin.received, into: readings, now: now)
      origins.append(origin)
      messages.append(message)
    } catch {
      rejects.append(Reject(message: message, origin: origin, reason: error.reason, detail: error.detail))
    }
  }
}
