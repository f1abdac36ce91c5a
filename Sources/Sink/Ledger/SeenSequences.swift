import Publishing

/// Sequence numbers of the messages of one partition, before some offset: what is among them is a repeat.
///
/// A stream's numbers come in order and without gaps, but for what did not arrive or was overtaken, so its newest are a range
/// or a few. Bounded: what is forgotten is stored again if it is repeated, and nothing is ever taken for a repeat that is not.
struct SeenSequences: Hashable, Sendable {
  /// Numbers of one stream.
  struct Stream: Hashable, Sendable {
    let id: UInt64
    /// In ascending order; no two touch. At least one.
    var ranges: [ClosedRange<UInt64>]
    /// When the last came, in milliseconds since 1970.
    var at: Int64
  }

  /// Streams that are kept: as many processes may send to one partition before the one that was silent longest is forgotten.
  static let streamLimit = 256
  /// Ranges of a stream that are kept: a producer repeats only what was under way, which is among the newest.
  static let rangeLimit = 32
  /// How long a silent stream is kept: many times as long as a message may be under way (milliseconds).
  static let lifetime: Int64 = 3_600_000

  private(set) var streams: [Stream] = []

  init(_ streams: [Stream] = []) { self.streams = streams }

  /// Notes a number.
  /// - Returns: false when it is there already.
  mutating func insert(_ sequence: SequenceNumber, at now: Int64) -> Bool {
    guard let index = streams.firstIndex(where: { $0.id == sequence.stream }) else {
      if streams.count >= Self.streamLimit, let oldest = streams.indices.min(by: { streams[$0].at < streams[$1].at }) {
        streams.remove(at: oldest)
      }
      streams.append(Stream(id: sequence.stream, ranges: [sequence.number...sequence.number], at: now))
      return true
    }
    streams[index].at = max(streams[index].at, now)
    return streams[index].insert(sequence.number)
  }

  /// Forgets streams that have been silent for long.
  mutating func expire(at now: Int64) { streams.removeAll { $0.at < now - Self.lifetime } }
}

extension SeenSequences.Stream {
  fileprivate mutating func insert(_ number: UInt64) -> Bool {
    // Nearly always the one behind the last.
    let last = ranges.count - 1
    if ranges[last].upperBound < number, ranges[last].upperBound + 1 == number {
      ranges[last] = ranges[last].lowerBound...number
      return true
    }
    let place = ranges.firstIndex { number <= $0.upperBound } ?? ranges.count
    if place < ranges.count, ranges[place].contains(number) { return false }
    let joinsLower = place > 0 && ranges[place - 1].upperBound + 1 == number
    let joinsUpper = place < ranges.count && number + 1 == ranges[place].lowerBound
    switch (joinsLower, joinsUpper) {
    case (true, true):
      ranges[place - 1] = ranges[place - 1].lowerBound...ranges[place].upperBound
      ranges.remove(at: place)
    case (true, false): ranges[place - 1] = ranges[place - 1].lowerBound...number
    case (false, true): ranges[place] = number...ranges[place].upperBound
    case (false, false):
      ranges.insert(number...number, at: place)
      if ranges.count > SeenSequences.rangeLimit { ranges.removeFirst() }
    }
    return true
  }
}
