/// Hears which partitions a consumer gets and loses, inside `poll` and `close`, on the polling thread.
///
/// With the cooperative protocol the partitions are those that change; with the eager one, all.
package protocol RebalanceHandler: AnyObject {
  /// The partitions are this consumer's.
  /// - Returns: where to begin reading some of them; the others begin at the committed offset, or where
  ///   `auto.offset.reset` says. Reading begins after the return, so pausing has no effect here.
  func assigned(_ partitions: [TopicPartition], by consumer: Consumer) -> [TopicPartition: Int64]

  /// The partitions are about to be another's: finish what was read, and commit, before returning.
  func revoked(_ partitions: [TopicPartition], by consumer: Consumer)

  /// The partitions are another's already, for the group put this consumer out: nothing may be committed.
  func lost(_ partitions: [TopicPartition], by consumer: Consumer)
}
