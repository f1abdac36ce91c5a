import CRdKafka

/// What the library's callbacks of a consumer need; they get it as their opaque pointer.
final class ConsumerContext: @unchecked Sendable {
  // Unchecked: written before the first poll and after the last; callbacks run only within poll and close, which are
  // the polling thread's.
  weak var consumer: Consumer?
  var handler: (any RebalanceHandler)?
  let observer: (any ClientObserver)?

  init(handler: (any RebalanceHandler)?, observer: (any ClientObserver)?) {
    self.handler = handler
    self.observer = observer
  }

  /// Makes the library call this object, which must outlive the client.
  func register(in object: borrowing ConfigurationObject) {
    unsafe rd_kafka_conf_set_opaque(object.pointer, Unmanaged.passUnretained(self).toOpaque())
    unsafe rd_kafka_conf_set_rebalance_cb(object.pointer) { client, code, list, opaque in
      guard let client = unsafe client, let list = unsafe list, let opaque = unsafe opaque else { return }
      unsafe ConsumerContext.borrowing(opaque).rebalance(client, code, list)
    }
    unsafe rd_kafka_conf_set_offset_commit_cb(object.pointer) { _, code, list, opaque in
      guard let opaque = unsafe opaque else { return }
      unsafe ConsumerContext.borrowing(opaque).committed(code, list)
    }
    unsafe rd_kafka_conf_set_error_cb(object.pointer) { client, code, reason, opaque in
      guard let client = unsafe client, let opaque = unsafe opaque else { return }
      unsafe ConsumerContext.borrowing(opaque).failed(
        client, rd_kafka_resp_err_t(rawValue: code), reason.map { unsafe String(cString: $0) })
    }
    unsafe rd_kafka_conf_set_log_cb(object.pointer) { client, level, facility, text in
      guard let client = unsafe client, let opaque = unsafe rd_kafka_opaque(client) else { return }
      unsafe ConsumerContext.borrowing(opaque).observer?.clientLogged(
        level: Int(level), facility: facility.map { unsafe String(cString: $0) } ?? "",
        message: text.map { unsafe String(cString: $0) } ?? "")
    }
  }

  private static func borrowing(_ opaque: UnsafeMutableRawPointer) -> ConsumerContext {
    unsafe Unmanaged<ConsumerContext>.fromOpaque(opaque).takeUnretainedValue()
  }

  private func rebalance(
    _ client: OpaquePointer, _ code: rd_kafka_resp_err_t,
    _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
  ) {
    let partitions = unsafe PartitionList.partitions(of: list)
    // Which one the members agreed on is known only now.
    let isCooperative = unsafe String(cString: rd_kafka_rebalance_protocol(client)) == "COOPERATIVE"
    switch code {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
      if let consumer, let handler {
        let offsets = handler.assigned(partitions, by: consumer)
        for index in partitions.indices {
          guard let offset = offsets[partitions[index]] else { continue }
          unsafe PartitionList.elements(of: list)[index].offset = offset
        }
      }
      if isCooperative {
        unsafe report(rd_kafka_incremental_assign(client, list))
      } else {
        unsafe report(rd_kafka_assign(client, list))
      }
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      if let consumer, let handler {
        if unsafe rd_kafka_assignment_lost(client) != 0 {
          handler.lost(partitions, by: consumer)
        } else {
          handler.revoked(partitions, by: consumer)
        }
      }
      if isCooperative {
        unsafe report(rd_kafka_incremental_unassign(client, list))
      } else {
        unsafe report(rd_kafka_assign(client, nil))
      }
    default:
      observer?.clientFailed(KafkaError(.init(code)))
      unsafe report(rd_kafka_assign(client, nil))
    }
  }

  /// The outcome of a commit that nobody waited for.
  private func committed(
    _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
  ) {
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR__NO_OFFSET else { return }
    let code = KafkaError.Code(code)
    let names = unsafe list.map { unsafe PartitionList.partitions(of: $0).description } ?? ""
    observer?.clientFailed(KafkaError(code, message: "commit of \(names): \(code.text)"))
  }

  private func failed(_ client: OpaquePointer, _ code: rd_kafka_resp_err_t, _ reason: String?) {
    let isFatal = code == RD_KAFKA_RESP_ERR__FATAL
    observer?.clientFailed(
      isFatal ? unsafe KafkaError(code, client: client) : KafkaError(.init(code), message: reason))
  }

  private func report(_ code: rd_kafka_resp_err_t) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { observer?.clientFailed(KafkaError(.init(code))) }
  }

  private func report(_ error: OpaquePointer?) {
    if let error = unsafe error { observer?.clientFailed(unsafe KafkaError(adopting: error)) }
  }
}
