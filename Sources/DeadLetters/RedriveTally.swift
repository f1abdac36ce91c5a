/// What became of the letters so far.
package struct RedriveTally: Sendable, Equatable {
  /// How many, and of the first of them where it is and why.
  package struct Group: Sendable, Equatable {
    package var count = 0
    package var first = ""
  }

  /// Letters that the filter means, as far as counted.
  package var selected = 0
  package var redriven = 0
  /// Letters to be put back, at most.
  var limit = Int.max
  package private(set) var skipped: [String: Group] = [:]
  package private(set) var refused: [String: Group] = [:]

  package init() {}

  package var skippedCount: Int { skipped.values.reduce(0) { $0 + $1.count } }
  package var refusedCount: Int { refused.values.reduce(0) { $0 + $1.count } }
  var done: Int { redriven + skippedCount + refusedCount }
  var left: Int { max(min(selected - done, limit - redriven), 0) }

  package mutating func skip(_ reason: RedriveDecision.Skip, _ place: Letter.Place, _ detail: String) {
    Self.add(reason.rawValue, place, detail, to: &skipped)
  }

  package mutating func refuse(_ reason: RedriveDecision.Refusal, _ place: Letter.Place, _ detail: String) {
    Self.add(reason.rawValue, place, detail, to: &refused)
  }

  private static func add(_ name: String, _ place: Letter.Place, _ detail: String, to groups: inout [String: Group]) {
    groups[name, default: Group(first: "\(place): \(detail)")].count += 1
  }

  /// Why letters were passed over or refused, a line each.
  package var reasons: [String] {
    func lines(_ word: String, _ groups: [String: Group]) -> [String] {
      groups.sorted { $0.key < $1.key }.map { name, group in
        "\(word) \(group.count) \(name), the first \(ReadableBytes.escaped(Array(group.first.utf8), limit: 512))"
      }
    }
    return lines("skipped", skipped) + lines("refused", refused)
  }

  /// The last line, for scripts.
  /// - Parameter isDryRun: what would have been put back was not.
  package func summary(isDryRun: Bool) -> String {
    isDryRun
      ? "dry-run redriven=0 would_redrive=\(redriven) skipped=\(skippedCount) refused=\(refusedCount)"
      : "redriven=\(redriven) skipped=\(skippedCount) refused=\(refusedCount)"
  }

  /// How it goes on.
  /// - Parameter elapsed: seconds since the first letter was taken up.
  package func progress(elapsed: Double) -> String {
    var line = "put back \(redriven), skipped \(skippedCount), refused \(refusedCount), left \(left)"
    if done > 0, left > 0, elapsed > 0 {
      let seconds = Int64(Double(left) / (Double(done) / elapsed))
      line += ", time left \(LetterCounts.age(seconds * 1_000))"
    }
    return line
  }
}
