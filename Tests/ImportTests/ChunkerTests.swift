import Chunks
import Compression
import Dialects
import Foundation
import Import
import JSON
import Readings
import TestServers
import Testing

/// What a text is cut into, and what its chunks decode to.
struct ChunkerTests {
  private static let now: Int64 = 1_763_691_318_070

  /// The readings and refusals of a text that is cut into chunks of at most `target` bytes, and read `piece` bytes at once.
  private func decode(
    _ text: String, _ dialect: RecordDialect, target: Int, piece: Int = 1 << 30, limit: Int = 4096
  ) throws -> (readings: [String], ids: [String], refusals: [String]) {
    let bytes = Array(text.utf8)
    let context = DecodingContext(
      parser: JSONParser(), bounds: TimeBounds(futureTolerance: 1_000, retention: 1_000_000_000), readingsLimit: .max)
    let identity = bytes.withUnsafeBytes { FileIdentity(of: $0) }
    var header: [UInt8] = []
    if dialect == .csv {
      let framing = bytes.withUnsafeBytes { RecordFraming.rows(below: $0) }
      header = Array(bytes.prefix(bytes.withUnsafeBytes { framing.firstRecord(of: $0, isLast: true) ?? 0 }))
    }
    var chunker = Chunker(
      dialect == .csv
        ? header.withUnsafeBytes { .rows(below: $0) }
        : dialect == .influxdb ? .points : dialect == .senml ? .documents : .lines, target: target, limit: limit)
    var decoder = try ChunkDecoder(dialect, mapping: CSVMapping(), device: nil, header: header, context: context)
    var taken = header.count
    var there = min(bytes.count, taken + piece)
    var line = header.count { $0 == 10 }
    var readings: [String] = []
    var ids: [String] = []
    var refusals: [String] = []
    var buffer = ByteBuffer()
    while true {
      let cut = bytes.withUnsafeBytes {
        chunker.cut(UnsafeRawBufferPointer(rebasing: $0[taken..<there]), isLast: there == bytes.count)
      }
      switch cut {
      case .end: return (readings, ids, refusals)
      case .more:
        try #require(there < bytes.count, "more is asked for than there is")
        there = min(bytes.count, there + min(piece, bytes.count))
      case .tooLong(let count, let lines):
        refusals.append("\(line + 1): too long")
        taken += count
        line += lines
      case .rest(let count, let lines):
        taken += count
        line += lines
      case .chunk(let count, let lines, let records):
        let batch = ReadingBatch()
        let found = try bytes.withUnsafeBytes {
          try decoder.decode(
            UnsafeRawBufferPointer(rebasing: $0[taken..<(taken + count)]), records: records, line: line,
            identity: identity, now: Self.now, into: batch, buffer: &buffer)
        }
        refusals += found.refusals.map { "\($0.line): \($0.reason)" }
        for var reading in batch.readings {
          ids.append(String(decoding: batch[reading.id], as: UTF8.self))
          reading.id = .none
          buffer.truncate(to: 0)
          ReadingEncoder.encode(reading, of: batch, into: &buffer)
          readings.append(String(decoding: buffer.bytes, as: UTF8.self))
        }
        taken += count
        line += lines
      }
    }
  }

  private static let texts: [(dialect: RecordDialect, text: String, readings: Int, refused: [Int])] = [
    (
      .sluice, "{\"device\":\"a\",\"sensor\":\"s\",\"value\":1}\n{\"device\":\"b\",\"sensor\":\"s\",\"value\":2}", 2, []
    ),
    (
      .sluice,
      "{\"device\":\"a\",\"sensor\":\"s\",\"value\":\"x\\ny\"}\r\n\r\n \nnot json\r\n{\"device\":\"b\",\"sensor\":\"s\","
        + "\"value\":2}\r\n{\"device\":\"b\"}\n", 2, [4, 6]
    ),
    (.csv, "device,sensor,value\na,s,1\nb,s,\"2\"\n", 2, []),
    (.csv, "device;sensor;value\r\na;s;1,5\r\n\r\nb;s;\"x\r\n\"\"y\"\"\r\n;z\"\r\nc;s\r\nd;s;4", 3, [7]),
    // Quotes that never end take no other row with them.
    (.csv, "device,sensor,value\na,s,1\nb,s,\"2\nc,s,3\nd,s,4\n", 3, [3]),
    (.csv, "device,sensor,value\na,s,1\nb,s,\"2\nc,s,\"3\"x\nd,s,4\n", 2, [3, 4]),
    (.csv, "device,t,h,id\na,1,2,\nb,,3,x\nc,,,\nd,4,5,", 5, []),
    (
      .influxdb,
      "m,device=a f=1,g=\"x\ny \\\" z\",h=2i\n# no\nm,device=b f=3\nm f=4\nm,device=c f=\"open\nm,device=d f=5", 5,
      [5, 6]
    ),
    (
      .senml,
      "[{\"bn\":\"urn:dev:ow:1\",\"n\":\"t\",\"v\":1},\n {\"n\":\"u\",\"vs\":\"]\\\"}\"}]\n[{\"n\":\"x\"}]\nno\n"
        + "[{\"bn\":\"urn:dev:ow:2\",\"n\":\"t\",\"v\":1}]", 3, [3, 4]
    ),
  ]

