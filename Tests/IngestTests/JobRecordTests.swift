import Chunks
import Foundation
import JSON
import Testing

@testable import Ingest

/// What a job says of itself, from where it may fetch, and where its text is cut: without threads or sockets.
@Suite struct JobRecordTests {
  private func record(_ id: String = "a-B_9") -> JobRecord {
    JobRecord(id: id, owner: "key1", created: 1_795_227_318_070, format: .csv, url: "https://h/p")
  }

  @Test func goesForwardOnly() {
    for first in JobRecord.State.allCases where first != .running {
      var record = record()
      #expect(record.state == .running && !record.isOver)
      switch first {
      case .cancelled:
        let isCancelled = record.cancel()
        #expect(isCancelled && !record.isOver)
        record.end(nil, at: 5)
      case .failed: record.end("why", at: 5)
      default: record.end(nil, at: 5)
      }
      #expect(record.state == first && record.isOver && record.ended == 5)
      #expect(record.reason == (first == .failed ? "why" : nil))
      let ended = record
      record.end("again", at: 9)
      record.interrupt(at: 10)
      let isCancelled = record.cancel()
      #expect(!isCancelled && record == ended)
    }
  }

  @Test func countsWhatIsUnderWayAfterItWasCancelled() {
    var record = record()
    _ = record.cancel()
    record.accept(3)
    record.doubt([.init(line: 4, reason: "r")])
    record.end("too late to be a failure", at: 7)
    #expect(record.state == .cancelled && record.reason == nil)
    #expect(record.accepted == 3 && record.inDoubt == 1 && record.faults.map(\.line) == [4])
  }

  @Test func aRecordWhoseProcessEndedHasFailed() {
    var record = record()
    record.accept(3)
    record.interrupt(at: 7)
    #expect(record.state == .failed && record.accepted == 3 && record.reason?.contains("ended while") == true)
  }

  @Test func keepsTheFirstFaultsAndCountsAll() {
    var record = record()
    record.reject((1...60).map { .init(line: $0, reason: "r\($0)") })
    record.doubt((61...90).map { .init(line: $0, reason: "r") })
    record.reject((91...300).map { .init(line: $0, reason: String(repeating: "x", count: 10_000)) })
    #expect(record.rejected == 270 && record.inDoubt == 30)
    #expect(record.faults.map(\.line).elementsEqual(1...100))
    #expect(record.faults.allSatisfy { $0.reason.count <= 401 })
    record.account(lines: 50)
    record.account(lines: 40)
    #expect(record.lines == 50)
  }

  @Test func isReadAsItWasWritten() throws {
    let parser = JSONParser()
    var record = record()
    #expect(JobRecord(parsing: record.json(owner: true), with: parser) == record)
    record.read(bytes: 77)
    record.accept(1)
    record.reject([.init(line: 2, reason: "with \"quotes\"\n and ümläut")])
    record.account(lines: 3)
    record.end("why \\", at: 1_795_227_319_000)
    #expect(JobRecord(parsing: record.json(owner: true), with: parser) == record)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(record.json())) as? [String: Any])
    #expect(object["owner"] == nil && object["state"] as? String == "failed" && object["in_doubt"] as? Int == 0)
    #expect((object["errors"] as? [[String: Any]])?.first?["line"] as? Int == 2)
    #expect(object["ended"] as? String == "2026-11-21T02:15:19.000Z", "\(object)")
    let text = String(decoding: record.json(owner: true), as: UTF8.self)
    for (from, to) in [
      ("\"failed\"", "\"lost\""), ("\"lines\":3", "\"lines\":-3"), ("a-B_9", "../x"), ("\"csv\"", "7"), ("}", ""),
      ("\"line\":2", "\"line\":\"2\""), ("\"errors\"", "\"mistakes\""),
    ] {
      let broken = text.replacing(from, with: to, maxReplacements: 1)
      #expect(broken != text)
      #expect(JobRecord(parsing: Array(broken.utf8), with: parser) == nil, "\(broken)")
    }
  }

  // MARK: From where

  @Test(arguments: [
    ("https://data.example.org/exports/a.csv", true), ("https://data.example.org/exports/", true),
    ("HTTPS://DATA.example.org:443/exports/x?sig=1%2F2", true), ("https://data.example.org/exports", false),
    ("https://data.example.org/exportsX/a", false), ("https://data.example.org/", false),
    ("http://data.example.org/exports/a", false), ("https://data.example.org:8443/exports/a", false),
    ("https://data.example.org./exports/a", false), ("https://xdata.example.org/exports/a", false),
    ("https://data.example.org.evil.example/exports/a", false), ("https://data.example.org@evil/exports/a", false),
    ("https://evil@data.example.org/exports/a", false), ("https://evil\\@data.example.org/exports/a", false),
    ("https://data.example.org/exports/../secret", false), ("https://data.example.org/exports/%2e%2E/secret", false),
    ("https://data.example.org/exports/.%2e/secret", false), ("https://data.example.org/exports/..;a=b/secret", false),
    ("https://data.example.org/exports/..%2fsecret", false), ("https://data.example.org/exports/..%5csecret", false),
    ("https://data.example.org/exports/..", false), ("https://data.example.org/exports/./a", false),
    ("https://data.example.org/exports/a#b", false), ("https://data.example.org/exports/a b", false),
    ("https://data.example.org/exports/a\r\nX: y", false), ("//data.example.org/exports/a", false),
    ("ftp://data.example.org/exports/a", false), ("file:///etc/passwd", false), ("https:///exports/a", false),
    ("https://data.example.org:0443x/exports/a", false), ("https://data.example.org:/exports/a", false),
    ("https://data.example.org:99999/exports/a", false), ("http://10.0.0.5:8000/x", true),
    ("http://10.0.0.5:8001/x", false), ("http://167772165:8000/x", false), ("http://[::ffff:10.0.0.5]:8000/x", false),
    ("http://[::1]:9000/", true), ("http://[::1/", false), ("https://plain.example/any/where", true),
    ("https://one.example/a.csv", true), ("https://one.example/a.csv/b", true), ("https://one.example/a.csvx", false),
    ("https://one.example/a.csv?x=/../", true),
  ]) func fetchesFromWhatIsAllowed(_ url: String, _ isAllowed: Bool) throws {
    let allowance = try FetchAllowance(
      "https://data.example.org/exports/, http://10.0.0.5:8000,plain.example,http://[::1]:9000/,https://one.example/a.csv"
    )
    #expect(FetchURL(url).map(allowance.allows) ?? false == isAllowed)
  }

