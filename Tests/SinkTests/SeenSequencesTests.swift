import Publishing
import Testing

@testable import Sink

@Suite struct SeenSequencesTests {
  private func number(_ number: UInt64, stream: UInt64 = 1) -> SequenceNumber {
    SequenceNumber(stream: stream, number: number)
  }

  private func isNew(_ seen: inout SeenSequences, _ sequence: SequenceNumber, at now: Int64) -> Bool {
    seen.insert(sequence, at: now)
  }

  /// Every order of six numbers, two of them twice: each is new once, and what is kept is what came.
  @Test func eachNumberIsNewOnceInWhateverOrderTheyCome() {
    func explore(_ left: [UInt64], _ seen: SeenSequences, _ came: Set<UInt64>) {
      if left.isEmpty {
        #expect(seen.streams.map(\.ranges) == [[0...2, 4...6]])
        return
      }
      for index in Set(left).map({ left.firstIndex(of: $0)! }) {
        var rest = left
        let next = rest.remove(at: index)
        var seen = seen
        #expect(isNew(&seen, number(next), at: 0) == !came.contains(next))
        explore(rest, seen, came.union([next]))
      }
    }
    explore([0, 1, 2, 4, 5, 6, 1, 6], SeenSequences(), [])
  }

  @Test func streamsAreApart() {
    var seen = SeenSequences()
    #expect(isNew(&seen, number(7, stream: 1), at: 0))
    #expect(isNew(&seen, number(7, stream: 2), at: 0))
    #expect(!isNew(&seen, number(7, stream: 1), at: 0))
    #expect(seen.streams.count == 2)
  }

  @Test func theEndsOfTheNumbersAreNumbersLikeOthers() {
    var seen = SeenSequences()
    for value in [UInt64.max, 0, UInt64.max - 1, 1] {
      #expect(isNew(&seen, number(value), at: 0))
      #expect(!isNew(&seen, number(value), at: 0))
    }
    #expect(seen.streams[0].ranges == [0...1, (UInt64.max - 1)...UInt64.max])
  }

  /// What is forgotten counts as new: rather twice than never.
  @Test func theOldestRangeIsForgotten() {
    var seen = SeenSequences()
    let count = UInt64(SeenSequences.rangeLimit)
    for value in 0...count { #expect(isNew(&seen, number(value * 2), at: 0)) }
    #expect(seen.streams[0].ranges.count == SeenSequences.rangeLimit)
    #expect(isNew(&seen, number(0), at: 0))
    #expect(!isNew(&seen, number(2), at: 0))
    #expect(!isNew(&seen, number(count * 2), at: 0))
  }

  @Test func theStreamThatWasSilentLongestIsForgotten() {
    var seen = SeenSequences()
    let count = UInt64(SeenSequences.streamLimit)
    for stream in 0..<count { #expect(isNew(&seen, number(0, stream: stream), at: Int64(stream))) }
    // The first is heard of again, so the second has been silent longest.
    #expect(!isNew(&seen, number(0, stream: 0), at: 1_000))
    #expect(isNew(&seen, number(0, stream: count), at: 1_000))
    #expect(seen.streams.count == SeenSequences.streamLimit)
    #expect(!isNew(&seen, number(0, stream: 0), at: 1_000))
    #expect(isNew(&seen, number(0, stream: 1), at: 1_000))
  }

  @Test func silentStreamsExpire() {
    var seen = SeenSequences()
    _ = seen.insert(number(0, stream: 1), at: 0)
    _ = seen.insert(number(0, stream: 2), at: 10)
    seen.expire(at: SeenSequences.lifetime + 5)
    #expect(seen.streams.map(\.id) == [2])
  }
}
