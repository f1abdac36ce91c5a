import Synchronization

/// Numbers what a process sends to a topic, partition by partition, without gaps: so a reader of a partition has to keep no
/// more of a stream than its newest number, unless something did not arrive.
final class SequenceStreams: Sendable {
  /// What goes to one partition.
  final class Stream: Sendable {
    private let id = UInt64.random(in: .min ... .max)
    private let count = Atomic<UInt64>(0)

    /// A number that no other message has.
    func next() -> SequenceNumber {
      SequenceNumber(stream: id, number: count.wrappingAdd(1, ordering: .relaxed).oldValue)
    }

    /// Takes a number back that no message got after all, if it is still the last: so it leaves no gap.
    func takeBack(_ sequence: SequenceNumber) {
      _ = count.compareExchange(expected: sequence.number &+ 1, desired: sequence.number, ordering: .relaxed)
    }
  }

  private let streams = Mutex<[Stream]>([])

  /// The streams of the first `count` partitions, which stay the same ones.
  func first(_ count: Int) -> ArraySlice<Stream> {
    streams.withLock { streams in
      while streams.count < count { streams.append(Stream()) }
      return streams[..<count]
    }
  }
}
