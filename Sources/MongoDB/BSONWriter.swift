/// Encodes BSON documents, one after another, into one growing buffer that is used again.
///
/// No allocation per field: a field is one check for space and a few stores. Nested documents are written in place and
/// their lengths filled in when they end. Format: bsonspec.org, version 1.1.
///
/// A key given as `StaticString` must not contain a zero byte, which ends a key; keys that come from outside go through
/// the functions with `utf8Key`, which replace it. Strings must be valid UTF-8: whoever parsed them has checked that.
/// The buffer must stay below 2 GiB, far above what one call may send.
package struct BSONWriter: Sendable {
  /// All of it is space; what is written ends at `count`.
  private var storage: [UInt8] = []
  /// The number of bytes written.
  package private(set) var count = 0
  /// The number of bytes for which there is memory.
  var capacity: Int { storage.count }
  /// Where the innermost open document begins, or -1. While it is open its length field holds the `open` of the document
  /// around it, so nesting needs no stack.
  private var open: Int32 = -1
  /// The index of the next element in the innermost open array, and those of the arrays around it.
  private var nextIndex = 0
  private var outerIndices: [Int] = []

  /// An empty writer.
  package init() {}

  /// What is written, copied.
  package var bytes: [UInt8] { Array(storage[..<count]) }

  /// Whether every document begun has been ended.
  package var isComplete: Bool { open < 0 }

  /// Lends what is written for the duration of the call.
  package func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe storage.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }

  /// Begins again at the start of the buffer.
  package mutating func removeAll(keepingCapacity: Bool = true) {
    truncate(to: 0)
    if !keepingCapacity { storage = [] }
  }

  /// Takes back what was written since `count` was `position`, a place between two documents.
  mutating func truncate(to position: Int) {
    count = min(position, count)
    open = -1
    nextIndex = 0
    outerIndices.removeAll(keepingCapacity: true)
  }

  // MARK: Documents and arrays

  /// Begins a document that stands for itself, not a field of another.
  package mutating func beginDocument() {
    precondition(open < 0, "a document inside another needs a key")
    reserve(4)
    let at = count
    unsafe storage.withUnsafeMutableBytes { unsafe $0.storeBytes(of: -1, toByteOffset: at, as: Int32.self) }
    open = Int32(at)
    count = at + 4
  }

  /// Ends the innermost document.
  package mutating func endDocument() {
    precondition(open >= 0, "no document is open")
    reserve(1)
    let at = count
    let start = Int(open)
    open = unsafe storage.withUnsafeMutableBytes { buffer in
      unsafe buffer.storeBytes(of: 0, toByteOffset: at, as: UInt8.self)
      let parent = unsafe buffer.loadUnaligned(fromByteOffset: start, as: Int32.self)
      unsafe buffer.storeBytes(of: Int32(at + 1 - start).littleEndian, toByteOffset: start, as: Int32.self)
      return parent
    }
    count = at + 1
  }

  /// Ends the innermost array.
  package mutating func endArray() {
    endDocument()
    nextIndex = outerIndices.popLast() ?? 0
  }

  /// Begins a document or, as `.array`, an array under a key.
  @inline(__always)
  mutating func begin(_ type: BSONType, key: UnsafeRawBufferPointer) {
    let parent = open
    unsafe field(type, key, size: 4) { unsafe $0.storeBytes(of: parent, as: Int32.self) }
    open = Int32(count - 4)
    if type == .array {
      outerIndices.append(nextIndex)
      nextIndex = 0
    }
  }

  // MARK: Fields

  /// Writes a field's type and key, and leaves `size` bytes that `fill` must write.
  @inline(__always)
  mutating func field(
    _ type: BSONType, _ key: UnsafeRawBufferPointer, size: Int, _ fill: (UnsafeMutableRawPointer) -> Void
  ) {
    let at = count
    let total = key.count + 2 + size
    reserve(total)
    unsafe storage.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { return }
      let start = unsafe base + at
      unsafe start.storeBytes(of: type.rawValue, as: UInt8.self)
      if let from = key.baseAddress { unsafe (start + 1).copyMemory(from: from, byteCount: key.count) }
      unsafe start.storeBytes(of: 0, toByteOffset: key.count + 1, as: UInt8.self)
      unsafe fill(start + key.count + 2)
    }
    count = at + total
  }

  @inline(__always)
  mutating func string(_ type: BSONType, _ key: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) {
    unsafe field(type, key, size: text.count + 5) { to in
      unsafe to.storeBytes(of: Int32(text.count + 1).littleEndian, as: Int32.self)
      if let from = text.baseAddress { unsafe (to + 4).copyMemory(from: from, byteCount: text.count) }
      unsafe to.storeBytes(of: 0, toByteOffset: text.count + 4, as: UInt8.self)
    }
  }

  @inline(__always)
  mutating func integer<I: FixedWidthInteger & BitwiseCopyable>(
    _ type: BSONType, _ key: UnsafeRawBufferPointer, _ value: I
  ) {
    unsafe field(type, key, size: MemoryLayout<I>.size) { unsafe $0.storeBytes(of: value.littleEndian, as: I.self) }
  }

  mutating func binary(_ key: UnsafeRawBufferPointer, subtype: UInt8, _ data: UnsafeRawBufferPointer) {
    unsafe field(.binary, key, size: data.count + 5) { to in
      unsafe to.storeBytes(of: Int32(data.count).littleEndian, as: Int32.self)
      unsafe to.storeBytes(of: subtype, toByteOffset: 4, as: UInt8.self)
      if let from = data.baseAddress { unsafe (to + 5).copyMemory(from: from, byteCount: data.count) }
    }
  }

  /// A value that is encoded already, as it stands.
  mutating func encoded(_ type: UInt8, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    let at = count
    unsafe field(.null, key, size: value.count) { to in
      if let from = value.baseAddress { unsafe to.copyMemory(from: from, byteCount: value.count) }
    }
    storage[at] = type
  }

  /// A document of its own that is encoded already, as it stands.
  mutating func appendEncoded(_ document: UnsafeRawBufferPointer) {
    precondition(open < 0, "a document inside another needs a key")
    reserve(document.count)
    let at = count
    unsafe storage.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress, let from = document.baseAddress else { return }
      unsafe (base + at).copyMemory(from: from, byteCount: document.count)
    }
    count = at + document.count
  }

  /// Lends the key of the array's next element, which is its index in decimal.
  @inline(__always)
  mutating func withNextIndex(_ body: (inout BSONWriter, UnsafeRawBufferPointer) -> Void) {
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    var rest = nextIndex
    nextIndex += 1
    unsafe withUnsafeMutableBytes(of: &digits) { buffer in
      var at = buffer.count
      repeat {
        at -= 1
        unsafe buffer[at] = UInt8(48 + rest % 10)
        rest /= 10
      } while rest > 0
      unsafe body(&self, UnsafeRawBufferPointer(rebasing: buffer[at...]))
    }
  }

  // MARK: Space

  @inline(__always)
  private mutating func reserve(_ needed: Int) {
    if storage.count - count < needed { grow(needed) }
  }

  @inline(never)
  private mutating func grow(_ needed: Int) {
    let space = max(storage.count * 2, count + needed, 512)
    let used = count
    storage = unsafe [UInt8](unsafeUninitializedCapacity: space) { buffer, initialized in
      guard let base = buffer.baseAddress else { return }
      unsafe storage.withUnsafeBufferPointer { old in
        if let from = old.baseAddress { unsafe base.initialize(from: from, count: used) }
      }
      unsafe (base + used).initialize(repeating: 0, count: space - used)
      initialized = space
    }
  }
}
