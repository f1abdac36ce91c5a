/// What is known of a job: a value that only goes forward.
package struct JobRecord: Equatable, Sendable {
  /// What became of it.
  package enum State: String, CaseIterable, Sendable {
    case running
    /// All of it was read, and everything in it accounted for.
    case done
    /// It ended before that; what was acknowledged stays.
    case failed
    /// The same, because its sender said so.
    case cancelled
  }

  /// A line of which something is not stored, or not for sure.
  package struct Fault: Equatable, Sendable {
    /// From 1.
    package let line: Int
    package let reason: String

    package init(line: Int, reason: String) {
      self.line = line
      self.reason = reason
    }
  }

  /// What a job's text is written in.
  package enum Format: String, CaseIterable, Sendable {
    case ndjson, csv
  }

  /// Faults that are kept, the first ones.
  package static let faultLimit = 100
  /// Characters of a reason that are kept.
  static let reasonLimit = 400

  package let id: String
  /// The id of the key that made it; nil: there were none.
  package let owner: String?
  /// Milliseconds since 1970.
  package let created: Int64
  package let format: Format
  /// Where it is fetched from, without a query, which may be secret; nil: it was sent.
  package let url: String?
  package internal(set) var state = State.running
  /// Why it failed.
  package internal(set) var reason: String?
  /// When the last reading was accounted for; nil: not yet.
  package internal(set) var ended: Int64?
  /// Bytes that were read, as they came.
  package internal(set) var bytes = 0
  /// All lines up to this one are accounted for.
  package internal(set) var lines = 0
  /// Readings that Kafka has acknowledged.
  package internal(set) var accepted = 0
  /// Items that are no readings, or that may not be written.
  package internal(set) var rejected = 0
  /// Readings that Kafka did not acknowledge in time, and that may be stored all the same.
  package internal(set) var inDoubt = 0
  package internal(set) var faults: [Fault] = []

  package init(id: String, owner: String?, created: Int64, format: Format, url: String? = nil) {
    self.id = id
    self.owner = owner
    self.created = created
    self.format = format
    self.url = url
  }

  /// Whether anything may still change.
  package var isOver: Bool { ended != nil }

  /// Counts bytes that were read.
  package mutating func read(bytes count: Int) { bytes += count }

  /// Counts readings that Kafka has acknowledged.
  package mutating func accept(_ count: Int) { accepted += count }

  /// Counts items that are no readings.
  package mutating func reject(_ faults: [Fault]) {
    rejected += faults.count
    note(faults)
  }

  /// Counts readings that may be stored or not.
  package mutating func doubt(_ faults: [Fault]) {
    inDoubt += faults.count
    note(faults)
  }

  /// Everything up to a line is accounted for.
  package mutating func account(lines: Int) { self.lines = max(self.lines, lines) }

  /// No more is read because its sender says so; what is under way is still counted.
  /// - Returns: false when it had ended already, in whichever way.
  package mutating func cancel() -> Bool {
    guard state == .running else { return false }
    state = .cancelled
    return true
  }

  /// Nothing changes any more. One that was cancelled stays so.
  ///
  /// - Parameters:
  ///   - failure: why it ended early; nil: it did not.
  ///   - now: milliseconds since 1970.
  package mutating func end(_ failure: String?, at now: Int64) {
    guard ended == nil else { return }
    ended = now
    guard state == .running else { return }
    state = failure == nil ? .done : .failed
    reason = failure.map(Self.shortened)
  }

  /// What a record says whose process ended before the job did.
  package mutating func interrupt(at now: Int64) {
    end("sluice ended while the job was running; more may have been accepted than this record counts", at: now)
  }

  private mutating func note(_ faults: [Fault]) {
    for fault in faults.prefix(Self.faultLimit - self.faults.count) {
      self.faults.append(Fault(line: fault.line, reason: Self.shortened(fault.reason)))
    }
  }

  private static func shortened(_ text: String) -> String {
    text.unicodeScalars.count <= reasonLimit ? text : String(text.prefix(reasonLimit)) + "…"
  }
}
