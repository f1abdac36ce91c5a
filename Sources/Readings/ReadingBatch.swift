/// Readings and their texts, in memory that is reused.
///
/// `@unchecked Sendable`: a batch is used by one thread at a time and handed over whole, through a queue or a lock.
package final class ReadingBatch: @unchecked Sendable {
  package private(set) var readings: [Reading] = []
  /// Given to each reading that is added: the place of the item that is being decoded.
  package var item: UInt32 = 0
  private var tags: [Reading.Tag] = []
  private var text: ByteBuffer

  package init(textCapacity: Int = 4096) {
    text = ByteBuffer(capacity: textCapacity)
  }

  package var count: Int { readings.count }
  package var isEmpty: Bool { readings.isEmpty }
  /// Bytes of text held.
  package var textCount: Int { text.count }

  /// A text of one of the readings, valid until the batch changes.
  @inline(__always)
  package subscript(_ range: ByteRange) -> UnsafeRawBufferPointer { text.bytes(range) }

  /// A reading's tags.
  package func tags(of reading: Reading) -> ArraySlice<Reading.Tag> {
    tags[Int(reading.firstTag)..<Int(reading.firstTag + reading.tagCount)]
  }

  /// Empties the batch and keeps its memory.
  package func removeAll() {
    roll(back: Mark(readings: 0, tags: 0, text: 0))
    item = 0
  }

  /// Keeps a copy of a text.
  @inline(__always)
  package func keep(_ bytes: UnsafeRawBufferPointer) -> ByteRange {
    let range = ByteRange(offset: UInt32(text.count), count: UInt32(bytes.count))
    text.append(bytes)
    return range
  }

  /// Keeps a copy of two texts that the batch keeps already, with a byte between them.
  package func join(_ first: ByteRange, _ separator: UInt8, _ second: ByteRange) -> ByteRange {
    text.reserve(Int(first.count + second.count) + 1)
    let offset = UInt32(text.count)
    // With the room reserved, the buffer does not move under the bytes that it copies from itself.
    text.append(text.bytes(first))
    text.append(separator)
    text.append(text.bytes(second))
    return ByteRange(offset: offset, count: first.count + second.count + 1)
  }

  /// Keeps a tag; those of a reading are kept one behind the other.
  package func keepTag(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    tags.append(Reading.Tag(name: keep(name), value: keep(value)))
  }

  /// The index that the next tag kept will have.
  package var nextTag: UInt32 { UInt32(tags.count) }

  /// Adds a reading whose texts and tags this batch keeps.
  @inline(__always)
  package func append(_ reading: Reading) {
    readings.append(reading)
    readings[readings.count - 1].item = item
  }

  /// Gives the readings from one on the time that their sender says.
  package func setTime(_ ts: Int64, from first: Int) {
    for index in first..<readings.count {
      readings[index].ts = ts
      readings[index].isTimed = true
    }
  }

  /// Takes out the readings at these places, which are in order.
  package func remove(at indices: [Int]) {
    var rest = indices[...]
    var place = 0
    readings.removeAll { _ in
      defer { place += 1 }
      guard rest.first == place else { return false }
      rest = rest.dropFirst()
      return true
    }
  }

  /// Gives a reading an id.
  package func identify(_ index: Int, as id: UnsafeRawBufferPointer) { readings[index].id = keep(id) }

  /// A state to return to.
  package struct Mark {
    fileprivate let readings: Int
    fileprivate let tags: Int
    fileprivate let text: Int
  }

  package var mark: Mark { Mark(readings: readings.count, tags: tags.count, text: text.count) }

  /// Forgets all that came after a mark: half of a reading that turned out invalid, say.
  package func roll(back mark: Mark) {
    if readings.count > mark.readings { readings.removeLast(readings.count - mark.readings) }
    if tags.count > mark.tags { tags.removeLast(tags.count - mark.tags) }
    text.truncate(to: mark.text)
  }
}
