import CRdKafka

/// Transactions: what is produced in one is seen by readers of what is committed, as a whole or not at all.
///
/// For a producer with a `transactional.id`, whose reports another thread serves (``run(afterReports:)``): a commit waits
/// for them. One thread calls these.
extension Producer {
  /// Takes the transactional id over: whoever had it before can do nothing more, and its open transaction is aborted.
  /// Call it once, before the first ``beginTransaction()``; when it returns, everything that was committed under the id
  /// is there to be read.
  /// - Throws: when it did not come about within `timeout`; where `isRetriable`, it may be called again.
  package func initTransactions(timeout: Duration) throws(KafkaError) {
    try unsafe transact { unsafe rd_kafka_init_transactions($0, timeout.kafkaMilliseconds) }
  }

  /// Begins a transaction; all that is produced from here on belongs to it.
  package func beginTransaction() throws(KafkaError) {
    try unsafe transact { unsafe rd_kafka_begin_transaction($0) }
  }

  /// Delivers what waits, and commits.
  /// - Throws: where `isRetriable`, the outcome is unknown and it is to be called again; where `requiresAbort`, nothing
  ///   of it counts, and it is to be aborted; where `isFatal`, the producer is of no more use.
  package func commitTransaction(timeout: Duration) throws(KafkaError) {
    try unsafe transact { unsafe rd_kafka_commit_transaction($0, timeout.kafkaMilliseconds) }
  }

  /// Drops what waits, and has nothing of the transaction count.
  package func abortTransaction(timeout: Duration) throws(KafkaError) {
    try unsafe transact { unsafe rd_kafka_abort_transaction($0, timeout.kafkaMilliseconds) }
  }

  private func transact(_ call: (OpaquePointer) -> OpaquePointer?) throws(KafkaError) {
    try handle.use { (client) throws(KafkaError) in
      guard let error = unsafe call(client) else { return }
      throw unsafe KafkaError(adopting: error)
    }
  }
}
