/// Whether a sink has its place in the consumer group: without one it reads nothing, however well Kafka and MongoDB do.
struct GroupPlace {
  enum State: Equatable {
    case within
    /// For no longer than a rebalance may take.
    case between
    case out
  }

  /// How long a rebalance may take.
  static let patience: Duration = .seconds(15)

  /// Since when it is without, Kafka being there; nil: it has one.
  private var since: Duration?

  /// - Parameter now: monotonic, as everywhere here.
  init(now: Duration) { since = now }

  /// The group has given it partitions; or none, because there are more members than those.
  mutating func joined() { since = nil }

  /// It gave its partitions up, or lost them.
  mutating func left(at now: Duration) { since = now }

  /// How it is. While Kafka is away the group is no trouble of its own, and its time begins when Kafka is back.
  mutating func state(at now: Duration, isKafkaThere: Bool) -> State {
    guard let beginning = since else { return .within }
    if !isKafkaThere { since = now }
    return isKafkaThere && now - beginning >= Self.patience ? .out : .between
  }
}
