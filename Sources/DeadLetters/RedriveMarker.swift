import Publishing

/// What stands on the dead-letter topic, among the letters, to say which of them were put back.
///
/// A marker is written in the same transaction as the messages that it names, so one is there exactly when the others
/// are. It is in the partition of its letters and behind them, so Kafka's retention never takes it before them. The
/// origins are for letters that are one and the same message: a sink that was killed between writing a letter and
/// committing the offset writes another.
struct RedriveMarker: Sendable, Equatable {
  /// Of letters in the marker's own partition.
  private(set) var offsets: [ClosedRange<Int64>] = []
  /// By the partition of the topic that the messages came from, and went to.
  private(set) var origins: [Int32: [ClosedRange<Int64>]] = [:]

  init() {}

  /// Adds a letter.
  mutating func add(_ offset: Int64, origin: DeadLetter.Origin?) {
    Self.add(offset, to: &offsets)
    if let origin { Self.add(origin.offset, to: &origins[origin.partition, default: []]) }
  }

  private static func add(_ offset: Int64, to ranges: inout [ClosedRange<Int64>]) {
    if let last = ranges.last, last.upperBound == offset - 1 {
      ranges[ranges.count - 1] = last.lowerBound...offset
    } else {
      ranges.append(offset...offset)
    }
  }

  /// Whether a message is a marker rather than a letter.
  static func isMarker(_ letter: Letter) -> Bool {
    letter.headers.contains { $0.0 == DeadLetter.Header.redriven }
  }

  /// The headers that say it: `3-7,9`, and `2:40-44,46;5:1`.
  func headers(time: String) -> [(String, [UInt8]?)] {
    let origins = origins.sorted { $0.key < $1.key }.map { "\($0.key):\(Self.text($0.value))" }.joined(separator: ";")
    return [
      (DeadLetter.Header.redriven, Array(Self.text(offsets).utf8)),
      (DeadLetter.Header.redrivenOrigins, Array(origins.utf8)), (DeadLetter.Header.time, Array(time.utf8)),
    ]
  }

  private static func text(_ ranges: [ClosedRange<Int64>]) -> String {
    ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }

  /// Reads a marker; nil when it says nothing that could be understood.
  init?(_ letter: Letter) {
    guard let text = letter.text(DeadLetter.Header.redriven), let offsets = Self.ranges(text[...]) else { return nil }
    self.offsets = offsets
    for part in (letter.text(DeadLetter.Header.redrivenOrigins) ?? "").split(separator: ";") {
      guard let colon = part.firstIndex(of: ":"), let partition = Int32(part[..<colon]), partition >= 0,
        let ranges = Self.ranges(part[part.index(after: colon)...])
      else { return nil }
      origins[partition, default: []] += ranges
    }
  }

  private static func ranges(_ text: Substring) -> [ClosedRange<Int64>]? {
    var ranges: [ClosedRange<Int64>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
      guard let first = ends.first.flatMap({ Int64($0) }), let last = Int64(ends[ends.count - 1]), ends.count <= 2,
        0 <= first, first <= last
      else { return nil }
      ranges.append(first...last)
    }
    return ranges
  }
}
