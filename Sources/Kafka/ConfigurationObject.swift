import CRdKafka
import Glibc

/// A `rd_kafka_conf_t`, destroyed at the end of its scope unless a client has taken it over.
@safe struct ConfigurationObject: ~Copyable {
  let pointer: OpaquePointer

  init() { unsafe pointer = rd_kafka_conf_new() }

  deinit { unsafe rd_kafka_conf_destroy(pointer) }

  /// - Parameters:
  ///   - defaults: what the caller's settings may override.
  ///   - required: what this module depends on; a setting that differs is refused rather than ignored.
  static func make(
    _ configuration: KafkaConfiguration, defaults: [(String, String)], required: [(String, String)]
  ) throws(KafkaError) -> ConfigurationObject {
    let object = ConfigurationObject()
    for (key, value) in defaults { try object.set(key, value) }
    for (key, value) in configuration.settings {
      if let rule = required.first(where: { $0.0 == key }), rule.1 != value {
        throw KafkaError(.invalidArgument, message: "\(key): must be \(rule.1) here")
      }
      try object.set(key, value)
    }
    for (key, value) in required { try object.set(key, value) }
    return object
  }

  /// - Throws: an error that names the key and what it may be, without the value: the library's own text has that in it.
  func set(_ key: String, _ value: String) throws(KafkaError) {
    let result = unsafe rd_kafka_conf_set(pointer, key, value, nil, 0)
    guard result != RD_KAFKA_CONF_OK else { return }
    let reason =
      result == RD_KAFKA_CONF_UNKNOWN
      ? "no such property" : Self.values(of: key).map { "must be \($0)" } ?? "cannot be what it is set to"
    throw KafkaError(.invalidArgument, message: "\(key): \(reason)")
  }

  /// What a property may be, as the library's table of them has it: `0 .. 900000`, `plaintext, ssl`; nil where that does
  /// not say.
  private static func values(of key: String) -> String? {
    // The table has 55 kB.
    let table = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1 << 18) { buffer in
      unsafe buffer.initialize(repeating: 0)
      guard let start = buffer.baseAddress, let stream = unsafe fmemopen(start, buffer.count - 1, "w") else {
        return ""
      }
      unsafe rd_kafka_conf_properties_show(stream)
      unsafe fclose(stream)
      return unsafe String(cString: start)
    }
    for row in table.split(separator: "\n") {
      let cells = row.split(separator: "|").map { $0.split(separator: " ").joined(separator: " ") }
      if cells.count > 2, cells[0] == key { return cells[2].isEmpty ? nil : cells[2] }
    }
    return nil
  }

  /// Makes a client, which takes the object over; when that fails the object is destroyed.
  /// - Parameter configuration: what it was made from.
  consuming func makeClient(
    _ type: rd_kafka_type_t, _ configuration: KafkaConfiguration
  ) throws(KafkaError) -> OpaquePointer {
    var client: OpaquePointer?
    var code = RD_KAFKA_RESP_ERR_NO_ERROR
    let text = unsafe ErrorText.capture { [pointer = unsafe pointer] buffer, size in
      unsafe client = rd_kafka_new(type, pointer, buffer, size)
      if unsafe client == nil { code = rd_kafka_last_error() }
    }
    guard let made = unsafe client else { throw KafkaError(.init(code), message: configuration.withoutValues(text)) }
    relinquish()
    return unsafe made
  }

  /// Gives up the object, which belongs to a client now.
  private consuming func relinquish() { discard self }
}
