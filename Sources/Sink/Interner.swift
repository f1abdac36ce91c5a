import Glibc
import Readings

/// Numbers byte strings from 0 in the order of their first appearance. Looking one up allocates nothing.
struct Interner: ~Copyable {
  private var texts = ByteBuffer(capacity: 4096)
  private var entries: [(hash: UInt64, range: ByteRange)] = []
  /// Open addressing: 0 is free, n is number n − 1. Its size is a power of two, at least twice the count.
  private var slots = [UInt32](repeating: 0, count: 64)

  init() {}

  var count: Int { entries.count }

  /// Bytes of memory that are in use.
  var byteCount: Int {
    texts.count + entries.count * MemoryLayout<(hash: UInt64, range: ByteRange)>.stride
      + slots.count * MemoryLayout<UInt32>.stride
  }

  subscript(number: Int) -> UnsafeRawBufferPointer { texts.bytes(entries[number].range) }

  /// Forgets all, and keeps the memory.
  mutating func removeAll() {
    texts.truncate(to: 0)
    entries.removeAll(keepingCapacity: true)
    for index in slots.indices { slots[index] = 0 }
  }

  /// The number of a text, new or known.
  mutating func number(of text: UnsafeRawBufferPointer) -> Int {
    let hash = Self.hash(text)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if entries[number].hash == hash, equal(number, text) { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
    let range = ByteRange(offset: UInt32(texts.count), count: UInt32(text.count))
    texts.append(text)
    entries.append((hash, range))
    slots[slot] = UInt32(count)
    if count * 2 > slots.count { rehash() }
    return count - 1
  }

  private func equal(_ number: Int, _ text: UnsafeRawBufferPointer) -> Bool {
    let known = self[number]
    return known.count == text.count && (text.isEmpty || memcmp(known.baseAddress!, text.baseAddress!, text.count) == 0)
  }

  private mutating func rehash() {
    slots = [UInt32](repeating: 0, count: slots.count * 2)
    for (number, entry) in entries.enumerated() {
      var slot = Int(truncatingIfNeeded: entry.hash) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number + 1)
    }
  }

  /// Drawn once per process, so that nobody outside can choose names that collide.
  private static let seed = UInt64.random(in: .min ... .max)

  private static func hash(_ text: UnsafeRawBufferPointer) -> UInt64 {
    var hash = seed ^ UInt64(text.count)
    var index = 0
    while index + 8 <= text.count {
      hash = mix(hash ^ text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
      index += 8
    }
    var rest: UInt64 = 0
    while index < text.count {
      rest = rest << 8 | UInt64(text[index])
      index += 1
    }
    return mix(hash ^ rest)
  }

  /// Both halves of a 128-bit product, which every bit of the factor reaches.
  private static func mix(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
    return product.high ^ product.low
  }
}
