import CMongoC

/// The memory that a client works with, kept from one use to the next.
///
/// `@unchecked Sendable`: the pool hands it from thread to thread under its lock, and only to one at a time.
@safe final class BSONWorkspace: @unchecked Sendable {
  /// Above this many, memory for documents to insert is given back after use (each costs 136 bytes).
  static let keptDocuments = 20_000
  /// Above this many bytes, memory for a command is given back after use.
  static let keptCommand = 1 << 20

  /// What a call needs apart from the documents to insert: two arguments, options, a reply.
  let block = BSONBlock(count: 4)
  private var many = BSONBlock(count: 0)
  private var command = BSONWriter()

  /// Room for so many documents.
  func documents(_ count: Int) -> BSONBlock {
    if many.count < count { many = BSONBlock(count: max(count, 1_024)) }
    return many
  }

  /// Encodes a command, whose fields `build` appends, and lends its bytes.
  func encode<R>(_ build: (inout BSONWriter) -> Void, lending body: (UnsafeRawBufferPointer) -> R) -> R {
    command.removeAll()
    command.beginDocument()
    build(&command)
    command.endDocument()
    return unsafe command.withBytes(body)
  }

  /// Gives back what only an unusually large insert or command needed.
  func trim() {
    if many.count > Self.keptDocuments { many = BSONBlock(count: 0) }
    if command.capacity > Self.keptCommand { command = BSONWriter() }
  }
}
