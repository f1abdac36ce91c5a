/// Fields whose keys are written in the program: the hot path.
extension BSONWriter {
  /// A 64-bit floating-point number.
  package mutating func append(_ key: StaticString, _ value: Double) {
    unsafe integer(.double, key.buffer, value.bitPattern)
  }

  /// A 32-bit integer.
  package mutating func append(_ key: StaticString, _ value: Int32) { unsafe integer(.int32, key.buffer, value) }

  /// A 64-bit integer.
  package mutating func append(_ key: StaticString, _ value: Int64) { unsafe integer(.int64, key.buffer, value) }

  /// True or false.
  package mutating func append(_ key: StaticString, _ value: Bool) {
    unsafe integer(.bool, key.buffer, value ? 1 as UInt8 : 0)
  }

  /// A point in time, in milliseconds since 1970 UTC.
  package mutating func appendDate(_ key: StaticString, milliseconds: Int64) {
    unsafe integer(.date, key.buffer, milliseconds)
  }

  /// A string from its bytes, which must be valid UTF-8.
  package mutating func appendString(_ key: StaticString, utf8: UnsafeRawBufferPointer) {
    unsafe string(.string, key.buffer, utf8)
  }

  /// A string from its bytes, which must be valid UTF-8.
  package mutating func appendString(_ key: StaticString, utf8: ArraySlice<UInt8>) {
    unsafe utf8.withUnsafeBytes { unsafe string(.string, key.buffer, $0) }
  }

  /// A string.
  package mutating func appendString(_ key: StaticString, _ value: String) {
    unsafe value.withUTF8Bytes { unsafe string(.string, key.buffer, $0) }
  }

  /// The null value, which is not the same as no field.
  package mutating func appendNull(_ key: StaticString) { unsafe field(.null, key.buffer, size: 0) { _ in } }

  /// An ObjectId.
  package mutating func appendObjectID(_ key: StaticString, _ value: ObjectID) {
    unsafe field(.objectID, key.buffer, size: 12) { to in
      unsafe to.storeBytes(of: value.high.bigEndian, as: UInt64.self)
      unsafe to.storeBytes(of: value.low.bigEndian, toByteOffset: 8, as: UInt32.self)
    }
  }

  /// Binary data; subtype 0 is generic.
  package mutating func appendBinary(_ key: StaticString, _ data: UnsafeRawBufferPointer, subtype: UInt8 = 0) {
    unsafe binary(key.buffer, subtype: subtype, data)
  }

  /// Binary data; subtype 0 is generic.
  package mutating func appendBinary(_ key: StaticString, _ data: [UInt8], subtype: UInt8 = 0) {
    unsafe data.withUnsafeBytes { unsafe binary(key.buffer, subtype: subtype, $0) }
  }

  /// A whole document.
  package mutating func append(_ key: StaticString, _ document: BSONDocument) {
    unsafe document.bytes.withUnsafeBytes { unsafe appendDocument(key, encoded: $0) }
  }

  /// A whole document that is encoded already, as it stands.
  package mutating func appendDocument(_ key: StaticString, encoded document: UnsafeRawBufferPointer) {
    unsafe encoded(BSONType.document.rawValue, key.buffer, document)
  }

  /// Begins a nested document; `endDocument` ends it.
  package mutating func beginDocument(_ key: StaticString) { unsafe begin(.document, key: key.buffer) }

  /// Begins an array; `endArray` ends it. Its elements are appended by the functions named `…Element…`.
  package mutating func beginArray(_ key: StaticString) { unsafe begin(.array, key: key.buffer) }
}

/// Elements of the innermost open array.
extension BSONWriter {
  /// A 64-bit floating-point number.
  package mutating func appendElement(_ value: Double) {
    unsafe withNextIndex { unsafe $0.integer(.double, $1, value.bitPattern) }
  }

  /// A 32-bit integer.
  package mutating func appendElement(_ value: Int32) { unsafe withNextIndex { unsafe $0.integer(.int32, $1, value) } }

  /// A 64-bit integer.
  package mutating func appendElement(_ value: Int64) { unsafe withNextIndex { unsafe $0.integer(.int64, $1, value) } }

  /// True or false.
  package mutating func appendElement(_ value: Bool) {
    unsafe withNextIndex { unsafe $0.integer(.bool, $1, value ? 1 as UInt8 : 0) }
  }

  /// A point in time, in milliseconds since 1970 UTC.
  package mutating func appendElementDate(milliseconds: Int64) {
    unsafe withNextIndex { unsafe $0.integer(.date, $1, milliseconds) }
  }

  /// A string from its bytes, which must be valid UTF-8.
  package mutating func appendElementString(utf8: UnsafeRawBufferPointer) {
    unsafe withNextIndex { unsafe $0.string(.string, $1, utf8) }
  }

  /// A string.
  package mutating func appendElementString(_ value: String) {
    unsafe value.withUTF8Bytes { unsafe appendElementString(utf8: $0) }
  }

  /// A whole document.
  package mutating func appendElement(_ document: BSONDocument) {
    unsafe document.bytes.withUnsafeBytes { unsafe appendElement(encoded: $0) }
  }

