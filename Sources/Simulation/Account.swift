import Readings

/// What became of one connection's readings: counted at once, and written down for those who check. For one thread.
final class Account {
  private let share: FleetShare
  private let tally: Tally
  private let file: OutcomeFile?
  private var ranges: OutcomeRanges
  private var latencies = LatencyHistogram()
  private var lines = ByteBuffer(capacity: 4_096)
  private static let linesLimit = 32_768

  init(_ share: FleetShare, tally: Tally, file: OutcomeFile?) {
    self.share = share
    self.tally = tally
    self.file = file
    ranges = OutcomeRanges(devices: file == nil ? 0 : share.count)
  }

  /// The server took it over, that long after it was sent first.
  func accept(_ identity: ReadingIdentity, nanoseconds: Int64) {
    tally.add(accepted: 1)
    latencies.add(nanoseconds: nanoseconds)
    note(identity, .accepted)
  }

  /// It is certain that the server did not take it over.
  func refuse(_ identity: ReadingIdentity) {
    tally.add(refused: 1)
    note(identity, .doubtful)
  }

  /// It was sent, and no answer says what became of it.
  func lose(_ identity: ReadingIdentity) {
    tally.add(unknown: 1)
    note(identity, .doubtful)
  }

  /// Hands in what is not handed in yet.
  func close() {
    tally.add(latencies)
    latencies = LatencyHistogram()
    guard let file else { return }
    for range in ranges.open { append(range) }
    file.append(lines.bytes)
    lines.truncate(to: 0)
  }

  private func note(_ identity: ReadingIdentity, _ outcome: OutcomeRanges.Outcome) {
    guard let file, let closed = ranges.add(identity, outcome) else { return }
    append(closed)
    if lines.count >= Self.linesLimit {
      file.append(lines.bytes)
      lines.truncate(to: 0)
    }
  }

  private func append(_ range: OutcomeRanges.Closed) {
    if range.outcome == .doubtful { lines.append("? " as StaticString) }
    lines.append(share.name(range.device))
    lines.append(UInt8(ascii: " "))
    ReadingEncoder.append(Int64(range.numbers.lowerBound), to: &lines)
    lines.append(UInt8(ascii: " "))
    ReadingEncoder.append(Int64(range.numbers.upperBound), to: &lines)
    lines.append(UInt8(ascii: "\n"))
  }
}
