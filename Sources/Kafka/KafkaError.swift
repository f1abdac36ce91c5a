import CRdKafka

/// What librdkafka or a broker refused, or what became of a message.
package struct KafkaError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What went wrong.
  package let code: Code
  /// Whether the client can do nothing more and has to be replaced.
  package let isFatal: Bool
  /// Whether the transaction has failed: it has to be aborted, and nothing of it counts.
  package private(set) var requiresAbort = false
  // Most errors need only the library's own text for the code: it is made when it is asked for, not per failed message.
  private let detail: String?
  private let flaggedRetriable: Bool

  /// An error with a text of its own, or with the library's text for the code.
  package init(_ code: Code, message: String? = nil) {
    self.init(code, message: message, isFatal: false, flaggedRetriable: false)
  }

  init(_ code: Code, message: String?, isFatal: Bool, flaggedRetriable: Bool) {
    self.code = code
    self.detail = message
    self.isFatal = isFatal || code == .fatal
    self.flaggedRetriable = flaggedRetriable
  }

  /// What went wrong, for people.
  package var message: String { detail ?? code.text }

  /// Whether the same call may succeed later, unchanged.
  package var isRetriable: Bool {
    !isFatal && (flaggedRetriable || isBackpressure || Code.passing.contains(code))
  }

  /// Whether the configuration is wrong: no client can be made with it.
  package var isMisconfiguration: Bool { code == .invalidArgument }

  /// Whether another producer has taken over the transactional id.
  package var isFenced: Bool { Code.fenced.contains(code) }

  /// Whether the producer's queue is full: wait for delivery reports, then try again.
  package var isBackpressure: Bool { code == .queueFull }

  package var description: String { "\(message) [\(code)]" }
}

extension KafkaError {
  /// Takes over an error object, which is destroyed here.
  init(adopting error: OpaquePointer) {
    unsafe self.init(
      Code(rd_kafka_error_code(error)), message: String(cString: rd_kafka_error_string(error)),
      isFatal: rd_kafka_error_is_fatal(error) != 0, flaggedRetriable: rd_kafka_error_is_retriable(error) != 0)
    unsafe requiresAbort = rd_kafka_error_txn_requires_abort(error) != 0
    unsafe rd_kafka_error_destroy(error)
  }

  /// An error of a client; a fatal one gets the reason that the client remembers.
  init(_ code: rd_kafka_resp_err_t, client: OpaquePointer) {
    guard code == RD_KAFKA_RESP_ERR__FATAL else {
      self.init(Code(code))
      return
    }
    var cause = code
    let text = unsafe ErrorText.capture { buffer, size in cause = unsafe rd_kafka_fatal_error(client, buffer, size) }
    self.init(Code(cause), message: text, isFatal: true, flaggedRetriable: false)
  }

  /// Throws unless the code says that all is well.
  static func check(_ code: rd_kafka_resp_err_t, _ client: OpaquePointer? = nil) throws(KafkaError) {
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    if let client = unsafe client { throw unsafe KafkaError(code, client: client) }
    throw KafkaError(Code(code))
  }

  static func closed(_ what: String) -> KafkaError { KafkaError(.closed, message: "\(what) is closed") }
}

/// The buffer for a text that a C function may write.
enum ErrorText {
  static func capture(_ body: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
      unsafe buffer.initialize(repeating: 0)
      guard let start = buffer.baseAddress else { return "" }
      unsafe body(start, buffer.count)
      return unsafe String(cString: start)
    }
  }
}
