import Testing

@testable import Bridge

@Suite struct BatchLimitTests {
  @Test func halvesWhatFailedAndGrowsWithWhatWentThrough() {
    var limit = BatchLimit(maximum: 5_000)
    #expect(limit.current == 5_000)
    limit.succeeded()
    #expect(limit.current == 5_000)
    // Half of what it was, not of what it might have been.
    limit.failed(count: 20)
    #expect(limit.current == 10)
    // More than the limit: what a subscription brought along.
    limit.failed(count: 1_000)
    #expect(limit.current == 10)
    limit.succeeded()
    #expect(limit.current == 11)
    limit.failed(count: 1)
    #expect(limit.current == 1)
    limit.succeeded()
    #expect(limit.current == 2)
    var batches = 0
    while limit.current < 5_000 {
      limit.succeeded()
      batches += 1
    }
    #expect(limit.current == 5_000)
    #expect(batches < 150)
    limit.failed(count: 3_200)
    limit.succeeded()
    #expect(limit.current == 1_700)
  }

  @Test func staysWithinItsBoundsAndComesBack() {
    for maximum in [0, 1, 2, 3, 7, 5_000, .max] {
      for count in [0, 1, 2, 3, 4_999, 5_000, .max] {
        var limit = BatchLimit(maximum: maximum)
        for _ in 0..<3 {
          limit.failed(count: count)
          #expect((1...max(1, maximum)).contains(limit.current))
        }
        for _ in 0..<1_000 {
          limit.succeeded()
          #expect((1...max(1, maximum)).contains(limit.current))
        }
        #expect(limit.current == max(1, maximum))
      }
    }
  }
}
