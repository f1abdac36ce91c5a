public import Glibc

// Public, unlike all else here: what is only `package` is not inlined in other modules, and a call for each member of each
// reading is a tenth of what it takes to read one.

/// A value in a parsed text, read where simdjson left it, with no copy. Valid only inside the closure it was handed to.
///
/// The layout is simdjson's tape (doc/tape.md of version 3.0.1): a word's top byte is its type, the rest its payload.
@safe public struct JSONValue {
  /// What a value is.
  public enum Kind: Equatable { case object, array, string, number, boolean, null }

  @usableFromInline let tape: UnsafePointer<UInt64>
  @usableFromInline let strings: UnsafeRawPointer
  @usableFromInline let index: Int

  @inlinable @inline(__always)
  init(tape: UnsafePointer<UInt64>, strings: UnsafeRawPointer, index: Int) {
    unsafe self.tape = unsafe tape
    unsafe self.strings = unsafe strings
    self.index = index
  }

  @inlinable static var payload: UInt64 { (1 << 56) - 1 }

  @inlinable @inline(__always) var word: UInt64 { unsafe tape[index] }
  @inlinable @inline(__always) var type: UInt8 { UInt8(truncatingIfNeeded: word >> 56) }

  @inlinable public var kind: Kind {
    switch type {
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "\""): .string
    case UInt8(ascii: "l"), UInt8(ascii: "u"), UInt8(ascii: "d"): .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
    default: .null
    }
  }

  /// A number, always finite.
  @inlinable public var number: Double? {
    switch type {
    case UInt8(ascii: "d"): Double(bitPattern: unsafe tape[index + 1])
    case UInt8(ascii: "l"): Double(Int64(bitPattern: unsafe tape[index + 1]))
    case UInt8(ascii: "u"): Double(unsafe tape[index + 1])
    default: nil
    }
  }

  /// A whole number that fits.
  @inlinable public var integer: Int64? {
    type == UInt8(ascii: "l") ? Int64(bitPattern: unsafe tape[index + 1]) : nil
  }

  @inlinable public var boolean: Bool? {
    switch type {
    case UInt8(ascii: "t"): true
    case UInt8(ascii: "f"): false
    default: nil
    }
  }

  /// A string's bytes, unescaped, valid UTF-8.
  @inlinable public var string: UnsafeRawBufferPointer? {
    guard type == UInt8(ascii: "\"") else { return nil }
    return unsafe text(at: index)
  }

  /// The members of an object in their order, repeated names included; none for another kind.
  @inlinable public var members: Members {
    type == UInt8(ascii: "{")
      ? Members(value: self, position: index + 1, end: end - 1) : Members(value: self, position: 0, end: 0)
  }

  /// The elements of an array; none for another kind.
  @inlinable public var elements: Elements {
    type == UInt8(ascii: "[")
      ? Elements(value: self, position: index + 1, end: end - 1) : Elements(value: self, position: 0, end: 0)
  }

  /// The value of the first member of that name.
  @inlinable public subscript(_ name: StaticString) -> JSONValue? {
    for member in members where member.hasName(name) { return member.value }
    return nil
  }

  /// The index of the tape behind this value.
  @inlinable @inline(__always) var end: Int {
    switch type {
    // The low 32 bits are the index behind the closing word; the other 24 are a count.
    case UInt8(ascii: "{"), UInt8(ascii: "["): Int(UInt32(truncatingIfNeeded: word))
    case UInt8(ascii: "l"), UInt8(ascii: "u"), UInt8(ascii: "d"): index + 2
    default: index + 1
    }
  }

  @inlinable @inline(__always) func text(at index: Int) -> UnsafeRawBufferPointer {
    let start = unsafe strings + Int(tape[index] & Self.payload)
    return unsafe UnsafeRawBufferPointer(
      start: start + 4, count: Int(start.loadUnaligned(as: UInt32.self)))
  }

  @inlinable @inline(__always) func at(_ index: Int) -> JSONValue {
    unsafe JSONValue(tape: tape, strings: strings, index: index)
  }

  /// A name and its value.
  @safe public struct Member {
    public let name: UnsafeRawBufferPointer
    public let value: JSONValue

    @inlinable @inline(__always)
    init(name: UnsafeRawBufferPointer, value: JSONValue) {
      unsafe self.name = unsafe name
      self.value = value
    }

    /// Whether the name is exactly that.
    @inlinable @inline(__always)
    public func hasName(_ other: StaticString) -> Bool { unsafe name.equals(other) }
  }

  public struct Members: Sequence, IteratorProtocol {
    @usableFromInline let value: JSONValue
    @usableFromInline var position: Int
    @usableFromInline let end: Int

    @inlinable @inline(__always)
    init(value: JSONValue, position: Int, end: Int) {
      self.value = value
      self.position = position
      self.end = end
    }

    @inlinable public mutating func next() -> Member? {
      guard position < end else { return nil }
      let member = value.at(position + 1)
      defer { position = member.end }
      return unsafe Member(name: value.text(at: position), value: member)
    }
  }

  public struct Elements: Sequence, IteratorProtocol {
    @usableFromInline let value: JSONValue
    @usableFromInline var position: Int
    @usableFromInline let end: Int

    @inlinable @inline(__always)
    init(value: JSONValue, position: Int, end: Int) {
      self.value = value
      self.position = position
      self.end = end
    }

    @inlinable public mutating func next() -> JSONValue? {
      guard position < end else { return nil }
      let element = value.at(position)
      position = element.end
      return element
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether the first bytes are those of a literal.
  @inlinable @inline(__always)
  public func begins(with literal: StaticString) -> Bool {
    let length = literal.utf8CodeUnitCount
    return unsafe count >= length && (length == 0 || memcmp(baseAddress!, literal.utf8Start, length) == 0)
  }

  /// Whether the bytes are those of a literal.
  @inlinable @inline(__always)
  public func equals(_ literal: StaticString) -> Bool {
    // The literal's count, which the compiler knows, so that it compares without a call.
    unsafe count == literal.utf8CodeUnitCount
      && (count == 0 || memcmp(baseAddress!, literal.utf8Start, literal.utf8CodeUnitCount) == 0)
  }
}
