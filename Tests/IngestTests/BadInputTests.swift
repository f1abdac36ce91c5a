import Compression
import Foundation
import HTTP
import HTTPClient
import TestServers
import Testing

/// What comes over sockets and is wrong ends in a clear error, hurts nobody else, and leaves nothing on the topic.
@Suite struct BadInputTests {
  /// A body, how it is announced, and what must be answered.
  private struct Case {
    let name: String
    let body: [UInt8]
    let status: Int
    let says: String
    let headers: [(String, String)]
    let accepted: Int

    init(
      _ name: String, _ body: [UInt8], _ status: Int, _ says: String, as headers: [(String, String)] = [Served.json],
      accepted: Int = 0
    ) {
      (self.name, self.body, self.status, self.says) = (name, body, status, says)
      self.headers = headers
      self.accepted = accepted
    }

    init(
      _ name: String, _ body: String, _ status: Int, _ says: String, as headers: [(String, String)] = [Served.json],
      accepted: Int = 0
    ) {
      self.init(name, Array(body.utf8), status, says, as: headers, accepted: accepted)
    }
  }

  private static func with(_ members: String) -> String { #"{"device":"d","sensor":"s","value":1,\#(members)}"# }
  private static let packed = [Served.json, ("Content-Encoding", "gzip")]

  private static func cases() throws -> [Case] {
    let many = (0..<10_001).map { reading("d\($0)") }
    let array = Array("[\(many.dropLast().joined(separator: ","))]".utf8)
    let zipped = try gzip(array)
    var corrupt = zipped
    corrupt[zipped.count / 2] ^= 0xff
    var invalid = Array(reading(value: #""??""#).utf8)
    invalid.withUnsafeMutableBytes { bytes in
      for index in bytes.indices where bytes[index] == UInt8(ascii: "?") { bytes[index] = 0xff }
    }
    let deepObjects =
      String(repeating: #"{"device":"#, count: 50_000) + "1" + String(repeating: "}", count: 50_000)
    return [
      Case("truncated", Array(array.dropLast(100)), 400, "not JSON"),
      Case("deep arrays", String(repeating: "[", count: 100_000), 400, "not JSON"),
      Case("deep objects", deepObjects, 400, "not JSON"),
      Case("deep value", Self.with(#""tags":"# + String(repeating: "[", count: 40)), 400, "not JSON"),
      Case("repeated key", #"{"device":"d","device":"e","sensor":"s","value":1}"#, 422, "appears twice"),
      Case("beyond double", reading(value: "1e309"), 400, "not JSON"),
      Case("beyond double within an array", "[\(reading()),\(reading(value: "-1e999"))]", 400, "not JSON"),
      Case("NaN", reading(value: "NaN"), 400, "not JSON"),
      Case("NaN as text", reading(value: #""NaN""#), 422, "must be finite"),
      Case("infinity as text", reading(value: #""-Infinity""#), 422, "must be finite"),
      Case("lone surrogate", reading(value: #""\ud83d""#), 400, "not JSON"),
      Case("invalid UTF-8", invalid, 400, "not JSON"),
      Case("NUL in the middle", reading() + "\0" + reading(), 400, "not JSON"),
      Case("UTF-16", Array(reading().data(using: .utf16LittleEndian)!), 400, "not JSON"),
      Case(
        "gzip bomb", try gzip([UInt8](repeating: 0x20, count: 64 << 20)), 413, "at most 8388608 bytes", as: Self.packed),
      Case("truncated gzip", Array(zipped.dropLast(20)), 400, "Content-Encoding", as: Self.packed),
      Case("corrupt gzip", corrupt, 400, "Content-Encoding", as: Self.packed),
      Case("no gzip", reading(), 400, "Content-Encoding", as: Self.packed),
      Case("form", "device=d", 415, "application/json", as: [("Content-Type", "application/x-www-form-urlencoded")]),
      Case("brotli", reading(), 415, "gzip, deflate", as: [Served.json, ("Content-Encoding", "br")]),
      Case("empty array", "[]", 422, "no reading"),
      Case("empty body", "", 400, "not JSON"),
      Case("empty lines", "\r\n\n", 422, "no reading", as: [Served.lines]),
      Case("id with a control character", Self.with(#""id":"a\u0000b""#), 422, "control characters"),
      Case("device with a control character", reading(#"d\n"#), 422, "A-Z a-z 0-9"),
      Case("unknown member", Self.with(#""colour":"red""#), 422, "colour"),
      Case("time without zone", Self.with(#""ts":"2026-01-01T00:00:00""#), 422, "has no zone"),
      Case("time in 1970", Self.with(#""ts":"1970-01-01T00:00:00Z""#), 422, "now is 20"),
      Case("time in 2200", Self.with(#""ts":"2200-01-01T00:00:00Z""#), 422, "in the future"),
      Case("too many", "[\(many.joined(separator: ","))]", 413, "at most 10000 readings"),
      Case("too many lines", many.joined(separator: "\n"), 413, "at most 10000 readings", as: [Served.lines]),
      // And what looks odd but is right.
      Case("charset", reading(), 202, "1", as: [("Content-Type", "application/json; charset=UTF-8")], accepted: 1),
      Case("no type", reading(), 202, "1", as: [], accepted: 1),
      Case(
        "mixed lines", "\r\n\(reading("l1"))\r\n\n{\n\(reading("l2"))\n[1]\n\n\(reading("l3"))", 207,
        #"{"accepted":3,"rejected":2,"errors":[{"index":1,"#, as: [Served.lines], accepted: 3),
      Case("greatest double", reading(value: "1.7976931348623157e308"), 202, "1", accepted: 1),
      Case("packed", zipped, 202, #"{"accepted":10000}"#, as: Self.packed, accepted: 10_000),
    ]
  }

  @Test func endsInAClearErrorAndLosesNothing() throws {
    try withServed { served in
      var expected = 0
      for item in try Self.cases() {
        let answer = try served.post(item.body, item.headers)
        #expect(answer.status == item.status, "\(item.name): \(answer.text.prefix(300))")
        #expect(answer.text.contains(item.says), "\(item.name): \(answer.text.prefix(300))")
        if ![202, 207].contains(answer.status) { #expect(apiErrorCode(answer.text) != nil, "\(item.name)") }
        let good = try served.post(reading("good", "after", value: #""after \#(item.name)""#))
        #expect(good.status == 202, "after \(item.name): \(good.text)")
        expected += item.accepted + 1
      }
      let stored = try served.stored()
      #expect(stored.count == expected)
      #expect(Set(stored.filter { $0.key == "good" }.map(\.value)).count == (try Self.cases().count))
      #expect(served.metric("sluice_kafka_acknowledged_total") == expected)
      #expect(served.metric("sluice_http_body_bytes") == 0)
    }
  }

  @Test func whatIsStoredIsWhatWasSent() throws {
    try withServed { served in
      let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
      let time = Date.now.ISO8601Format()
      let body = #"{"sensor":"t","device":"dev/1","ts":"\#(time)","unit":"°C","value":-1.50}"#
      #expect(try served.post(body, [Served.json, ("Traceparent", trace)]).status == 202)
      let message = try #require(try served.stored().first)
      #expect(message.key == "dev/1")
      #expect(
        message.value
          == #"{"device":"dev/1","sensor":"t","value":-1.5,"unit":"°C","ts":"\#(time.dropLast()).000Z"}"#)
      #expect(message.headers.map(\.0) == ["source", "received", "traceparent", "sequence"])
      #expect(message.headers[0].1 == Array("http".utf8) && message.headers[2].1 == Array(trace.utf8))
      let received = try #require(Int64(String(decoding: message.headers[1].1 ?? [], as: UTF8.self)))
      #expect(abs(Double(received) / 1_000 - Date.now.timeIntervalSince1970) < 60)
    }
  }

  @Test func refusesWhatIsWrongWithTheRequestItself() throws {
    try withServed { served in
      func answer(_ text: String) throws -> (status: Int, text: String) {
        let connection = try RawConnection(served.server.port)
        connection.send(text)
        return try connection.receive()
      }
      let host = "Host: test\r\n"
      #expect(try answer("POST /v1/readings HTTP/1.1\r\n\(host)\r\n").status == 411)
      let get = try answer("GET /v1/readings HTTP/1.1\r\n\(host)\r\n")
      #expect(get.status == 405 && get.text.contains("POST"))
      #expect(try answer("POST /v2 HTTP/1.1\r\n\(host)Content-Length: 0\r\n\r\n").status == 404)
      #expect(try answer("POST /v1/readings HTTP/1.1\r\n\(host)Content-Length: -1\r\n\r\n").status == 400)
      let smuggled = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
      #expect(try answer("POST /v1/readings HTTP/1.1\r\n\(host)\(smuggled)").status == 400)
      let client = try HTTPClient()
      let notAllowed = try client.send("PUT", served.url, body: [1])
      #expect(notAllowed.status == 405 && notAllowed.header("Allow") == "POST, OPTIONS")
      let type = try client.send("POST", served.url, headers: [("Content-Type", "text/html")], body: [1])
      #expect(
        type.status == 415
          && type.header("Accept") == "application/json, application/x-ndjson, text/csv, application/senml+json")
      #expect(try served.post(reading()).status == 202)
      #expect(try served.stored().count == 1)
      #expect(served.metric(#"sluice_http_requests_total{route="/v1/readings",status="202"}"#) == 1)
      #expect(served.metric(#"sluice_http_requests_total{route="/v1/readings",status="405"}"#) == 2)
      #expect(served.metric(#"sluice_http_requests_total{route="other",status="404"}"#) == 1)
    }
  }

  /// 100 MB that come whether or not anybody wants them.
  @Test(arguments: [true, false])
  func refusesAHugeBody(_ isChunked: Bool) throws {
    try withServed { served in
      let connection = try RawConnection(served.server.port)
      connection.sendHead(isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 100000000")
      let piece = [UInt8](repeating: 0x20, count: 1_000_000)
      let framed = isChunked ? Array("f4240\r\n".utf8) + piece + [13, 10] : piece
      for _ in 0..<100 where !connection.send(framed) { break }
      let answer = try connection.receive()
      #expect(answer.status == 413 && answer.text.contains("at most 8388608 bytes"))
      #expect(served.metric("sluice_http_body_bytes") == 0)
      #expect(try served.post(reading()).status == 202)
      #expect(try served.stored().count == 1)
    }
  }

  /// As people do it by hand.
  @Test(arguments: [true, false])
  func refusesAHugeFileFromCurl(_ isChunked: Bool) throws {
    try withServed { served in
      let file = "\(TestServers.temporaryFolder("curl"))/body"
      #expect(FileManager.default.createFile(atPath: file, contents: nil))
      try FileHandle(forWritingTo: URL(fileURLWithPath: file)).truncate(atOffset: 100_000_000)
      let result = try TestServers.run(
        [
          "curl", "-sS", "-X", "POST", "-T", file, "-w", " %{http_code}", "-H", "Content-Type: application/json",
          "-H", isChunked ? "Transfer-Encoding: chunked" : "X-Nothing: 1", served.url,
        ])
      #expect(result.output.hasSuffix(" 413") && result.output.contains("too_large"), "\(result.output)")
      let good = try TestServers.run(
        ["curl", "-sS", "-H", "Content-Type: application/json", "-d", reading(), served.url])
      #expect(good.output == #"{"accepted":1}"#)
      #expect(try served.stored().count == 1)
    }
  }

  @Test func aBodyThatComesTooSlowlyTimesOut() throws {
    var options = Served.Options()
    options.bodyTimeout = .milliseconds(300)
    try withServed(options) { served in
      let connection = try RawConnection(served.server.port)
      connection.sendHead("Content-Length: 1000")
      connection.send(reading())
      let answer = try connection.receive()
      #expect(answer.status == 408 && apiErrorCode(answer.text) == "timeout")
      try eventually("its memory is given back") { served.metric("sluice_http_body_bytes") == 0 }
      #expect(try served.post(reading()).status == 202)
      #expect(try served.stored().count == 1)
    }
  }

  @Test func aClientThatLeavesHalfwayLeavesNothing() throws {
    try withServed { served in
      do {
        let connection = try RawConnection(served.server.port)
        connection.sendHead("Content-Length: 1000")
        connection.send(reading())
        try eventually("it is being received") { served.metric("sluice_http_body_bytes") == 1_000 }
        connection.reset()
      }
      try eventually("it is forgotten") {
        served.metric("sluice_http_body_bytes") == 0 && served.server.requestsInProgress == 0
      }
      #expect(try served.post(reading()).status == 202)
      #expect(try served.stored().count == 1)
    }
  }

  /// 200 bodies of 8 MiB at once from one client, of which 64 MiB may be held, and half of that by one client.
  @Test func memoryIsBounded() throws {
    try withServed { served in
      let items = (0..<3_000).map {
        #"{"device":"d\#($0)","sensor":"s","value":"\#(String(repeating: "x", count: 880))"}"#
      }
      var body = Array("[\(items.joined(separator: ","))]".utf8)
      body += [UInt8](repeating: 0x20, count: (8 << 20) - body.count)
      let before = residentBytes()
      var connections: [RawConnection] = []
      for _ in 0..<200 {
        let connection = try RawConnection(served.server.port)
        connection.sendHead("Content-Type: application/json", "Content-Length: \(body.count)")
        connections.append(connection)
      }
      // Those that are not refused at once are taken to their last byte.
      try eventually("196 are refused") { connections.count { $0.isReadable } >= 196 }
      let taken = connections.filter { !$0.isReadable }
      #expect(taken.count == 4)
      for connection in taken { #expect(connection.send(Array(body.dropLast()))) }
      for connection in connections where connection.isReadable {
        let answer = try connection.receive()
        #expect(answer.status == 503 && answer.text.contains("memory"))
      }
      #expect(residentBytes() - before < 200 << 20)
      for connection in taken {
        connection.send([0x20])
        let answer = try connection.receive()
        #expect(answer.status == 202 && answer.text == #"{"accepted":3000}"#)
      }
      #expect(residentBytes() - before < 300 << 20)
      #expect(served.metric("sluice_http_body_bytes") == 0)
      #expect(served.metric("sluice_kafka_acknowledged_total") == 4 * 3_000)
      #expect(try served.post(reading()).status == 202)
    }
  }

  private func residentBytes() -> Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
