/// A record's place in a chunk.
package struct ChunkRecord: Equatable, Sendable {
  /// The line that it begins in, from 0 in the chunk.
  package let line: Int
  /// Its first byte, from the beginning of the chunk.
  package let start: Int
  /// Behind its last one, which may be a line end.
  package let end: Int
}

/// Finds the record of a chunk that an item of its decoder came from. The items are asked for in their order.
package struct ChunkPlaces: Sendable {
  private let records: [ChunkRecord]
  private let dialect: RecordDialect
  private let skipped: Int
  private var last = 0

  /// - Parameters:
  ///   - records: without blank lines where these are no items.
  ///   - skipped: lines in front of the chunk that its decoder counts too.
  init(_ records: [ChunkRecord], dialect: RecordDialect, skipped: Int) {
    self.records = records
    self.dialect = dialect
    self.skipped = skipped
  }

  /// Whether all items are of one record.
  package var isPack: Bool { dialect == .senml }

  /// The line of an item, from 0 in the chunk, and the bytes of its record.
  package mutating func find(_ item: Int) -> (line: Int, start: Int, end: Int) {
    var line: Int?
    switch dialect {
    case .sluice: last = min(item, records.count - 1)
    case .senml: break
    case .csv, .influxdb:
      line = item - skipped
      while last + 1 < records.count, records[last + 1].line <= item - skipped { last += 1 }
    }
    return (line ?? records[last].line, records[last].start, records[last].end)
  }
}
