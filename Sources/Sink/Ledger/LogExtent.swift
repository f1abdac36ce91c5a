/// What the brokers have of a partition.
struct LogExtent {
  /// The first offset, and the one behind the last.
  let low: Int64
  let high: Int64
  /// Where the group is to read on; nil when it has committed nothing.
  let committed: Int64?

  /// Where a partition that is stored up to `next` has to begin anew: when the log ends before that, its offsets are given to
  /// other messages from now on. Nil when it does not.
  func restart(after next: Int64) -> Int64? {
    guard next > high else { return nil }
    // What a group has committed goes with a topic that is deleted: so this is another of its name. Otherwise the log has
    // lost its end, as when a copy that was behind became the leader.
    return committed == nil ? low : high
  }
}
