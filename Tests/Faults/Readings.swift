/// What became of every reading that was sent, and how often each is stored: counted, not sampled.
struct Readings {
  /// What the senders know of a reading.
  enum Fate: UInt8 {
    case notSent, accepted, doubtful
  }

  /// A reading that is not as it should be.
  struct Finding: Hashable, CustomStringConvertible {
    let device: String
    let number: Int
    let stored: Int

    var description: String { "\(device) \(number) (stored \(stored) times)" }
  }

  /// How the count ended.
  struct Verdict: CustomStringConvertible {
    var accepted = 0
    var doubtful = 0
    var stored = 0
    /// Accepted and not stored.
    var missing: [Finding] = []
    var missingCount = 0
    /// Stored more than once, accepted or not.
    var repeated: [Finding] = []
    var repeatedCount = 0
    /// Stored, and never sent.
    var strangers = 0

    var isClean: Bool { missingCount == 0 && repeatedCount == 0 && strangers == 0 }

    var description: String {
      "accepted=\(accepted) in_doubt=\(doubtful) stored=\(stored) accepted_and_missing=\(missingCount) "
        + "stored_more_than_once=\(repeatedCount) never_sent=\(strangers)"
    }
  }

  /// A line of what senders wrote could not be understood.
  struct MalformedLine: Error, CustomStringConvertible {
    let line: String
    var description: String { "unexpected line '\(line)' in a file of accepted readings" }
  }

  /// Findings that are kept by name, of each kind.
  private static let examples = 5

  private var fates: [String: [Fate]] = [:]

  /// Notes what a sender wrote: lines `device from to` of what was accepted, with `? ` before it what was not, or is not
  /// known.
  mutating func add(outcomes text: some StringProtocol) throws(MalformedLine) {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      let isDoubtful = words.first == "?"
      let rest = words.dropFirst(isDoubtful ? 1 : 0)
      guard rest.count == 3, let from = Int(rest[rest.startIndex + 1]), let to = Int(rest[rest.startIndex + 2]),
        from >= 0, from <= to
      else { throw MalformedLine(line: String(line)) }
      add(String(rest[rest.startIndex]), from...to, isDoubtful ? .doubtful : .accepted)
    }
  }

  private mutating func add(_ device: String, _ numbers: ClosedRange<Int>, _ fate: Fate) {
    // Taken out, so that the array is not copied for being in two places.
    var known = fates.removeValue(forKey: device) ?? []
    if known.count <= numbers.upperBound {
      known += repeatElement(.notSent, count: numbers.upperBound + 1 - known.count)
    }
    for number in numbers { known[number] = fate }
    fates[device] = known
  }

  /// How many were accepted.
  var acceptedCount: Int { fates.values.reduce(0) { $0 + $1.count { $0 == .accepted } } }

  /// Compares with what is stored.
  func verdict(_ stored: StoredCounts) -> Verdict {
    var verdict = Verdict()
    for (device, fates) in fates {
      let counts = stored.counts[device] ?? []
      for (number, fate) in fates.enumerated() {
        let count = number < counts.count ? Int(counts[number]) : 0
        verdict.stored += count
        switch fate {
        case .accepted: verdict.accepted += 1
        case .doubtful: verdict.doubtful += 1
        case .notSent: verdict.strangers += count
        }
        let finding = { Finding(device: device, number: number, stored: count) }
        if fate == .accepted && count == 0 {
          verdict.missingCount += 1
          if verdict.missing.count < Self.examples { verdict.missing.append(finding()) }
        }
        if count > 1 {
          verdict.repeatedCount += 1
          if verdict.repeated.count < Self.examples { verdict.repeated.append(finding()) }
        }
      }
      verdict.strangers += counts.dropFirst(fates.count).reduce(0) { $0 + Int($1) }
    }
    for (device, counts) in stored.counts where fates[device] == nil {
      verdict.strangers += counts.reduce(0) { $0 + Int($1) }
    }
    return verdict
  }
}

/// How often each reading is stored.
struct StoredCounts {
  /// By device; the index is the sequence number.
  private(set) var counts: [String: [UInt8]] = [:]

  /// Counts one stored reading.
  mutating func add(_ device: String, _ number: Int) {
    counts[device, default: []].count(number)
  }
}

extension [UInt8] {
  /// One more at an index, up to 255.
  fileprivate mutating func count(_ index: Int) {
    if count <= index { self += repeatElement(0, count: index + 1 - count) }
    if self[index] < .max { self[index] += 1 }
  }
}
