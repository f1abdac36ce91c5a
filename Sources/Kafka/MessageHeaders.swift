import CRdKafka

/// The headers of messages, made once and copied into each message produced with them.
@safe package final class MessageHeaders: @unchecked Sendable {
  // Unchecked: both are written only by their maker before it is used; the list is handed over only by its last user;
  // copying it reads it.
  private var list: OpaquePointer?
  private(set) var count = 0
  /// What they add to a message, at most.
  package private(set) var byteCount = 5

  /// No headers yet, and room for some.
  package init(capacity: Int) { unsafe list = rd_kafka_headers_new(capacity) }

  /// Adds a header; only before the first message is produced with these.
  package func append(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
    byteCount += Self.size(name.utf8CodeUnitCount, value.count)
    count += 1
    unsafe name.utf8Start.withMemoryRebound(to: CChar.self, capacity: name.utf8CodeUnitCount) { start in
      _ = unsafe rd_kafka_header_add(
        list, start, name.utf8CodeUnitCount, value.baseAddress ?? Bytes.empty, value.count)
    }
  }

  /// A header has two lengths, of up to five bytes (Kafka protocol, varint).
  private static func size(_ name: Int, _ value: Int) -> Int { name + value + 10 }

  /// Headers in the order given; names may repeat, and a value may be absent, which is not an empty one.
  package init(_ pairs: [(String, [UInt8]?)]) {
    unsafe list = rd_kafka_headers_new(pairs.count)
    count = pairs.count
    byteCount = pairs.reduce(byteCount) { $0 + Self.size($1.0.utf8.count, $1.1?.count ?? 0) }
    for (name, value) in pairs {
      var name = name
      name.withUTF8 { name in
        unsafe name.withMemoryRebound(to: CChar.self) { name in
          let start = unsafe name.baseAddress ?? Bytes.emptyName
          guard let value else {
            _ = unsafe rd_kafka_header_add(list, start, name.count, nil, 0)
            return
          }
          unsafe value.withUnsafeBytes { value in
            // An address that is not null: a header without one has no value rather than an empty one.
            _ = unsafe rd_kafka_header_add(list, start, name.count, value.baseAddress ?? Bytes.empty, value.count)
          }
        }
      }
    }
  }

  deinit {
    if let list = unsafe list { unsafe rd_kafka_headers_destroy(list) }
  }

  /// A copy that belongs to the caller.
  func copyingList() -> OpaquePointer? { unsafe list.map { unsafe rd_kafka_headers_copy($0) } }

  /// Replaces the value of a header of a list that belongs to the caller, which is cheaper than to add one.
  static func overwrite(_ list: OpaquePointer, at index: Int, _ value: UnsafeRawBufferPointer) {
    var name: UnsafePointer<CChar>?
    var old: UnsafeRawPointer?
    var size = 0
    // The list has copies of its own of all values, so that nobody else sees this.
    guard unsafe rd_kafka_header_get_all(list, index, &name, &old, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
      let old = unsafe old, let from = value.baseAddress, size == value.count
    else { return }
    unsafe UnsafeMutableRawPointer(mutating: old).copyMemory(from: from, byteCount: size)
  }

  /// The list itself, which belongs to the caller from here on; these headers are of no use after that.
  func relinquishList() -> OpaquePointer? {
    defer { unsafe list = nil }
    return unsafe list
  }
}
