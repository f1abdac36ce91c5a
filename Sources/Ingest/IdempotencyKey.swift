import Chunks
import Dialects
import HTTP
import Readings

/// The value of a request's `Idempotency-Key`, by which a repeat of the request is recognised.
struct IdempotencyKey: Equatable {
  /// Characters of a key, at most.
  static let limit = 255
  private static let name: StaticString = "Idempotency-Key"

  /// A key may be longer than an id, so its fingerprint stands for it, whatever its length.
  private let fingerprint: Fingerprint

  /// What a request's head says.
  enum Given {
    case none
    case one(IdempotencyKey)
    /// It cannot be known which key is meant.
    case invalid
  }

  static func given(_ head: borrowing RequestHead) -> Given {
    var given = Given.none
    head.lendHeader(name) { given = IdempotencyKey($0).map(Given.one) ?? .invalid }
    // Also two that are alike: to HTTP they are one list, which is no key (RFC 8941, section 4.2).
    if case .one = given, head.headerCount(name) > 1 { return .invalid }
    return given
  }

  /// Reads a field: a string of draft-ietf-httpapi-idempotency-key-header, which is one in double quotes with `\` before
  /// `"` and `\` (RFC 8941, section 3.3.3), or the same characters as they are, as most clients send them.
  /// - Returns: nil unless it is 1 to 255 visible ASCII characters.
  init?(_ field: UnsafeRawBufferPointer) {
    guard field.first == UInt8(ascii: "\"") else {
      self.init(characters: field)
      return
    }
    guard field.count >= 2, field.last == UInt8(ascii: "\"") else { return nil }
    var characters: [UInt8] = []
    var isEscaped = false
    for byte in field.dropFirst().dropLast() {
      let isMark = byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
      if isMark, !isEscaped {
        guard byte == UInt8(ascii: "\\") else { return nil }
        isEscaped = true
        continue
      }
      guard isMark || !isEscaped else { return nil }
      isEscaped = false
      characters.append(byte)
    }
    guard !isEscaped, let key = characters.withUnsafeBytes({ Self(characters: $0) }) else { return nil }
    self = key
  }

  private init?(characters: UnsafeRawBufferPointer) {
    guard (1...Self.limit).contains(characters.count), characters.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      return nil
    }
    fingerprint = Fingerprint(of: characters)
  }

  /// Gives each reading without an id one: `key-`, the key's fingerprint, `/`, and the place of its item in the body, which
  /// counts the items that were refused too, so that it is the same place in every repeat. Where an item is several
  /// readings, those behind the first have their number behind it: `/3`, `/3.1`, `/3.2`.
  ///
  /// - Parameters:
  ///   - first: the place of item 0, where the batch is not of the beginning of the body.
  ///   - buffer: memory to write in; its content is overwritten.
  func identify(_ batch: ReadingBatch, from first: Int64 = 0, buffer: inout ByteBuffer) {
    buffer.truncate(to: 0)
    buffer.append("key-" as StaticString)
    fingerprint.append(to: &buffer)
    buffer.append(UInt8(ascii: "/"))
    let prefix = buffer.count
    var item: UInt32?
    var number: Int64 = 0
    for (index, reading) in batch.readings.enumerated() {
      number = reading.item == item ? number + 1 : 0
      item = reading.item
      guard reading.id.isEmpty else { continue }
      buffer.truncate(to: prefix)
      ReadingEncoder.append(first + Int64(reading.item), to: &buffer)
      if number > 0 {
        buffer.append(UInt8(ascii: "."))
        ReadingEncoder.append(number, to: &buffer)
      }
      batch.identify(index, as: buffer.bytes)
    }
  }
}

/// The same ids for a body that is decoded in chunks as for one that is decoded whole.
extension IdempotencyKey: TextIdentity {
  func identify(
    _ batch: ReadingBatch, places: ChunkPlaces, chunk: UnsafeRawBufferPointer, line: Int, firstItem: Int64,
    buffer: inout ByteBuffer
  ) { identify(batch, from: firstItem, buffer: &buffer) }
}
