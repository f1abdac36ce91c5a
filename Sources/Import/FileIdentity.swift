package import Chunks
package import Readings

/// What tells a file from others, wherever it is and however much is added to its end: its first bytes.
///
/// With it, readings get ids that are the same in every import of the file, so that what is sent again is stored once.
package struct FileIdentity: TextIdentity, Equatable, Sendable {
  /// Bytes that are looked at, at most.
  package static let limit = 64 << 10

  /// How many bytes it is made from.
  package let count: Int
  package let low: UInt64
  package let high: UInt64

  package init(of start: UnsafeRawBufferPointer) {
    count = min(start.count, Self.limit)
    let fingerprint = Fingerprint(of: UnsafeRawBufferPointer(rebasing: start.prefix(Self.limit)))
    (low, high) = (fingerprint.low, fingerprint.high)
  }

  init(count: Int, low: UInt64, high: UInt64) {
    self.count = count
    self.low = low
    self.high = high
  }

  /// Whether a file that begins so is the one.
  package func matches(_ start: UnsafeRawBufferPointer) -> Bool {
    start.count >= count && FileIdentity(of: UnsafeRawBufferPointer(rebasing: start.prefix(count))) == self
  }

  /// Gives each reading of a chunk without an id one: `file-` and a fingerprint of the identity, the line and the record's
  /// bytes; the bytes, so that a line that was changed is no repeat of what it was. Where a record is several readings,
  /// those behind the first have their number behind it; in a pack, each has its record's place.
  ///
  /// - Parameters:
  ///   - line: the number of the chunk's first line in the file, from 0.
  ///   - firstItem: does not matter here.
  ///   - buffer: memory to write in; its content is overwritten.
  package func identify(
    _ batch: ReadingBatch, places: ChunkPlaces, chunk: UnsafeRawBufferPointer, line: Int, firstItem: Int64,
    buffer: inout ByteBuffer
  ) {
    var places = places
    var item: UInt32?
    var number: Int64 = 0
    for (index, reading) in batch.readings.enumerated() {
      number = reading.item == item ? number + 1 : 0
      item = reading.item
      guard reading.id.isEmpty else { continue }
      let place = places.find(Int(reading.item))
      buffer.truncate(to: 0)
      for word in [low, high, UInt64(line + place.line)] {
        withUnsafeBytes(of: word.littleEndian) { buffer.append($0) }
      }
      buffer.append(Self.withoutLineEnd(UnsafeRawBufferPointer(rebasing: chunk[place.start..<place.end])))
      let fingerprint = Fingerprint(of: buffer.bytes)
      buffer.truncate(to: 0)
      buffer.append("file-" as StaticString)
      fingerprint.append(to: &buffer)
      if places.isPack {
        buffer.append(UInt8(ascii: "/"))
        ReadingEncoder.append(Int64(reading.item), to: &buffer)
      }
      if number > 0 {
        buffer.append(UInt8(ascii: "."))
        ReadingEncoder.append(number, to: &buffer)
      }
      batch.identify(index, as: buffer.bytes)
    }
  }

  /// So that the last line is the same before and after something is added behind it.
  private static func withoutLineEnd(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var end = bytes.count
    while end > 0, bytes[end - 1] == 0x0a || bytes[end - 1] == 0x0d { end -= 1 }
    return UnsafeRawBufferPointer(rebasing: bytes[..<end])
  }
}
