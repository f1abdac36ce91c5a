import CMongoC

/// An encoded BSON document: its fields in order, read where they stand.
///
/// Documents from a server are taken as they come. Reading checks every length, and stops before the first element that
/// does not make sense; text that is not UTF-8 is repaired.
package struct BSONDocument: Sendable, Equatable {
  /// The whole document, with its length in front.
  package let bytes: [UInt8]

  /// Encodes a document: `build` appends its fields.
  package init(_ build: (inout BSONWriter) -> Void) {
    var writer = BSONWriter()
    writer.beginDocument()
    build(&writer)
    writer.endDocument()
    precondition(writer.isComplete, "a nested document was not ended")
    bytes = writer.bytes
  }

  /// A document of these fields, in this order.
  package init(_ fields: some Sequence<(String, BSONValue)>) {
    self.init { writer in
      for (key, value) in fields { writer.appendValue(key, value) }
    }
  }

  /// A document from outside; nil unless every length in it is right, and none of it nested too deep.
  package init?(bytes: [UInt8]) {
    guard BSONCursor.isWellFormed(bytes) else { return nil }
    self.bytes = bytes
  }

  /// Bytes that may be anything.
  init(unchecked bytes: [UInt8]) { self.bytes = bytes }

  /// The value of the first field with this key.
  package subscript(key: String) -> BSONValue? {
    var cursor = BSONCursor(bytes)
    return unsafe key.withUTF8Bytes { wanted in
      while let element = cursor.next() {
        if element.key.count == wanted.count, unsafe bytes[element.key].elementsEqual(wanted) {
          return element.value(in: bytes)
        }
      }
      return nil
    }
  }

  /// Whether it has no fields.
  package var isEmpty: Bool {
    var cursor = BSONCursor(bytes)
    return cursor.next() == nil
  }

  /// Every field, by libbson's own reading: MongoDB Extended JSON in canonical form, or nil if it is
  /// malformed, or has text that is not UTF-8.
  package var extendedJSON: String? {
    unsafe withBSON { document in
      var length = 0
      guard let text = unsafe bson_as_canonical_extended_json(document, &length) else { return nil }
      defer { unsafe bson_free(text) }
      return unsafe String(
        decoding: UnsafeRawBufferPointer(start: UnsafeRawPointer(text), count: length), as: UTF8.self)
    } ?? nil
  }

  /// What libbson's validation says against its structure; nil if nothing.
  var problem: String? {
    unsafe withBSON { document in
      var error = bson_error_t()
      return unsafe bson_validate_with_error(document, BSON_VALIDATE_NONE, &error) ? nil : error.text
    } ?? "a length in it is wrong, or it is nested too deep"
  }

  private func withBSON<R>(_ body: (OpaquePointer) -> R) -> R? {
    guard BSONCursor.isWellFormed(bytes) else { return nil }
    let block = BSONBlock(count: 1)
    return unsafe bytes.withUnsafeBytes { unsafe block.view(0, $0).map { unsafe body($0) } }
  }
}

extension BSONDocument: ExpressibleByDictionaryLiteral, CustomStringConvertible {
  package init(dictionaryLiteral elements: (String, BSONValue)...) { self.init(elements) }

  package var description: String { extendedJSON ?? "malformed BSON, \(bytes.count) bytes" }
}

extension BSONDocument: Sequence {
  /// The fields in order.
  package struct Iterator: IteratorProtocol {
    private let bytes: [UInt8]
    private var cursor: BSONCursor

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      cursor = BSONCursor(bytes)
    }

    package mutating func next() -> (key: String, value: BSONValue)? {
      guard let element = cursor.next() else { return nil }
      return (String(decoding: bytes[element.key], as: UTF8.self), element.value(in: bytes))
    }
  }

  package func makeIterator() -> Iterator { Iterator(bytes) }
}
