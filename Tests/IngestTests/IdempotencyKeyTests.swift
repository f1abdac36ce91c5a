import Foundation
import HTTPClient
import Ingest
import Testing

/// What `Idempotency-Key` makes of a request's readings.
@Suite struct IdempotencyKeyTests {
  /// The ids of the readings that a request brings onto the topic, "-" for none; nil when it is refused.
  private func ids(
    _ keys: [String], _ body: String = reading(), _ headers: [(String, String)] = []
  ) throws -> [String]? {
    let routes = Routes()
    let request = routes.send(body, headers + keys.map { ("idempotency-KEY", $0) })
    if request.status == 400 {
      #expect(request.errorCode == "invalid_idempotency_key")
      #expect(request.text.contains("Idempotency-Key"))
      #expect(routes.publisher.published.isEmpty && routes.bytesHeld == 0)
      return nil
    }
    return try routes.publisher.published.map { text in
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
      return object?["id"] as? String ?? "-"
    }
  }

  @Test func leavesReadingsAsTheyAreWithoutOne() throws {
    let routes = Routes()
    #expect(routes.send(reading()).status == 202)
    #expect(!routes.publisher.published[0].contains("id\""))
    #expect(try ids([], "[\(reading()),\(reading())]") == ["-", "-"])
  }

  /// The same in every process and version: otherwise a repeat after an upgrade would be stored again.
  @Test func isTheSameForEver() throws {
    #expect(try ids(["order-17"]) == ["key-L2hBWVUuCHK0HvCHowG4hL/0"])
  }

  @Test func givesEachItemItsPlace() throws {
    let id = try #require(try ids(["k"])?.first)
    #expect(id.hasPrefix("key-") && id.hasSuffix("/0") && id.utf8.count == 28)
    let prefix = id.dropLast()
    #expect(try ids(["k"], "[\(reading("a")),\(reading("b"))]") == ["\(prefix)0", "\(prefix)1"])
    let lines = (0..<12).map { reading("d\($0)") }.joined(separator: "\n\n")
    let expected = (0..<12).map { "\(prefix)\($0)" }
    #expect(try ids(["k"], lines, [("Content-Type", "application/x-ndjson")]) == expected)
  }

  @Test func countsItemsThatAreRefused() throws {
    let id = try #require(try ids(["k"])?.first).dropLast()
    let bad = #"{"device":"d"}"#
    for (items, places) in [
      ([bad, reading()], [1]), ([reading(), bad, bad, reading(), bad, reading()], [0, 3, 5]),
      ([reading(), bad], [0]), ([bad, bad, bad, reading()], [3]),
    ] {
      #expect(try ids(["k"], "[\(items.joined(separator: ","))]") == places.map { "\(id)\($0)" })
    }
    let lines = "\(reading())\nnot json\n\n\(bad)\n\(reading())"
    #expect(try ids(["k"], lines, [("Content-Type", "application/x-ndjson")]) == ["\(id)0", "\(id)3"])
  }

  @Test func leavesTheSendersOwnIDs() throws {
    let own = #"{"device":"d","sensor":"s","value":1,"id":"mine"}"#
    let id = try #require(try ids(["k"])?.first).dropLast()
    #expect(try ids(["k"], "[\(own),\(reading()),\(own)]") == ["mine", "\(id)1", "mine"])
  }

  /// A string of RFC 8941 and the same characters without its quotes.
  @Test(arguments: [
    ("k", #""k""#), ("8e03978e-40d5-43dd-bc93-6894a57f9324", #""8e03978e-40d5-43dd-bc93-6894a57f9324""#),
    (#"a"b"#, #""a\"b""#), (#"a\b"#, #""a\\b""#), (#"\"#, #""\\""#), (#"a""#, #""a\"""#), ("~!;=,", #""~!;=,""#),
    (String(repeating: "x", count: 255), "\"\(String(repeating: "x", count: 255))\""),
    (String(repeating: "\\", count: 255), "\"\(String(repeating: "\\", count: 510))\""),
  ])
  func meansTheSameWithAndWithoutQuotes(_ bare: String, _ quoted: String) throws {
    let id = try #require(try ids([bare]))
    #expect(id.count == 1 && id[0].utf8.count == 28)
    #expect(try ids([quoted]) == id)
  }

  @Test func tellsKeysApart() throws {
    let keys = [
      "k", "K", "kk", "k/0", "\\k", "k\"", String(repeating: "x", count: 254), String(repeating: "x", count: 255),
    ]
    #expect(Set(try keys.map { try #require(try ids([$0])) }).count == keys.count)
  }

  @Test(arguments: [
    "", #""""#, #"""#, #""k"#, #""a"b""#, #""a\b""#, #""a\""#, #""k"x"#,
    "a b", #""a b""#, "a\tb", "é", #""é""#, #""k";a=1"#, #""a", "b""#, "a, b", "a\u{7f}",
    String(repeating: "x", count: 256), "\"\(String(repeating: "x", count: 256))\"",
  ])
  func refusesWhatIsNoKey(_ key: String) throws {
    #expect(try ids([key]) == nil)
  }

  @Test func refusesMoreThanOne() throws {
    #expect(try ids(["a", "b"]) == nil)
    #expect(try ids(["a", "a"]) == nil)
    #expect(try ids(["a", ""]) == nil)
    #expect(try ids(["", "a"]) == nil)
  }

  /// One header field after the other, as they come over a socket.
  @Test func readsTheHeadersOfARealRequest() throws {
    let served = try Served()
    defer { served.stop() }
    func post(_ keys: [String]) throws -> Int {
      try served.post(reading(), [Served.json] + keys.map { ("Idempotency-Key", $0) }).status
    }
    #expect(try post(["k"]) == 202)
    #expect(try post([" \"k\" "]) == 202)
    #expect(try post([]) == 202)
    #expect(try post(["a", "b"]) == 400)
    #expect(try post(["a", "a"]) == 400)
    #expect(try post(["a b"]) == 400)
    let id = try #require(try ids(["k"])?.first)
    let stored = try served.stored().map(\.value)
    #expect(stored.count == 3)
    #expect(stored.count { $0.hasSuffix(#","id":"\#(id)"}"#) } == 2)
  }
}
