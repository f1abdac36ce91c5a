import CRdKafka
import Dispatch
import Glibc
import Synchronization

extension Producer {
  /// Serves delivery reports, errors and log lines until the producer is closed; call it on a thread of its own.
  /// Returns at once if the producer is closing, or another thread serves it.
  /// - Parameter afterReports: called after each group of reports, so that callers can act on groups.
  package func run(afterReports: () -> Void = {}) {
    let begun = phase.withLock { phase in
      guard !phase.isClosing, phase.server == nil else { return false }
      phase.server = pthread_self()
      return true
    }
    guard begun else { return }
    while !ending.load(ordering: .acquiring) { serve(-1, afterReports) }
    while serve(0, afterReports) {}
    served.signal()
  }

  /// Serves one event.
  /// - Returns: whether there was one.
  @discardableResult
  func serve(_ milliseconds: Int32, _ afterReports: () -> Void) -> Bool {
    guard let event = unsafe queue.next(milliseconds) else { return false }
    switch unsafe rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_DR:
      unsafe report(event)
      unsafe rd_kafka_event_destroy(event)
      afterReports()
    case RD_KAFKA_EVENT_LOG:
      unsafe log(event)
      unsafe rd_kafka_event_destroy(event)
    case RD_KAFKA_EVENT_ERROR:
      unsafe fail(event)
      unsafe rd_kafka_event_destroy(event)
    default: unsafe rd_kafka_event_destroy(event)
    }
    return true
  }

  private func report(_ event: OpaquePointer) {
    var passing = Deliveries.Passing()
    while let message = unsafe rd_kafka_event_message_next(event) {
      if unsafe message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR, handle.isClosed {
        notDelivered.add(1, ordering: .relaxed)
      }
      if let slot = unsafe message.pointee._private { unsafe passing.pass(message, from: slot) }
    }
  }

  private func log(_ event: OpaquePointer) {
    guard let observer else { return }
    var facility: UnsafePointer<CChar>?
    var text: UnsafePointer<CChar>?
    var level: Int32 = 0
    guard unsafe rd_kafka_event_log(event, &facility, &text, &level) == 0 else { return }
    unsafe observer.clientLogged(
      level: Int(level), facility: facility.map { unsafe String(cString: $0) } ?? "",
      message: text.map { unsafe String(cString: $0) } ?? "")
  }

  private func fail(_ event: OpaquePointer) {
    guard let observer else { return }
    let code = unsafe rd_kafka_event_error(event)
    // The code is the cause's own, not the library's for "fatal".
    if unsafe rd_kafka_event_error_is_fatal(event) != 0 || code == RD_KAFKA_RESP_ERR__FATAL {
      handle.useByOwner { client in
        observer.clientFailed(unsafe KafkaError(RD_KAFKA_RESP_ERR__FATAL, client: client))
      }
    } else {
      let text = unsafe rd_kafka_event_error_string(event).map { unsafe String(cString: $0) }
      observer.clientFailed(KafkaError(.init(code), message: text))
    }
  }
}