  @Test func nothingIsAllowedUnlessSaid() throws {
    #expect(!(try FetchAllowance("")).allows(try #require(FetchURL("https://a/"))))
    for text in ["ftp://a/", "https://a/b?c", "https://a/../b", "a b", "https://u@a/"] {
      #expect(throws: FetchAllowance.Failure.self, "\(text)") { try FetchAllowance(text) }
    }
  }

  @Test func whatIsAskedForIsWhatWasLookedAt() throws {
    let url = try #require(FetchURL("HTTP://Host.Example:80/a//b;c?d=e&f=%20"))
    #expect(url.text == "http://host.example/a//b;c?d=e&f=%20" && url.withoutQuery == "http://host.example/a//b;c")
    #expect(FetchURL("https://h:8443?x=1")?.text == "https://h:8443/?x=1")
  }

  @Test func readsWhatIsToBeFetched() throws {
    let fetch = try JobFetch(Array(#"{"url":"https://h/a","format":"csv","gzip":true}"#.utf8))
    #expect(fetch.url.text == "https://h/a" && fetch.format == .csv && fetch.isPacked == true)
    #expect(try JobFetch(Array(#"{"format":"ndjson","url":"http://h/a"}"#.utf8)).isPacked == nil)
    for text in [
      "", "[]", "{}", #"{"url":"https://h/a"}"#, #"{"format":"csv"}"#, #"{"url":"https://h/a","format":"xml"}"#,
      #"{"url":7,"format":"csv"}"#, #"{"url":"https://h/a","format":"csv","gzip":"yes"}"#,
      #"{"url":"https://h/a","format":"csv","method":"POST"}"#, #"{"url":"https://u:p@h/a","format":"csv"}"#,
      #"{"url":"https://h/a","url":"https://h/b","format":"csv"}"#,
    ] {
      #expect(throws: JobFetch.Malformed.self, "\(text)") { try JobFetch(Array(text.utf8)) }
    }
  }

  // MARK: Text

  private func parts(
    _ text: String, _ dialect: RecordDialect, piece: Int, target: Int = 20, limit: Int = 60
  ) throws -> (records: [String], tooLong: [Int], header: String?, lines: Int) {
    var cutter = JobText(dialect, target: target, limit: limit)
    var rest = Array(text.utf8)[...]
    var found: (records: [String], tooLong: [Int], header: String?, lines: Int) = ([], [], nil, 0)
    while true {
      switch try cutter.next(isLast: rest.isEmpty) {
      case .more:
        try #require(!rest.isEmpty)
        rest.prefix(piece).withUnsafeBytes { cutter.append($0) }
        rest = rest.dropFirst(piece)
      case .end: return found
      case .header(let header): found.header = String(decoding: header, as: UTF8.self)
      case .tooLong(let line): found.tooLong.append(line)
      case .chunk(let count, let lines, let records):
        found.records += cutter.withBytes { bytes in
          records.map { "\(cutter.line + $0.line + 1):" + String(decoding: bytes[$0.start..<$0.end], as: UTF8.self) }
        }
        cutter.take(count: count, lines: lines)
        found.lines = cutter.line
      }
    }
  }

  @Test func cutsTheSameInWhateverPieces() throws {
    let long = String(repeating: "x", count: 200)
    let lines = "\u{feff}one\r\ntwo\n\n\(long)\nthree\n\(long)"
    let rows = "\u{feff}\r\na,b\r\n1,\"x\ny\"\r\n\(long)\n2,3"
    for piece in 1...120 {
      let found = try parts(lines, .sluice, piece: piece)
      #expect(found.records == ["1:one\r\n", "2:two\n", "3:\n", "5:three\n"], "\(piece)")
      #expect(found.tooLong == [4, 6] && found.header == "" && found.lines == 5, "\(piece)")
      let csv = try parts(rows, .csv, piece: piece)
      #expect(csv.records == ["3:1,\"x\ny\"\r\n", "6:2,3"], "\(piece)")
      #expect(csv.tooLong == [5] && csv.header == "\r\na,b\r\n" && csv.lines == 6, "\(piece)")
    }
    #expect(try parts("", .csv, piece: 1).header == nil)
    #expect(throws: ChunkDecoder.Unusable.self) {
      try parts("\"" + String(repeating: "\n", count: 200), .csv, piece: 7)
    }
  }
}