  /// A whole document that is encoded already.
  mutating func appendElement(encoded document: UnsafeRawBufferPointer) {
    unsafe withNextIndex { unsafe $0.encoded(BSONType.document.rawValue, $1, document) }
  }

  /// Begins a document; `endDocument` ends it.
  package mutating func beginElementDocument() { unsafe withNextIndex { unsafe $0.begin(.document, key: $1) } }

  /// Begins an array within the array; `endArray` ends it.
  package mutating func beginElementArray() {
    // The index of the new array starts at 0, so that of this one must have been counted before: it has.
    unsafe withNextIndex { unsafe $0.begin(.array, key: $1) }
  }
}

/// Fields whose keys come from outside.
///
/// A zero byte would end the key early and make nonsense of the rest, so it is written as the control character that
/// Unicode has for it, U+001A SUBSTITUTE.
extension BSONWriter {
  /// A 64-bit floating-point number.
  package mutating func append(utf8Key key: UnsafeRawBufferPointer, _ value: Double) {
    unsafe checked(key) { unsafe $0.integer(.double, $1, value.bitPattern) }
  }

  /// A 32-bit integer.
  package mutating func append(utf8Key key: UnsafeRawBufferPointer, _ value: Int32) {
    unsafe checked(key) { unsafe $0.integer(.int32, $1, value) }
  }

  /// A 64-bit integer.
  package mutating func append(utf8Key key: UnsafeRawBufferPointer, _ value: Int64) {
    unsafe checked(key) { unsafe $0.integer(.int64, $1, value) }
  }

  /// True or false.
  package mutating func append(utf8Key key: UnsafeRawBufferPointer, _ value: Bool) {
    unsafe checked(key) { unsafe $0.integer(.bool, $1, value ? 1 as UInt8 : 0) }
  }

  /// A point in time, in milliseconds since 1970 UTC.
  package mutating func appendDate(utf8Key key: UnsafeRawBufferPointer, milliseconds: Int64) {
    unsafe checked(key) { unsafe $0.integer(.date, $1, milliseconds) }
  }

  /// A string from its bytes, which must be valid UTF-8.
  package mutating func appendString(utf8Key key: UnsafeRawBufferPointer, utf8: UnsafeRawBufferPointer) {
    unsafe checked(key) { unsafe $0.string(.string, $1, utf8) }
  }

  /// Begins a nested document; `endDocument` ends it.
  package mutating func beginDocument(utf8Key key: UnsafeRawBufferPointer) {
    unsafe checked(key) { unsafe $0.begin(.document, key: $1) }
  }

  /// Begins an array; `endArray` ends it.
  package mutating func beginArray(utf8Key key: UnsafeRawBufferPointer) {
    unsafe checked(key) { unsafe $0.begin(.array, key: $1) }
  }

  /// Any value under any key. Not for hot paths.
  package mutating func appendValue(_ key: String, _ value: BSONValue) {
    unsafe key.withUTF8Bytes { unsafe checked($0) { unsafe $0.value($1, value) } }
  }

  private mutating func checked(
    _ key: UnsafeRawBufferPointer, _ body: (inout BSONWriter, UnsafeRawBufferPointer) -> Void
  ) {
    if unsafe !key.contains(0) { return unsafe body(&self, key) }
    let replaced = unsafe key.map { $0 == 0 ? 0x1A : $0 }
    unsafe replaced.withUnsafeBytes { unsafe body(&self, $0) }
  }

  private mutating func value(_ key: UnsafeRawBufferPointer, _ value: BSONValue) {
    switch value {
    case .double(let number): unsafe integer(.double, key, number.bitPattern)
    case .string(let text): unsafe text.withUTF8Bytes { unsafe string(.string, key, $0) }
    case .document(let document):
      unsafe document.bytes.withUnsafeBytes { unsafe encoded(BSONType.document.rawValue, key, $0) }
    case .array(let elements):
      unsafe begin(.array, key: key)
      for element in elements { unsafe withNextIndex { unsafe $0.value($1, element) } }
      endArray()
    case .binary(let subtype, let data): unsafe data.withUnsafeBytes { unsafe binary(key, subtype: subtype, $0) }
    case .objectID(let id):
      unsafe id.bytes.withUnsafeBytes { unsafe encoded(BSONType.objectID.rawValue, key, $0) }
    case .bool(let flag): unsafe integer(.bool, key, flag ? 1 as UInt8 : 0)
    case .date(let milliseconds): unsafe integer(.date, key, milliseconds)
    case .null: unsafe field(.null, key, size: 0) { _ in }
    case .int32(let number): unsafe integer(.int32, key, number)
    case .int64(let number): unsafe integer(.int64, key, number)
    case .other(let type, let bytes): unsafe bytes.withUnsafeBytes { unsafe encoded(type, key, $0) }
    }
  }
}

extension StaticString {
  @inline(__always)
  fileprivate var buffer: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
  }
}

extension String {
  /// Lends the string's UTF-8 without changing the string.
  func withUTF8Bytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    var copy = self
    return copy.withUTF8 { unsafe body(UnsafeRawBufferPointer($0)) }
  }
}
