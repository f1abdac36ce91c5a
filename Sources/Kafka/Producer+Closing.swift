import CRdKafka
import Dispatch
import Glibc
import Synchronization

extension Producer {
  /// Has no message wait for others to be sent with it (`linger.ms`), until every message of the producer is reported or
  /// the time is over; brokers' threads hear of it in less than a millisecond. Only while another thread serves it.
  package func flush(timeout: Duration) {
    guard handle.enter() else { return }
    defer { handle.leave() }
    handle.useByOwner { client in _ = unsafe flush(client, timeout, isServed: true) }
  }

  /// Ends the producer: takes no more messages, waits up to `timeout` for those it has, gives up the rest, which are
  /// reported as failed, ends ``run(afterReports:)``, and frees everything. When it returns, every message has been
  /// reported. A second call waits for the first and returns the same.
  ///
  /// Not for the serving thread, which it waits for: there it does nothing.
  /// - Returns: how many messages were reported as failed since the call.
  @discardableResult
  package func close(timeout: Duration) -> Int {
    let (isFirst, server) = phase.withLock { phase in
      let isFirst = !phase.isClosing && phase.server != pthread_self()
      if isFirst {
        phase.isClosing = true
        closed.enter()
      }
      return (isFirst, phase.server)
    }
    guard isFirst else {
      if server != pthread_self() { closed.wait() }
      return notDelivered.load(ordering: .acquiring)
    }
    _ = handle.closeAndWait()
    handle.useByOwner { client in
      if !(unsafe flush(client, timeout, isServed: server != nil)) {
        // Purging is asynchronous where a broker's thread holds the message, so look again until nothing is left.
        repeat {
          _ = unsafe rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        } while !(unsafe flush(client, .seconds(1), isServed: server != nil))
      }
    }
    ending.store(true, ordering: .releasing)
    if server != nil {
      queue.interrupt()
      served.wait()
    } else {
      while serve(0, {}) {}
    }
    topics.withLock { topics in
      for topic in topics { unsafe rd_kafka_topic_destroy(topic.pointer) }
      topics = []
    }
    queue.destroy()
    handle.destroy()
    closed.leave()
    return notDelivered.load(ordering: .acquiring)
  }

  /// Waits until every message is reported.
  /// - Returns: whether that was so within the timeout.
  private func flush(_ client: OpaquePointer, _ timeout: Duration, isServed: Bool) -> Bool {
    if isServed { return unsafe rd_kafka_flush(client, timeout.kafkaMilliseconds) == RD_KAFKA_RESP_ERR_NO_ERROR }
    // With reports as events the library's flush only waits for the serving thread: nobody is that but this one.
    let deadline = ContinuousClock.now + timeout
    while unsafe rd_kafka_flush(client, 0) != RD_KAFKA_RESP_ERR_NO_ERROR {
      let left = deadline - .now
      guard left > .zero else { return false }
      serve(min(left, .milliseconds(100)).kafkaMilliseconds, {})
    }
    return true
  }
}
