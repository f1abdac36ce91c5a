import CRdKafka

/// The headers of messages, made once and copied into each message produced with them.
@safe package final class MessageHeaders: @unchecked Sendable {
  // Unchecked: the list is written in init only; copying it reads it.
  private let list: OpaquePointer
  /// What they add to a message, at most.
  package let byteCount: Int

  /// Headers in the order given; names may repeat, and a value may be absent, which is not an empty one.
  package init(_ pairs: [(String, [UInt8]?)]) {
    unsafe list = rd_kafka_headers_new(pairs.count)
    // Each has two lengths, of up to five bytes (Kafka protocol, varint).
    byteCount = pairs.reduce(5) { $0 + $1.0.utf8.count + ($1.1?.count ?? 0) + 10 }
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

  deinit { unsafe rd_kafka_headers_destroy(list) }

  /// A copy that belongs to the caller.
  func copyingList() -> OpaquePointer { unsafe rd_kafka_headers_copy(list) }
}
