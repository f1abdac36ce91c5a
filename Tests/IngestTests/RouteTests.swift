import Compression
import HTTP
import Ingest
import Kafka
import Operations
import Testing

@Suite struct RouteTests {
  private static let json = ("Content-Type", "application/json")
  private static let lines = ("Content-Type", "application/x-ndjson")

  // MARK: What is taken

  @Test(arguments: [
    [], [json], [("content-type", "application/JSON; charset=utf-8")], [("Content-Type", "application/json ;v=1")],
    [json, ("Content-Encoding", "identity")],
  ])
  func takesAnObject(_ headers: [(String, String)]) {
    let routes = Routes()
    let request = routes.send(reading("greenhouse-3", "temperature", value: "21.5"), headers)
    #expect(request.status == 202 && request.text == #"{"accepted":1}"#)
    #expect(request.header("Content-Type") == "application/json")
    #expect(
      routes.publisher.published == [
        #"{"device":"greenhouse-3","sensor":"temperature","value":21.5,"ts":"2026-11-21T02:15:18.070Z"}"#
      ])
  }

  @Test func takesAnArray() {
    let routes = Routes()
    let request = routes.send("[\(reading("a")),\(reading("b")),\(reading("c"))]", [Self.json])
    #expect(request.status == 202 && request.text == #"{"accepted":3}"#)
    #expect(
      routes.publisher.published.map { $0.prefix(13) } == [#"{"device":"a""#, #"{"device":"b""#, #"{"device":"c""#])
    #expect(routes.publisher.counted == (3, 0))
  }

  @Test(arguments: ["application/x-ndjson", "application/ndjson", "Application/X-NDJSON;charset=UTF-8"])
  func takesLines(_ type: String) {
    let routes = Routes()
    let request = routes.send("\(reading("a"))\r\n\n \t\r\n\(reading("b"))\n\(reading("c"))", [("Content-Type", type)])
    #expect(request.status == 202 && request.text == #"{"accepted":3}"#)
    #expect(routes.publisher.published.count == 3)
  }

  @Test(arguments: [1, 2, 7, 100_000])
  func takesPiecesOfAnySizePackedOrNot(_ piece: Int) throws {
    let body = Array("[\((0..<50).map { reading("device-\($0)") }.joined(separator: ","))]".utf8)
    let packed = [
      (body, []), (try Deflater.compress(body, .gzip), [("Content-Encoding", "gzip")]),
      (try Deflater.compress(body, .gzip), [("Content-Encoding", "X-GZip")]),
      (try Deflater.compress(body, .zlib), [("Content-Encoding", "deflate")]),
      (try Deflater.compress(body, .raw), [("Content-Encoding", "deflate")]),
    ]
    for (bytes, headers) in packed {
      for isChunked in [false, true] {
        let routes = Routes()
        let request = routes.send(bytes, headers, isChunked: isChunked, piece: piece)
        #expect(request.text == #"{"accepted":50}"#, "\(headers) chunked: \(isChunked)")
        #expect(Set(routes.publisher.published).count == 50)
      }
    }
  }

  // MARK: When it is answered

  @Test func answersOnlyAfterTheLastReport() {
    let routes = Routes(FakePublisher())
    let request = routes.send("[\(reading("a")),\(reading("b")),\(reading("c"))]")
    let waiting = routes.publisher.takeWaiting()
    #expect(waiting.map(\.index) == [0, 1, 2])
    for (receiver, index) in waiting.reversed() {
      #expect(request.answerCount == 0)
      receiver.delivered(DeliveryReport(index: index))
    }
    #expect(request.status == 202 && request.answerCount == 1)
    // What a faulty client library reports again changes nothing.
    waiting[1].receiver.delivered(.timedOut(1))
    waiting[2].receiver.delivered(DeliveryReport(index: 2))
    #expect(request.answerCount == 1)
    #expect(routes.publisher.counted == (3, 0))
  }

  @Test func reportsMayComeFromManyThreadsAtOnce() async {
    let routes = Routes(FakePublisher(), body: 1 << 20, memory: 1 << 22)
    let request = routes.send("[\((0..<1_000).map { reading("device-\($0)") }.joined(separator: ","))]")
    let waiting = routes.publisher.takeWaiting()
    await withTaskGroup(of: Void.self) { group in
      for part in 0..<4 {
        group.addTask {
          for (receiver, index) in waiting where index % 4 == part {
            receiver.delivered(part == 3 ? .timedOut(index) : DeliveryReport(index: index))
          }
        }
      }
    }
    #expect(request.status == 207 && request.answerCount == 1)
    #expect(request.text.hasPrefix(#"{"accepted":750,"rejected":250,"errors":[{"index":3,"#))
    #expect(routes.publisher.counted == (750, 250))
  }

  @Test func aClientThatLeftChangesNothing() {
    let routes = Routes(FakePublisher())
    let request = routes.send("[\(reading()),\(reading())]")
    request.abandon()
    #expect(routes.publisher.published.count == 2)
    routes.publisher.report()
    #expect(routes.publisher.counted == (2, 0))
  }

  @Test func nothingIsKeptAfterTheAnswer() {
    let routes = Routes(FakePublisher())
    let answered = routes.send("[\(reading()),\(reading())]")
    let abandoned = routes.send(reading())
    let halfway = routes.begin(length: 100)
    halfway.send([0x7b])
    let watches = [answered.watch(), abandoned.watch(), halfway.watch()]
    #expect(watches.allSatisfy { $0.object != nil })
    answered.forget()
    abandoned.abandon()
    halfway.abandon()
    #expect(watches[0].object != nil, "the publisher holds it until its reports are there")
    routes.publisher.report()
    #expect(watches.allSatisfy { $0.object == nil })
    #expect(routes.bytesHeld == 0)
  }

  // MARK: What is refused at the head

  @Test func refusesAnotherTypeOrEncoding() {
    let routes = Routes()
    for type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "application/json2"] {
      let request = routes.send(reading(), [("Content-Type", type)])
      #expect(request.status == 415 && request.errorCode == "unsupported_media_type")
      #expect(request.header("Accept") == "application/json, application/x-ndjson, text/csv, application/senml+json")
      #expect(request.text.contains("application/json, application/x-ndjson, text/csv, application/senml+json"))
    }
    for encoding in ["br", "zstd", "gzip, gzip", "compress"] {
      let request = routes.send(reading(), [("Content-Encoding", encoding)])
      #expect(request.status == 415 && request.errorCode == "unsupported_encoding")
      #expect(request.header("Accept-Encoding") == "gzip, deflate, identity")
    }
    #expect(routes.publisher.published.isEmpty)
  }

  @Test func refusesAnotherPathOrMethod() {
    let routes = Routes()
    let other = routes.begin(.post, "/v1/reading", length: 0)
    #expect(other.status == 404 && other.errorCode == "not_found")
    for method in [HTTP.Method.get, .put, .delete, .head, .patch, .other("BREW")] {
      let request = routes.begin(method, length: nil)
      #expect(request.status == 405 && request.errorCode == "method_not_allowed")
      #expect(request.header("Allow") == "POST, OPTIONS")
    }
    #expect(routes.begin(.options, length: nil).status == 204)
  }

  @Test func refusesABodyWithoutOrWithTooGreatALength() {
    let routes = Routes(body: 1_000)
    let without = routes.begin(length: nil)
    #expect(without.status == 411 && without.errorCode == "length_required")
    #expect(routes.begin(length: 1_000).answer == nil)
    let large = routes.begin(length: 1_001)
    #expect(large.status == 413 && large.errorCode == "too_large" && large.text.contains("1000 bytes"))
    #expect(routes.bytesHeld == 0)
  }

  @Test func refusesABodyThatGrowsTooLarge() throws {
    let routes = Routes(body: 1_000)
    let blanks = [UInt8](repeating: 0x20, count: 2_000)
    let bodies = [
      (blanks, [], true), (try gzip(blanks), [("Content-Encoding", "gzip")], true),
      (try gzip(blanks), [("Content-Encoding", "gzip")], false),
      (try Deflater.compress(blanks, .raw), [("Content-Encoding", "deflate")], false),
    ]
    // Of this nothing comes out.
    let hollow = (0..<60).reduce(into: [UInt8]()) { bytes, _ in bytes += (try? gzip([])) ?? [] }
    for (body, headers, isChunked) in bodies + [(hollow, [("Content-Encoding", "gzip")], true)] {
      let request = routes.send(body, headers, isChunked: isChunked, piece: 10)
      #expect(request.status == 413 && request.text.contains("1000 bytes"))
    }
    #expect(routes.bytesHeld == 0)
    // Exactly as much as is allowed is taken.
    let padded = Array(reading().utf8) + blanks
    #expect(routes.send(Array(padded.prefix(1_000)), isChunked: true).status == 202)
    #expect(routes.send(try gzip(Array(padded.prefix(1_000))), [("Content-Encoding", "gzip")]).status == 202)
  }

  // MARK: What is refused for its content

  @Test(arguments: [
    "", " ", "{", "[\(reading())", "\(reading())x", "\(reading())\n\(reading())", "1", "null", "\"a\"", "NaN",
    reading(value: "1e999"), reading(value: "NaN"), reading(value: "-Infinity"), reading(value: #""\ud800""#),
    reading(value: "\"\u{1}\""), String(repeating: "[", count: 100), String(repeating: #"{"a":"#, count: 100),
    "[\(reading()),\(reading(value: "1e400"))]",
  ])
  func refusesWhatIsNotJSON(_ body: String) {
    let routes = Routes()
    let request = routes.send(body)
    #expect(request.status == 400 && request.errorCode == "malformed", "\(request.text)")
    #expect(routes.publisher.published.isEmpty && routes.bytesHeld == 0)
  }

  @Test func refusesWhatIsNotUTF8() {
    let routes = Routes()
    for bytes: [UInt8] in [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf5, 0x80, 0x80, 0x80]] {
      let body = Array(#"{"device":"d","sensor":"s","value":""#.utf8) + bytes + Array(#""}"#.utf8)
      #expect(routes.send(body).status == 400)
      // In a line it is that line's fault.
      let lines = body + [0x0a] + Array(reading().utf8)
      #expect(routes.send(lines, [Self.lines]).text.hasPrefix(#"{"accepted":1,"rejected":1,"errors":[{"index":0,"#))
    }
  }

  @Test func refusesBrokenPacking() throws {
    let routes = Routes()
    let packed = try gzip(Array("[\((0..<100).map { reading("d\($0)") }.joined(separator: ","))]".utf8))
    var flipped = packed
    flipped[packed.count / 2] ^= 0x55
    for body in [Array(packed.dropLast()), Array(packed.prefix(1)), [], flipped, Array(reading().utf8), packed + [1]] {
      let request = routes.send(body, [("Content-Encoding", "gzip")])
      #expect(request.status == 400 && request.text.contains("Content-Encoding"), "\(request.text)")
    }
    #expect(routes.publisher.published.isEmpty && routes.bytesHeld == 0)
  }

  @Test func refusesABodyWithoutReadings() {
    let routes = Routes()
    for (body, type) in [("[]", Self.json), (" [ ] ", Self.json), ("", Self.lines), ("\r\n\n", Self.lines)] {
      let request = routes.send(body, [type])
      #expect(request.status == 422 && request.errorCode == "no_readings")
    }
  }

  /// So many would never find room, however often they came again.
  @Test func refusesMoreReadingsThanTheQueueHolds() {
    let routes = Routes(waiting: 3)
    let body = Array(repeating: reading(), count: 4)
    let request = routes.send("[\(body.joined(separator: ","))]")
    #expect(request.status == 413 && request.errorCode == "too_many_readings" && request.text.contains("at most 3 "))
    #expect(routes.send("[\(body.dropLast().joined(separator: ","))]").status == 202)
  }

  @Test func refusesTooManyReadings() {
    let routes = Routes(readings: 3)
    let body = Array(repeating: reading(), count: 4)
    for (text, type) in [("[\(body.joined(separator: ","))]", Self.json), (body.joined(separator: "\n"), Self.lines)] {
      let request = routes.send(text, [type])
      #expect(request.status == 413 && request.errorCode == "too_many_readings" && request.text.contains("at most 3 "))
    }
    #expect(routes.publisher.published.isEmpty)
    #expect(routes.send("[\(body.dropLast().joined(separator: ","))]").status == 202)
  }

  @Test func namesWhatIsWrongWithEachItem() {
    let routes = Routes()
    let request = routes.send(
      """
      [{"device":"d"},\(reading()),7,{"device":"d","sensor":"s","value":1,"value":2},{"device":"d","sensor":"s",\
      "value":1,"extra\\"":2},{"device":"d","sensor":"s","value":1,"ts":"2026-11-21T02:15:18"},\
      {"device":"d","sensor":"s","value":1,"ts":"1970-01-01T00:00:00Z"},{"device":"d","sensor":"s","value":1,\
      "ts":"2200-01-01T00:00:00Z"},{"device":"d","sensor":"s","value":1,"id":"a\\u0007b"},\(reading(value: #""nan""#))]
      """)
    #expect(request.status == 207)
    #expect(
      request.text == """
        {"accepted":1,"rejected":9,"errors":[\
        {"index":0,"field":"sensor","reason":"is required"},\
        {"index":2,"field":"","reason":"a reading must be a JSON object"},\
        {"index":3,"field":"value","reason":"appears twice"},\
        {"index":4,"field":"extra\\"","reason":"is not a member of a reading: device, sensor, value, unit, ts, location, id, tags are"},\
        {"index":5,"field":"ts","reason":"has no zone: end it with Z or an offset such as +01:00 (RFC 3339)"},\
        {"index":6,"field":"ts","reason":"is older than the 86400 s that readings are kept: it says 1970-01-01T00:00:00.000Z, and now is 2026-11-21T02:15:18.070Z"},\
        {"index":7,"field":"ts","reason":"is more than 300 s in the future: it says 2200-01-01T00:00:00.000Z, and now is 2026-11-21T02:15:18.070Z"},\
        {"index":8,"field":"id","reason":"must be a string of 1 to 128 bytes without control characters"},\
        {"index":9,"field":"value","reason":"must be finite; leave a reading out that has no value"}]}
        """)
    #expect(routes.metric("sluice_http_readings_refused_total") == 9)
    #expect(routes.publisher.published.count == 1)
  }

  @Test func saysWhenNoItemIsAReading() {
    let routes = Routes()
    let request = routes.send("[{},1]")
    #expect(request.status == 422 && request.errorCode == "invalid_readings")
    #expect(request.text.hasPrefix(#"{"accepted":0,"rejected":2,"errors":[{"index":0,"field":"device","#))
    #expect(routes.send("{}").status == 422)
    #expect(routes.send("x\ny\n", [Self.lines]).status == 422)
    #expect(routes.publisher.published.isEmpty && routes.metric("sluice_http_readings_refused_total") == 5)
  }

  // MARK: What Kafka refuses

  @Test func refusesAtOnceWhenKafkaIsAway() {
    let routes = Routes()
    let begun = routes.begin(length: nil, isChunked: true)
    routes.publisher.unavailability = "Kafka does not answer: no \"broker\""
    let refused = routes.begin(length: 10)
    begun.send(Array(reading().utf8))
    begun.finish()
    for request in [refused, begun] {
      #expect(request.status == 503 && request.errorCode == "unavailable")
      #expect(request.text.contains(#"nothing was accepted: Kafka does not answer: no \"broker\"; repeat"#))
      #expect(request.header("Retry-After") == "2")
    }
    #expect(routes.publisher.published.isEmpty)
    routes.publisher.unavailability = nil
    #expect(routes.send(reading()).status == 202)
  }

  @Test func refusesWhatTheQueueHasNoRoomFor() {
    let routes = Routes()
    routes.publisher.room = 2
    let request = routes.send("[\(reading()),\(reading()),\(reading())]")
    #expect(request.status == 503 && request.text.contains("queue") && request.header("Retry-After") == "2")
    #expect(routes.publisher.published.isEmpty)
    #expect(routes.send("[\(reading()),\(reading())]").status == 202)
  }

  @Test func saysWhatBecameOfReadingsThatKafkaDidNotTake() {
    func answer(_ body: String, _ failure: (Int) -> DeliveryReport?) -> Request {
      let routes = Routes(FakePublisher())
      let request = routes.send(body)
      routes.publisher.report(failure)
      #expect(request.answerCount == 1)
      return request
    }
    let two = "[\(reading()),\(reading())]"
    let late = answer(two) { .timedOut($0) }
    #expect(late.status == 503 && late.errorCode == "undelivered" && late.header("Retry-After") == "2")
    #expect(late.text.contains("may still be delivered: repeat with the same ids"))
    // One of them may be stored: nobody may say that nothing was.
    let mixed = answer(two) { $0 == 0 ? .refused($0) : .timedOut($0) }
    #expect(mixed.status == 503 && mixed.text.contains("may still be delivered"))
    let full = answer(two) { .refused($0) }
    #expect(full.status == 503 && full.text.contains("nothing was accepted: Local: Queue full"))
    // Items that are no readings are not listed: all is to be repeated anyway.
    #expect(answer("[\(reading()),1]") { .timedOut($0) }.status == 503)
    let large = answer(two) { .refused($0, .messageTooLarge) }
    #expect(large.status == 413 && large.errorCode == "too_large" && large.header("Retry-After") == nil)
    let partly = answer(two) { $0 == 1 ? .refused($0, .messageTooLarge) : nil }
    #expect(partly.status == 207)
    #expect(
      partly.text.hasPrefix(#"{"accepted":1,"rejected":1,"errors":[{"index":1,"field":"","reason":"not stored: "#))
  }

  /// All combinations of five items that are readings or not, delivered or not.
  @Test func indicesCountAllItems() {
    for kinds in 0..<243 {
      let kind = (0..<5).map { kinds / [1, 3, 9, 27, 81][$0] % 3 }
      let routes = Routes(FakePublisher())
      let request = routes.send("[\(kind.map { $0 == 0 ? "{}" : reading(value: "\($0)") }.joined(separator: ","))]")
      let undelivered = kind.filter { $0 > 0 }.enumerated().filter { $0.element == 2 }.map(\.offset)
      // In any order.
      for (receiver, index) in routes.publisher.takeWaiting().shuffled() {
        receiver.delivered(undelivered.contains(index) ? .timedOut(index) : DeliveryReport(index: index))
      }
      let accepted = kind.filter { $0 == 1 }.count
      let expected =
        accepted == 5 ? 202 : accepted > 0 ? 207 : kind.contains(2) ? 503 : 422
      #expect(request.status == expected, "\(kind)")
      guard expected == 207 else { continue }
      let errors = kind.enumerated().filter { $0.element != 1 }.map { offset, kind in
        kind == 0
          ? #"{"index":\#(offset),"field":"device","reason":"is required"}"#
          : #"{"index":\#(offset),"field":"","reason":"Kafka did not acknowledge in time; it may still be delivered: repeat with the same id or Idempotency-Key"}"#
      }
      #expect(
        request.text
          == #"{"accepted":\#(accepted),"rejected":\#(5 - accepted),"errors":[\#(errors.joined(separator: ","))]}"#)
    }
  }

  // MARK: Memory and metrics

  @Test func bodiesShareABudget() throws {
    let routes = Routes(FakePublisher(), body: 600, memory: 1_000)
    let first = routes.begin(length: 600)
    #expect(routes.bytesHeld == 600)
    let second = routes.begin(length: 401, peer: "192.0.2.2")
    #expect(second.status == 503 && second.errorCode == "unavailable" && second.header("Retry-After") == "2")
    #expect(routes.bytesHeld == 600)
    // One of unknown size takes as it grows.
    let third = routes.begin(length: nil, isChunked: true, peer: "192.0.2.3")
    third.send([UInt8](repeating: 0x20, count: 400))
    #expect(routes.bytesHeld == 1_000 && third.answer == nil)
    third.send([0x20])
    #expect(third.status == 503 && routes.bytesHeld == 600)
    // And so does one that is unpacked.
    let fourth = routes.begin(headers: [("Content-Encoding", "gzip")], length: 100)
    fourth.send(try gzip([UInt8](repeating: 0x20, count: 500)))
    #expect(fourth.status == 503 && routes.bytesHeld == 600)
    // A body that is decoded is held no longer: what waits for Kafka is the queue's to bound.
    first.send(Array(reading().utf8))
    first.finish()
    #expect(first.answer == nil && routes.publisher.published.count == 1 && routes.bytesHeld == 0)
    routes.begin(length: 600).abandon()
    #expect(routes.bytesHeld == 0)
  }

  @Test func aLongListOfErrorsIsPartOfTheBudget() {
    let routes = Routes(body: 10_000, memory: 100_000)
    let body = "[\(Array(repeating: "1", count: 150).joined(separator: ","))]"
    let first = routes.send(body)
    #expect(first.status == 422 && routes.bytesHeld > first.text.utf8.count)
    let second = routes.send("[\(Array(repeating: "1", count: 100).joined(separator: ",")),\(reading())]")
    #expect(second.status == 503, "until the first is sent")
    #expect(routes.publisher.published.isEmpty)
    second.forget()
    first.forget()
    #expect(routes.bytesHeld == 0)
    #expect(routes.send(body).status == 422)
    // One that has more errors than there is memory for is taken alone.
    let most = routes.send("[\(Array(repeating: "1", count: 1_000).joined(separator: ","))]")
    #expect(most.status == 422)
  }

  @Test func aBodyThatNeverFitsIsTooLarge() {
    let routes = Routes(body: 10_000, memory: 5_000)
    #expect(routes.begin(length: 5_001).status == 413)
  }
}
