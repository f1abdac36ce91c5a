import Glibc

/// A value in a parsed text, read where simdjson left it, with no copy. Valid only inside the closure it was handed to.
///
/// The layout is simdjson's tape (doc/tape.md of version 3.0.1): a word's top byte is its type, the rest its payload.
@safe package struct JSONValue {
  /// What a value is.
  package enum Kind: Equatable { case object, array, string, number, boolean, null }

  private let tape: UnsafePointer<UInt64>
  private let strings: UnsafeRawPointer
  private let index: Int

  @inline(__always)
  init(tape: UnsafePointer<UInt64>, strings: UnsafeRawPointer, index: Int) {
    unsafe self.tape = unsafe tape
    unsafe self.strings = unsafe strings
    self.index = index
  }

  private static let payload: UInt64 = (1 << 56) - 1

  @inline(__always) private var word: UInt64 { unsafe tape[index] }
  @inline(__always) private var type: UInt8 { UInt8(truncatingIfNeeded: word >> 56) }

  package var kind: Kind {
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
  package var number: Double? {
    switch type {
    case UInt8(ascii: "d"): Double(bitPattern: unsafe tape[index + 1])
    case UInt8(ascii: "l"): Double(Int64(bitPattern: unsafe tape[index + 1]))
    case UInt8(ascii: "u"): Double(unsafe tape[index + 1])
    default: nil
    }
  }

  /// A whole number that fits.
  package var integer: Int64? {
    type == UInt8(ascii: "l") ? Int64(bitPattern: unsafe tape[index + 1]) : nil
  }

  package var boolean: Bool? {
    switch type {
    case UInt8(ascii: "t"): true
    case UInt8(ascii: "f"): false
    default: nil
    }
  }

  /// A string's bytes, unescaped, valid UTF-8.
  package var string: UnsafeRawBufferPointer? {
    guard type == UInt8(ascii: "\"") else { return nil }
    return unsafe text(at: index)
  }

  /// The members of an object in their order, repeated names included; none for another kind.
  package var members: Members {
    type == UInt8(ascii: "{")
      ? Members(value: self, position: index + 1, end: end - 1) : Members(value: self, position: 0, end: 0)
  }

  /// The elements of an array; none for another kind.
  package var elements: Elements {
    type == UInt8(ascii: "[")
      ? Elements(value: self, position: index + 1, end: end - 1) : Elements(value: self, position: 0, end: 0)
  }

  /// The value of the first member of that name.
  package subscript(_ name: StaticString) -> JSONValue? {
    for member in members where member.hasName(name) { return member.value }
    return nil
  }

  /// The index of the tape behind this value.
  @inline(__always) private var end: Int {
    switch type {
    // The low 32 bits are the index behind the closing word; the other 24 are a count.
    case UInt8(ascii: "{"), UInt8(ascii: "["): Int(UInt32(truncatingIfNeeded: word))
    case UInt8(ascii: "l"), UInt8(ascii: "u"), UInt8(ascii: "d"): index + 2
    default: index + 1
    }
  }

  @inline(__always) private func text(at index: Int) -> UnsafeRawBufferPointer {
    let start = unsafe strings + Int(tape[index] & Self.payload)
    return unsafe UnsafeRawBufferPointer(
      start: start + 4, count: Int(start.loadUnaligned(as: UInt32.self)))
  }

  @inline(__always) private func at(_ index: Int) -> JSONValue {
    unsafe JSONValue(tape: tape, strings: strings, index: index)
  }

  /// A name and its value.
  @safe package struct Member {
    package let name: UnsafeRawBufferPointer
    package let value: JSONValue

    /// Whether the name is exactly that.
    @inline(__always)
    package func hasName(_ other: StaticString) -> Bool { unsafe name.equals(other) }
  }

  package struct Members: Sequence, IteratorProtocol {
    fileprivate let value: JSONValue
    fileprivate var position: Int
    fileprivate let end: Int

    package mutating func next() -> Member? {
      guard position < end else { return nil }
      let member = value.at(position + 1)
      defer { position = member.end }
      return unsafe Member(name: value.text(at: position), value: member)
    }
  }

  package struct Elements: Sequence, IteratorProtocol {
    fileprivate let value: JSONValue
    fileprivate var position: Int
    fileprivate let end: Int

    package mutating func next() -> JSONValue? {
      guard position < end else { return nil }
      let element = value.at(position)
      position = element.end
      return element
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether the bytes are those of a literal.
  @inline(__always)
  package func equals(_ literal: StaticString) -> Bool {
    unsafe count == literal.utf8CodeUnitCount
      && (count == 0 || memcmp(baseAddress!, literal.utf8Start, count) == 0)
  }
}
