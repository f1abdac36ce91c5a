/// Many documents in one buffer that is used again, ready to be sent.
package struct BSONBatch: Sendable {
  private var writer = BSONWriter()
  private var ends: [Int] = []

  /// An empty batch.
  package init() {}

  /// The number of documents.
  package var count: Int { ends.count }

  /// Whether it has no documents.
  package var isEmpty: Bool { ends.isEmpty }

  /// The bytes of all documents together.
  package var byteCount: Int { writer.count }

  /// Appends a document: `build` appends its fields.
  package mutating func append(_ build: (inout BSONWriter) -> Void) {
    writer.beginDocument()
    build(&writer)
    writer.endDocument()
    precondition(writer.isComplete, "a nested document was not ended")
    ends.append(writer.count)
  }

  /// Appends a document that is encoded already.
  package mutating func append(_ document: BSONDocument) {
    unsafe document.bytes.withUnsafeBytes { unsafe writer.appendEncoded($0) }
    ends.append(writer.count)
  }

  /// Takes back the last document, if there is one.
  package mutating func removeLast() {
    guard ends.popLast() != nil else { return }
    writer.truncate(to: ends.last ?? 0)
  }

  /// Empties it for the next batch.
  package mutating func removeAll(keepingCapacity: Bool = true) {
    writer.removeAll(keepingCapacity: keepingCapacity)
    ends.removeAll(keepingCapacity: keepingCapacity)
  }

  /// Where a document's bytes are among those of all.
  package func range(of index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

  /// A copy of one document.
  package subscript(index: Int) -> BSONDocument {
    unsafe withBytes { unsafe BSONDocument(unchecked: Array($0[range(of: index)])) }
  }

  /// Lends the bytes of all documents for the duration of the call.
  package func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { unsafe writer.withBytes(body) }
}
