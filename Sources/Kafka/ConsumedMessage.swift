import CRdKafka
import Glibc
import Synchronization

/// A message that was read. Its bytes are the library's own, and live as long as this.
///
/// May be kept as long as one likes, also beyond the closing of its consumer, and may be given to any thread.
@safe package final class ConsumedMessage: @unchecked Sendable {
  /// What a parsed header takes beside its name and value.
  private static let headerOverhead = 64

  // Unchecked: the message is only read, but for its headers, which are parsed in place when they are first asked for:
  // `headersParsing` orders that.
  private let message: UnsafeMutablePointer<rd_kafka_message_t>
  private let client: ClientHandle
  private let headersParsing = Mutex(())

  /// Takes over a message, and one use of its client.
  init(adopting message: UnsafeMutablePointer<rd_kafka_message_t>, usedClient client: ClientHandle) {
    unsafe self.message = unsafe message
    self.client = client
  }

  deinit {
    unsafe rd_kafka_message_destroy(message)
    client.leave()
  }

  /// The topic's name. Allocates only for names of more than 15 bytes.
  package var topic: String { unsafe String(cString: rd_kafka_topic_name(message.pointee.rkt)) }
  package var partition: Int32 { unsafe message.pointee.partition }
  package var topicPartition: TopicPartition { TopicPartition(topic: topic, partition: partition) }
  package var offset: Int64 { unsafe message.pointee.offset }

  /// Milliseconds since 1970, by the producer's clock or the broker's as the topic is set; nil if there is none.
  package var timestamp: Int64? {
    var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let milliseconds = unsafe rd_kafka_message_timestamp(message, &type)
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || milliseconds < 0 ? nil : milliseconds
  }

  /// Lends the key; nil when there is none.
  package func withKey<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer?) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(
      message.pointee.key.map { unsafe UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len) })
  }

  /// Lends the value; nil for a tombstone.
  package func withValue<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer?) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(
      message.pointee.payload.map { unsafe UnsafeRawBufferPointer(start: $0, count: message.pointee.len) })
  }

  /// Lends the last header of a name; nil if there is none or it has no value.
  package func withHeader<Result, Failure: Error>(
    _ name: String, _ body: (UnsafeRawBufferPointer?) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var value: UnsafeRawPointer?
    var size = 0
    guard let list = unsafe headerList,
      unsafe rd_kafka_header_get_last(list, name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR
    else { return try body(nil) }
    return try unsafe body(value.map { unsafe UnsafeRawBufferPointer(start: $0, count: size) })
  }

  /// A copy of the last header of a name; nil if there is none or it has no value.
  package func header(_ name: String) -> [UInt8]? { unsafe withHeader(name) { unsafe $0.map { unsafe Array($0) } } }

  /// Copies of all headers in their order; a header may have no value, which is not an empty one.
  package var headers: [(String, [UInt8]?)] {
    guard let list = unsafe headerList else { return [] }
    var headers: [(String, [UInt8]?)] = []
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while unsafe rd_kafka_header_get_all(list, headers.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
      guard let known = unsafe name else { break }
      unsafe headers.append(
        (String(cString: known), value.map { unsafe Array(UnsafeRawBufferPointer(start: $0, count: size)) }))
    }
    return headers
  }

  /// How many bytes its key and value take, and its headers when they are parsed.
  package var byteCount: Int {
    var count = unsafe message.pointee.key_len + message.pointee.len
    guard let list = unsafe headerList else { return count }
    var index = 0
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while unsafe rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
      count += unsafe Self.headerOverhead + size + (name.map { unsafe strlen($0) } ?? 0)
      index += 1
    }
    return count
  }

  private var headerList: OpaquePointer? {
    unsafe headersParsing.withLock { _ in
      var list: OpaquePointer?
      guard unsafe rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
      return unsafe list
    }
  }
}

/// What a poll brought.
package enum Polled: Sendable {
  case message(ConsumedMessage)
  /// The consumer goes on unless the error is fatal.
  case failed(KafkaError)
}