  @Test(arguments: texts.indices) func aCutTextDecodesLikeTheWholeOne(_ index: Int) throws {
    let (dialect, text, readings, refused) = Self.texts[index]
    let whole = try decode(text, dialect, target: 4096)
    #expect(whole.readings.count == readings, "\(whole)")
    #expect(whole.refusals.map { Int($0.prefix { $0 != ":" }) } == refused, "\(whole.refusals)")
    #expect(Set(whole.ids).count == whole.ids.count, "an id is there twice")
    #expect(whole.ids.allSatisfy { $0.hasPrefix("file-") || $0.hasPrefix("x/") }, "\(whole.ids)")
    for target in 1...text.utf8.count {
      for piece in [1, 7, 1 << 30] {
        let cut = try decode(text, dialect, target: target, piece: piece)
        #expect(cut.readings == whole.readings, "\(target) bytes, \(piece) at once")
        #expect(cut.ids == whole.ids, "\(target) bytes, \(piece) at once")
        #expect(cut.refusals.map { $0.prefix { $0 != ":" } } == whole.refusals.map { $0.prefix { $0 != ":" } })
      }
    }
  }

  /// The records that are cut off a text which is read at once.
  private func records(_ text: ArraySlice<UInt8>, _ framing: RecordFraming, mayGrow: Bool, target: Int) -> [String] {
    var chunker = Chunker(framing, target: target, mayGrow: mayGrow)
    var rest = text
    var found: [String] = []
    while true {
      let cut = Array(rest).withUnsafeBytes { chunker.cut($0, isLast: true) }
      guard case .chunk(let count, _, let records) = cut else {
        #expect(cut == .end && (mayGrow || rest.isEmpty), "\(cut)")
        return found.filter { !$0.isEmpty }
      }
      for record in records {
        let bytes = rest.dropFirst(record.start).prefix(record.end - record.start)
        found.append(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Whatever is added to a text, what was cut off it before is what is cut off the longer one.
  @Test(arguments: texts.indices) func aTextThatGrowsIsCutLikeTheWholeOne(_ index: Int) {
    let (dialect, text, _, _) = Self.texts[index]
    var bytes = Array(text.utf8)[...]
    let header = dialect == .csv ? Array(bytes.prefix { $0 != 10 }) + [10] : []
    bytes = bytes.dropFirst(header.count)
    let framing = dialect.framing(header: header)
    let whole = records(bytes, framing, mayGrow: false, target: 4096)
    for count in 0...bytes.count {
      for target in [1, 20, 4096] {
        let some = records(bytes.prefix(count), framing, mayGrow: true, target: target)
        #expect(some == Array(whole.prefix(some.count)), "the first \(count) bytes")
      }
    }
    // Nothing is left of a text whose last record has an end, unless quotes are open.
    if !text.contains("open") && !text.contains("\"2\nc") {
      #expect(records(bytes + [10], framing, mayGrow: true, target: 4096) == whole)
    }
  }

  @Test(arguments: [
    ("{\"a\":1}", 1), ("{\"a\":\"}\"} \t\r", 1), ("{\"a\":\"}\"", 0), ("{\"a\":{}", 0), ("1", 0), ("{}{}", 0),
    ("{}x", 0),
    (" ", 0), ("", 0),
  ]) func aLineThatIsAWholeObjectHasAnEnd(_ text: String, _ count: Int) {
    #expect(records(Array(text.utf8)[...], .lines, mayGrow: true, target: 64).count == count)
  }

  @Test func aLineThatIsTooLongIsOneRefusal() throws {
    let good = "{\"device\":\"a\",\"sensor\":\"s\",\"value\":1}"
    for length in 60...300 {
      let text = "\(good)\n\(String(repeating: "x", count: length))\n\(good)\n"
      let found = try decode(text, .sluice, target: 50, piece: 9, limit: 100)
      #expect(found.readings.count == 2)
      #expect(found.refusals.count == 1 && found.refusals[0].hasPrefix("2:"), "\(length): \(found.refusals)")
    }
    let open = try decode("\(good)\n" + String(repeating: "x", count: 500), .sluice, target: 50, piece: 9, limit: 100)
    #expect(open.readings.count == 1 && open.refusals == ["2: too long"])
  }

  @Test func aChangedLineHasAnotherIdAndItsNeighboursDoNot() throws {
    // Behind what identifies the file.
    let head = "device,sensor,value\n" + String(repeating: "a,s,1\n", count: 12_000)
    let before = try decode(head + "b,s,2\nc,s,3", .csv, target: 64 << 10)
    let after = try decode(head + "b,s,9\nc,s,3\nd,s,4\n", .csv, target: 64 << 10)
    #expect(before.ids.count == 12_002 && Set(before.ids).count == 12_002)
    #expect(before.ids[..<12_000] == after.ids[..<12_000])
    #expect(before.ids[12_000] != after.ids[12_000])
    #expect(before.ids[12_001] == after.ids[12_001])
  }

  @Test(arguments: [
    ("a.csv", "", RecordDialect.csv), ("a.CSV.gz", "", .csv), ("a.ndjson", "", .sluice), ("a.jsonl.gz", "", .sluice),
    ("a.lp", "", .influxdb), ("a.senml.json", "", .senml), ("-", " \n{\"device\":1}", .sluice),
    ("x", "[{\"n\":1}]", .senml),
    ("x", "# a comment\nm f=1\n", .influxdb), ("x", "m,host=a f=1\n", .influxdb), ("x", "device,value\na=b,1\n", .csv),
    ("x", "", .csv),
  ]) func guesses(_ name: String, _ start: String, _ dialect: RecordDialect) {
    #expect(RecordDialect(name: name, start: start.utf8) == dialect)
  }
}
