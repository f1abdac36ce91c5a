/// Whether librdkafka has to be roused to fetch on.
///
/// After each answer a broker's thread in librdkafka 2.0.2 decides whether it may fetch more. While `queued.min.messages` are
/// waiting it may not, and looks again a second later (`rd_kafka_max_block_ms`), although they were taken a moment after:
/// what follows a burst would be kept waiting, and a steady stream would come once a second. Any request to the broker
/// rouses its thread.
struct FetchedAhead {
  /// How many messages may wait, of all partitions.
  static let limit = 50

  /// Those that messages were taken from.
  private(set) var partitions: [Int32] = []
  private var taken = 0

  /// Whether as many were taken as can have held up a broker: all that sent any have to be roused.
  var isUsedUp: Bool { taken >= Self.limit }

  /// Notes that a message was taken.
  mutating func take(from partition: Int32) {
    taken += 1
    if partitions.last != partition && !partitions.contains(partition) { partitions.append(partition) }
  }
}
