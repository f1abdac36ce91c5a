import Glibc

/// Bytes that grow at their end and keep their memory when emptied.
package struct ByteBuffer: ~Copyable {
  private var start: UnsafeMutableRawPointer
  private var capacity: Int
  package private(set) var count = 0

  package init(capacity: Int = 256) {
    self.capacity = max(capacity, 16)
    start = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { start.deallocate() }

  /// The bytes, valid until the buffer changes.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  /// Some of the bytes, valid until the buffer changes.
  @inline(__always)
  package func bytes(_ range: ByteRange) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start + Int(range.offset), count: Int(range.count))
  }

  /// Cuts the buffer to its first bytes, and keeps its memory.
  package mutating func truncate(to newCount: Int) {
    precondition(newCount <= count)
    count = newCount
  }

  /// Makes room for that many bytes more.
  @inline(__always)
  package mutating func reserve(_ additional: Int) {
    if capacity - count < additional { grow(additional) }
  }

  @inline(never)
  private mutating func grow(_ additional: Int) {
    capacity = max(capacity * 2, count + additional)
    let new = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    new.copyMemory(from: start, byteCount: count)
    start.deallocate()
    start = new
  }

  @inline(__always)
  package mutating func append(_ byte: UInt8) {
    reserve(1)
    start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  @inline(__always)
  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    reserve(bytes.count)
    memcpy(start + count, source, bytes.count)
    count += bytes.count
  }

  /// Writes over bytes that are there.
  package mutating func overwrite(at offset: Int, _ bytes: UnsafeRawBufferPointer) {
    precondition(offset >= 0 && offset + bytes.count <= count)
    guard let source = bytes.baseAddress else { return }
    memcpy(start + offset, source, bytes.count)
  }

  @inline(__always)
  package mutating func append(_ literal: StaticString) {
    append(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }

  package mutating func append(text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends bytes that `body` writes.
  @inline(__always)
  package mutating func append(count additional: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    reserve(additional)
    body(UnsafeMutableRawBufferPointer(start: start + count, count: additional))
    count += additional
  }
}

/// A part of a `ByteBuffer`.
package struct ByteRange: Equatable, Sendable {
  package var offset: UInt32
  package var count: UInt32

  package init(offset: UInt32, count: UInt32) {
    self.offset = offset
    self.count = count
  }

  /// Nothing: what is absent.
  package static let none = ByteRange(offset: 0, count: 0)

  package var isEmpty: Bool { count == 0 }
}
