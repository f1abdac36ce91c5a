package import Dialects

/// What a text of many records is written in.
package enum RecordDialect: String, CaseIterable, Sendable {
  /// A reading per line, as one JSON object.
  case sluice
  case csv
  /// Line protocol, with times in nanoseconds.
  case influxdb
  /// A pack, or one behind the other.
  case senml

  /// Guesses from a file's name, and where that does not say, from its first bytes.
  ///
  /// - Parameters:
  ///   - name: an ending `.gz` does not count.
  ///   - start: not compressed.
  package init(name: String, start: some Collection<UInt8>) {
    var name = name.lowercased()
    if name.hasSuffix(".gz") { name.removeLast(3) }
    let endings: [(String, RecordDialect)] = [
      (".csv", .csv), (".tsv", .csv), (".ndjson", .sluice), (".jsonl", .sluice), (".lp", .influxdb),
      (".line", .influxdb), (".senml", .senml), (".senml.json", .senml),
    ]
    if let known = endings.first(where: { name.hasSuffix($0.0) }) {
      self = known.1
      return
    }
    let text = start.drop { $0 <= 0x20 }
    switch text.first {
    case UInt8(ascii: "{"): self = .sluice
    case UInt8(ascii: "["): self = .senml
    default:
      // A point has `=` and a space in each line; a CSV header has no `=`.
      let line = text.drop { $0 == UInt8(ascii: "#") }.prefix { $0 != UInt8(ascii: "\n") }
      self = line.contains(UInt8(ascii: "=")) || text.first == UInt8(ascii: "#") ? .influxdb : .csv
    }
  }

  /// Where its records end.
  /// - Parameter header: the first lines of a CSV text.
  package func framing(header: [UInt8]) -> RecordFraming {
    switch self {
    case .sluice: .lines
    case .csv: header.withUnsafeBytes { .rows(below: $0) }
    case .influxdb: .points
    case .senml: .documents
    }
  }
}
