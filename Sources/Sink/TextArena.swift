import Readings

/// Texts of which each can be replaced, in one piece of memory.
struct TextArena: ~Copyable {
  /// Where a text is, and how long it may become there.
  struct Place {
    fileprivate var offset: UInt32 = 0
    fileprivate var count: UInt32 = 0
    fileprivate var capacity: UInt32 = 0

    var isEmpty: Bool { count == 0 }
  }

  private var buffer = ByteBuffer(capacity: 4096)

  /// Bytes of memory that are in use.
  var byteCount: Int { buffer.count }

  /// The text, valid until another is replaced.
  subscript(place: Place) -> UnsafeRawBufferPointer {
    buffer.bytes(ByteRange(offset: place.offset, count: place.count))
  }

  /// Replaces the text of a place, which may be a new one.
  mutating func replace(_ place: inout Place, with text: UnsafeRawBufferPointer) {
    if text.count > place.capacity {
      // Twice as much each time: all that is left behind of a place is no more than the place.
      let capacity = max(text.count, 2 * Int(place.capacity))
      place.offset = UInt32(buffer.count)
      place.capacity = UInt32(capacity)
      buffer.append(count: capacity) { $0.copyMemory(from: text) }
    } else {
      buffer.overwrite(at: Int(place.offset), text)
    }
    place.count = UInt32(text.count)
  }

  /// Forgets all, and keeps the memory. No place is valid after that.
  mutating func removeAll() { buffer.truncate(to: 0) }
}
