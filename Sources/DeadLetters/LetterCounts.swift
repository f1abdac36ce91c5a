import Operations
import Timestamps

/// How many letters there are, by reason and by source, and how old they are.
package struct LetterCounts {
  /// Of one reason or source, or of all.
  struct Count: Equatable {
    var letters = 0
    var putBack = 0
    var oldest: Int64?
    var newest: Int64?

    mutating func add(_ time: Int64?, isPutBack: Bool) {
      letters += 1
      if isPutBack { putBack += 1 }
      guard let time else { return }
      oldest = min(oldest ?? time, time)
      newest = max(newest ?? time, time)
    }
  }

  /// Names that are counted each for itself: Sluice has some twenty, but anyone may write to the topic.
  static let nameLimit = 100
  static let others = "(others)"

  private(set) var all = Count()
  private(set) var reasons: [String: Count] = [:]
  private(set) var sources: [String: Count] = [:]

  package init() {}

  /// Counts a letter.
  package mutating func add(_ letter: Letter, isPutBack: Bool) {
    all.add(letter.time, isPutBack: isPutBack)
    Self.add(letter, letter.reason, isPutBack, to: &reasons)
    Self.add(letter, letter.source, isPutBack, to: &sources)
  }

  private static func add(_ letter: Letter, _ name: String, _ isPutBack: Bool, to counts: inout [String: Count]) {
    let name = counts[name] != nil || counts.count < nameLimit ? name : others
    counts[name, default: Count()].add(letter.time, isPutBack: isPutBack)
  }

  /// Most first, then by name.
  private static func sorted(_ counts: [String: Count]) -> [(String, Count)] {
    counts.sorted { $0.value.letters != $1.value.letters ? $0.value.letters > $1.value.letters : $0.key < $1.key }
      .map { ($0.key, $0.value) }
  }

  /// A table for people.
  package func text(topic: String, now: Int64) -> String {
    guard all.letters > 0 else { return "\(topic): no dead letters\n" }
    var text = "\(topic): \(all.letters) letters, \(all.putBack) of them put back already\n"
    if let oldest = all.oldest, let newest = all.newest {
      text += "oldest \(Timestamp.text(oldest)) (\(Self.age(now - oldest)) ago), "
      text += "newest \(Timestamp.text(newest)) (\(Self.age(now - newest)) ago)\n"
    }
    for (title, counts) in [("reason", reasons), ("source", sources)] {
      let rows =
        [[title, "letters", "put back", "oldest", "newest"]]
        + Self.sorted(counts).map { name, count in
          [
            ReadableBytes.escaped(Array(name.utf8), limit: 60), "\(count.letters)", "\(count.putBack)",
            count.oldest.map(Timestamp.text) ?? "-", count.newest.map(Timestamp.text) ?? "-",
          ]
        }
      text += "\n" + Self.table(rows)
    }
    return text
  }

  /// One object in one line, for scripts.
  package func json(topic: String) -> String {
    var out: [UInt8] = []
    func put(_ text: String) { out.append(contentsOf: text.utf8) }
    func put(_ count: Count) {
      put("\"letters\":\(count.letters),\"putBack\":\(count.putBack)")
      for (name, time) in [("oldest", count.oldest), ("newest", count.newest)] {
        put(",\"\(name)\":\(time.map { "\"\(Timestamp.text($0))\"" } ?? "null")")
      }
    }
    put("{\"topic\":")
    QuotedText.append(topic, to: &out)
    put(",")
    put(all)
    for (title, member, counts) in [("reasons", "reason", reasons), ("sources", "source", sources)] {
      put(",\"\(title)\":[")
      for (index, (name, count)) in Self.sorted(counts).enumerated() {
        put(index == 0 ? "{\"\(member)\":" : ",{\"\(member)\":")
        QuotedText.append(name, to: &out)
        put(",")
        put(count)
        put("}")
      }
      put("]")
    }
    put("}\n")
    return String(decoding: out, as: UTF8.self)
  }

  /// The first column left, numbers right.
  private static func table(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column == 1 || column == 2 ? space + cell : cell + space
      }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  /// `3d 4h`, `2h 5m`, `12s`: the two largest units.
  static func age(_ milliseconds: Int64) -> String {
    let seconds = max(milliseconds, 0) / 1_000
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")]
    guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0s" }
    return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }
}
