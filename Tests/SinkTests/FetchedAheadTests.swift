import Testing

@testable import Sink

@Suite struct FetchedAheadTests {
  @Test func isUsedUpWithTheLastThatMayWait() {
    var ahead = FetchedAhead()
    for _ in 1..<FetchedAhead.limit {
      ahead.take(from: 0)
      #expect(!ahead.isUsedUp)
    }
    ahead.take(from: 0)
    #expect(ahead.isUsedUp)
  }

  @Test func namesEachPartitionOnce() {
    var ahead = FetchedAhead()
    for partition: Int32 in [3, 3, 1, 3, 2, 1] { ahead.take(from: partition) }
    #expect(ahead.partitions == [3, 1, 2])
  }
}
