/// How fast letters are put back.
package struct RedrivePace: Sendable, Equatable {
  /// Per second; 0: as fast as can be.
  package let rate: Int

  package init(rate: Int) { self.rate = rate }

  /// Letters of one transaction, at most: few enough that a low rate is no series of bursts, for the readers of the topic
  /// see nothing of a transaction before it ends.
  var batch: Int { rate == 0 ? 500 : min(max(rate / 4, 1), 500) }

  /// When so many letters may have been put back, after the first.
  func due(_ count: Int) -> Duration { rate == 0 ? .zero : .microseconds(Int64(count) * 1_000_000 / Int64(rate)) }
}
