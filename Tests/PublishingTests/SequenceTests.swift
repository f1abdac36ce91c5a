import Kafka
import Readings
import Synchronization
import TestServers
import Testing

@testable import Publishing

@Suite struct SequenceTests {
  @Test func aNumberIsWhatItWasWritten() {
    for sequence in [
      SequenceNumber(stream: 0, number: 0), SequenceNumber(stream: .max, number: .max),
      SequenceNumber(stream: 0x0102_0304_0506_0708, number: 258),
    ] {
      #expect(sequence.withBytes { SequenceNumber(bytes: $0) } == sequence)
    }
    SequenceNumber(stream: 0x0102_0304_0506_0708, number: 258).withBytes {
      #expect(Array($0) == [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 1, 2])
    }
    for count in [0, 1, 15, 17] {
      [UInt8](repeating: 1, count: count).withUnsafeBytes { #expect(SequenceNumber(bytes: $0) == nil) }
    }
  }

  @Test func aStreamHasNoGaps() {
    let streams = SequenceStreams()
    let one = streams.first(2)[1]
    #expect((0..<3).map { _ in one.next().number } == [0, 1, 2])
    let last = one.next()
    one.takeBack(last)
    #expect(one.next() == last)
    // Another took one meanwhile: then it is a gap.
    let lost = one.next()
    let next = one.next()
    one.takeBack(lost)
    #expect(one.next().number == next.number + 1)
    let more = streams.first(4)
    #expect(more.count == 4 && more[1] === one)
    #expect(Set(more.map { $0.next().stream }).count == 4)
  }
}
