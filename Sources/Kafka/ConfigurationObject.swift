import CRdKafka

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
        throw KafkaError(.invalidArgument, message: "\(key): must be \(rule.1) here, not \(value)")
      }
      try object.set(key, value)
    }
    for (key, value) in required { try object.set(key, value) }
    return object
  }

  /// - Throws: an error that names the key.
  func set(_ key: String, _ value: String) throws(KafkaError) {
    var result = RD_KAFKA_CONF_OK
    let text = unsafe ErrorText.capture { buffer, size in
      result = unsafe rd_kafka_conf_set(pointer, key, value, buffer, size)
    }
    guard result == RD_KAFKA_CONF_OK else {
      throw KafkaError(.invalidArgument, message: "\(key): \(text)")
    }
  }

  /// Makes a client, which takes the object over; when that fails the object is destroyed.
  consuming func makeClient(_ type: rd_kafka_type_t) throws(KafkaError) -> OpaquePointer {
    var client: OpaquePointer?
    var code = RD_KAFKA_RESP_ERR_NO_ERROR
    let text = unsafe ErrorText.capture { [pointer = unsafe pointer] buffer, size in
      unsafe client = rd_kafka_new(type, pointer, buffer, size)
      if unsafe client == nil { code = rd_kafka_last_error() }
    }
    guard let made = unsafe client else { throw KafkaError(.init(code), message: text) }
    relinquish()
    return unsafe made
  }

  /// Gives up the object, which belongs to a client now.
  private consuming func relinquish() { discard self }
}
