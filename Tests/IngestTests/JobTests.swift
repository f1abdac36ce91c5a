import Compression
import Foundation
import HTTP
import HTTPClient
import Ingest
import Keys
import Operations
import TestServers
import Testing

/// Bodies of any size into a Kafka of this process.
@Suite struct JobTests {
  private func values(_ served: Served) throws -> [Int] {
    try served.stored().compactMap { message in
      message.value.firstRange(of: "\"value\":").flatMap { Int(message.value[$0.upperBound...].prefix { $0.isNumber }) }
    }
  }

  @Test(arguments: [1, 7, 1_000, 100_000]) func takesPiecesOfAnySize(_ piece: Int) throws {
    try withServed { served in
      let count = piece < 10 ? 300 : 30_000
      let job = try JobConnection(served.server.port)
      let text = Array(numbered(0..<count).utf8)
      #expect(job.send(text, piece: piece))
      job.finish()
      let answer = try job.connection.receive()
      #expect(answer.status == 202, "\(answer)")
      let view = try JSONDecoder().decode(JobView.self, from: Data(answer.text.utf8))
      #expect(view.state == "done" && view.ended != nil && view.reason == nil)
      #expect(view.accepted == count && view.rejected == 0 && view.inDoubt == 0)
      #expect(view.lines == count && view.bytes == text.count)
      #expect(try served.job(view.id).accepted == count)
      #expect(try values(served).sorted().elementsEqual(0..<count))
      #expect(served.metric("sluice_jobs_running") == 0 && served.metric("sluice_jobs_total{state=\"done\"}") == 1)
      // The connection goes on, as after any request.
      #expect(served.server.connectionCount >= 1)
      job.connection.sendHead("Content-Length: \(reading().utf8.count)")
      job.connection.send(reading())
      #expect(try job.connection.receive().status == 202)
    }
  }

  @Test func takesWhatIsPackedAndSaysWhichLinesAreWrong() throws {
    try withServed { served in
      let long = String(repeating: "x", count: 1_100_000)
      let text = "\u{feff}\(reading("a"))\r\n\nno\n\(reading("b"))\n{\"device\":\"b\"}\n\(long)\n\(reading("c"))"
      for (encoding, format) in [("gzip", Deflater.Format.gzip), ("deflate", .zlib)] {
        let packed = try Deflater.compress(Array(text.utf8), format)
        let answer = try served.postJob(packed, [Served.lines, ("Content-Encoding", encoding)])
        #expect(answer.status == 202, "\(answer.text)")
        let job = try JSONDecoder().decode(JobView.self, from: Data(answer.body))
        #expect(answer.header("Location") == "/v1/jobs/\(job.id)")
        #expect(job.accepted == 3 && job.rejected == 3 && job.lines == 7 && job.bytes == packed.count, "\(job)")
        #expect(job.errors?.map(\.line) == [3, 5, 6])
        #expect(job.errors?.map(\.reason).last == "is longer than 1 MiB", "\(answer.text)")
      }
      #expect(try served.stored().map(\.key).sorted() == ["a", "a", "b", "b", "c", "c"])
      #expect(try served.jobs().count == 2)
    }
  }

  @Test func takesCSV() throws {
    try withServed { served in
      let rows = (0..<5_000).map { $0 % 10 == 9 ? "x;broken\n" : "d\($0 % 3);\($0),5;\"two\nlines\"\n" }.joined()
      let answer = try served.postJob(
        Array("name;temp;note\n\(rows)".utf8), [("Content-Type", "text/csv; charset=utf-8")],
        query: "?map=name%3Ddevice,temp%3Dsensor:t,note%3Dtag:note")
      let job = try JSONDecoder().decode(JobView.self, from: Data(answer.body))
      #expect(answer.status == 202 && job.accepted == 4_500 && job.rejected == 500, "\(answer.text)")
      // Nine rows of two lines, then the broken one; the header is line 1.
      #expect(job.errors?.map(\.line).elementsEqual((0..<100).map { 20 + $0 * 19 }) == true)
      #expect(job.lines == 9_501)
      let stored = try served.stored()
      #expect(stored.count == 4_500 && stored.allSatisfy { $0.value.contains(#""note":"two\nlines""#) })
      #expect(stored.allSatisfy { $0.headers.contains { $0.0 == "source" && $0.1 == Array("job".utf8) } })
      for (header, query) in [("a;b\n1;2\n", ""), ("sensor,value\nt,1\n", "")] {
        let wrong = try served.postJob(Array(header.utf8), [("Content-Type", "text/csv")], query: query)
        #expect(wrong.status == 400 && apiErrorCode(wrong.text) == "malformed", "\(wrong.text)")
      }
      let mapped = try served.postJob([], [("Content-Type", "text/csv")], query: "?map=x")
      #expect(mapped.status == 400 && apiErrorCode(mapped.text) == "invalid_map")
    }
  }

  @Test func anEmptyBodyIsAJobToo() throws {
    try withServed { served in
      for type in ["application/x-ndjson", "text/csv"] {
        let answer = try served.postJob([], [("Content-Type", type)])
        #expect(answer.status == 202 && answer.text.contains(#""state":"done""#), "\(answer.text)")
      }
    }
  }

  @Test func refusesAtTheHeadWhatCannotBe() throws {
    try withServed { served in
      for type in ["application/senml+json", "text/plain", ""] {
        let answer = try served.postJob([], type.isEmpty ? [] : [("Content-Type", type)])
        #expect(answer.status == 415 && answer.header("Accept")?.contains("application/x-ndjson") == true)
      }
      #expect(try served.postJob([], [Served.lines, ("Content-Encoding", "br")]).status == 415)
      #expect(try served.postJob([], [Served.json, ("Content-Encoding", "gzip")]).status == 415)
      #expect(try served.postJob([], [Served.lines, ("Idempotency-Key", "a b")]).status == 400)
      #expect(try served.get("/v1/jobs/none").status == 404)
      #expect(try served.get("/v1/jobs/none", method: "DELETE").status == 404)
      #expect(try served.get("/v1/jobs", method: "PUT").header("Allow") == "POST, GET, HEAD, OPTIONS")
      let connection = try RawConnection(served.server.port)
      connection.send("POST /v1/jobs HTTP/1.1\r\nHost: t\r\nContent-Type: text/csv\r\n\r\n")
      #expect(try connection.receive().status == 411)
      #expect(try served.jobs().isEmpty)
    }
  }

  @Test(arguments: [true, false]) func aBrokenStreamKeepsWhatCameBefore(_ isTruncated: Bool) throws {
    try withServed { served in
      var packed = try Deflater.compress(Array(numbered(0..<20_000).utf8))
      if isTruncated { packed.removeLast(40) } else { packed[packed.count - 4_000] ^= 0xff }
      let answer = try served.postJob(packed, [Served.lines, ("Content-Encoding", "gzip")])
      #expect(answer.status == 400 && apiErrorCode(answer.text) == "malformed", "\(answer.text)")
      let job = try served.onlyJob()
      #expect(answer.header("Location") == "/v1/jobs/\(job.id)")
      #expect(job.state == "failed" && job.reason?.contains("packed") == true)
      #expect(job.accepted > 0 && job.accepted < 20_000 && answer.text.contains("accepted until then: \(job.accepted)"))
      let values = try values(served)
      #expect(values.count == job.accepted && (!isTruncated || values.sorted().elementsEqual(0..<job.accepted)))
    }
  }

  @Test func aJobIsCancelled() throws {
    try withServed { served in
      let connection = try JobConnection(served.server.port)
      connection.send(Array(numbered(0..<5_000).utf8))
      var before = try served.onlyJobWhenThere()
      try eventually("most is acknowledged") {
        before = try served.onlyJob()
        return before.accepted > 4_000
      }
      #expect(before.state == "running" && before.ended == nil)
      let answer = try served.get("/v1/jobs/\(before.id)", method: "DELETE")
      #expect([200, 202].contains(answer.status) && answer.text.contains(#""state":"cancelled""#))
      #expect(try connection.connection.receive().status == 409)
      let after = try served.onlyJob()
      #expect(after.state == "cancelled" && after.ended != nil && after.accepted >= before.accepted)
      #expect(try values(served).count == after.accepted)
      #expect(try served.get("/v1/jobs/\(before.id)", method: "DELETE").status == 200)
      #expect(served.metric("sluice_jobs_running") == 0)
    }
  }

  @Test func aClientGoesAway() throws {
    try withServed { served in
      let connection = try JobConnection(served.server.port)
      let lines = numbered(0..<5_000)
      connection.send(Array((lines + reading("half")).utf8))
      _ = try served.onlyJobWhenThere()
      connection.connection.reset()
      try eventually("the job ends") { try served.onlyJob().ended != nil }
      let job = try served.onlyJob()
      #expect(job.state == "failed" && job.reason?.contains("went away") == true)
      #expect(job.accepted > 0 && job.inDoubt == 0 && job.rejected == 0)
      let stored = try served.stored()
      #expect(stored.count == job.accepted && !stored.contains { $0.key == "half" })
      #expect(try served.postJob(Array(numbered(0..<1).utf8)).status == 202)
    }
  }

  /// Jobs have a silence of their own, shorter or longer than the time that other bodies have.
  @Test(arguments: [Duration.milliseconds(200), .seconds(20)]) func aClientSaysNothing(_ bodyTimeout: Duration) throws {
    var options = Served.Options.jobs { $0.silence = .seconds(1) }
    options.bodyTimeout = bodyTimeout
    try withServed(options) { served in
      let connection = try JobConnection(served.server.port)
      connection.send(Array(numbered(0..<8).utf8))
      let answer = try connection.connection.receiveWhole()
      let text = String(decoding: answer.body, as: UTF8.self)
      let job = try served.onlyJob()
      #expect(answer.status == 408 && text.contains("nothing came for 1.0 seconds; accepted until then: 0"), "\(text)")
      #expect(answer.headers.contains { $0 == ("Location", "/v1/jobs/\(job.id)") }, "\(answer.headers)")
      #expect(job.state == "failed" && job.reason?.contains("nothing came for") == true)
    }
  }

  @Test func aPipeMayBeSlow() throws {
    var options = Served.Options.jobs { $0.silence = .seconds(10) }
    options.bodyTimeout = .milliseconds(200)
    try withServed(options) { served in
      let job = try JobConnection(served.server.port)
      for number in 0..<8 {
        job.send(Array(numbered(number..<number + 1).utf8))
        usleep(150_000)
      }
      job.finish()
      #expect(try job.connection.receive().status == 202)
      #expect(try values(served).sorted().elementsEqual(0..<8))
    }
  }

  /// What the rate of its key holds up does not count as the client's silence.
  @Test func aClientMayBeSilentWhileItsJobIsHeldUp() throws {
    var file = KeyFile()
    let secret = try file.create(name: "slow", at: 0) { ($0.prefixes, $0.rate, $0.burst) = ([""], 200, 100) }.secret
    let ring = KeyRing()
    ring.replace(with: file.keys)
    var options = Served.Options.jobs { $0.silence = .seconds(2) }
    options.bodyTimeout = .milliseconds(200)
    options.keys = ring
    try withServed(options) { served in
      let packed = try Deflater.compress(Array(String(repeating: "\(reading())\n", count: 1_000).utf8))
      let job = try JobConnection(
        served.server.port, "Content-Type: application/x-ndjson", "Content-Encoding: gzip",
        "Authorization: Bearer \(secret)")
      // All but the end of what is packed, so that few bytes are much to do.
      job.send(packed.dropLast(8))
      try eventually("the rate has allowed what came") {
        try served.jobs(headers: [("Authorization", "Bearer \(secret)")]).first?.accepted ?? 0 > 400
      }
      job.send(packed.suffix(8))
      job.finish()
      let answer = try job.connection.receive()
      #expect(answer.status == 202 && answer.text.contains("\"accepted\":1000"), "\(answer)")
    }
  }

  /// What `/v1/readings` calls a reading, a job does too.
  @Test(arguments: ["application/x-ndjson", "text/csv"]) func aKeyGivesEachLineItsId(_ type: String) throws {
    try withServed { served in
      let headers = [("Content-Type", type), ("Idempotency-Key", "the key")]
      #expect(try served.postJob([], headers).status == 400)
      let keyed = [("Content-Type", type), ("Idempotency-Key", "\"the-key\"")]
      let isCSV = type == "text/csv"
      var body = isCSV ? "device,sensor,value\n" : ""
      for number in 0..<2_000 {
        body += number % 7 == 3 ? "\nno\n" : isCSV ? "d,s,\(number)\n" : "\(reading("d", "s", value: "\(number)"))\n"
      }
      #expect(try served.post(body, keyed).status == 207)
      let first = try served.stored().map(\.value)
      let job = try served.postJob(Array(body.utf8), keyed)
      #expect(job.status == 202 && job.text.contains("\"accepted\":\(first.count)"))
      func id(_ value: String) -> String {
        guard let start = value.firstRange(of: "\"id\":\"")?.upperBound else { return "" }
        return String(value[start...].prefix { $0 != "\"" })
      }
      let all = try served.stored().map(\.value)
      #expect(all.count == 2 * first.count && first.allSatisfy { id($0).hasPrefix("key-") })
      #expect(Set(first.map(id)).count == first.count && Set(all.map(id)) == Set(first.map(id)))
    }
  }

  // MARK: Keys

  @Test func keysHoldForEachReadingAndEachJob() throws {
    var file = KeyFile()
    let mine = try file.create(name: "mine", at: 0) { $0.devices = ["d1", "d2"] }.secret
    let other = try file.create(name: "other", at: 0) { ($0.prefixes, $0.dialects) = ([""], ["csv"]) }.secret
    let slow = try file.create(name: "slow", at: 0) { ($0.prefixes, $0.rate, $0.burst) = ([""], 200, 100) }.secret
    let ring = KeyRing()
    ring.replace(with: file.keys)
    var options = Served.Options()
    options.keys = ring
    try withServed(options) { served in
      func bearer(_ secret: String) -> [(String, String)] { [Served.lines, ("Authorization", "Bearer \(secret)")] }
      #expect(try served.postJob([]).status == 401)
      #expect(try served.get("/v1/jobs").status == 401)
      #expect(try served.postJob(Array(numbered(0..<1).utf8), bearer(other)).status == 403)
      let answer = try served.postJob(Array(numbered(0..<1_000).utf8), bearer(mine))
      let job = try JSONDecoder().decode(JobView.self, from: Data(answer.body))
      #expect(answer.status == 202 && job.accepted == 200 && job.rejected == 800)
      #expect(job.errors?.first?.line == 1 && job.errors?.first?.reason.contains("may not write this device") == true)
      #expect(Set(try served.stored().map(\.key)) == ["d1", "d2"])
      #expect(try served.job(job.id, headers: bearer(mine)).accepted == 200)
      #expect(try served.get("/v1/jobs/\(job.id)", headers: bearer(other)).status == 404)
      #expect(try served.get("/v1/jobs/\(job.id)", method: "DELETE", headers: bearer(other)).status == 404)
      #expect(try served.jobs(headers: bearer(mine)).count == 1 && served.jobs(headers: bearer(other)).isEmpty)
      // More than the rate ever allows at once: it waits.
      let paced = try served.postJob(Array(numbered(0..<500).utf8), bearer(slow))
      #expect(paced.status == 202 && paced.text.contains("\"accepted\":500"), "\(paced.text)")
      // A secret that is rotated away while its job is running.
      let connection = try JobConnection(
        served.server.port, "Content-Type: application/x-ndjson", "Authorization: Bearer \(mine)")
      connection.send(Array(numbered(0..<1_000).utf8))
      try eventually("it runs") { try served.jobs(headers: bearer(mine)).first?.accepted ?? 0 > 100 }
      _ = try file.rotate("mine", grace: 0, at: 1)
      ring.replace(with: file.keys)
      connection.send(Array(numbered(0..<1_000).utf8))
      #expect(try connection.connection.receive().status == 401)
    }
  }

  @Test func thereAreOnlySoManyAtOnce() throws {
    try withServed(.jobs { $0.concurrent = 4 }) { served in
      let first = try JobConnection(served.server.port)
      let second = try JobConnection(served.server.port)
      try eventually("both run") { served.metric("sluice_jobs_running") == 2 }
      let refused = try served.postJob(Array(numbered(0..<1).utf8))
      #expect(refused.status == 429 && apiErrorCode(refused.text) == "too_many_jobs")
      #expect(refused.header("Retry-After") != nil)
      for connection in [first, second] {
        connection.finish()
        #expect(try connection.connection.receive().status == 202)
      }
      #expect(try served.postJob(Array(numbered(0..<1).utf8)).status == 202)
    }
    try withServed(.jobs { $0.concurrent = 1 }) { served in
      let first = try JobConnection(served.server.port)
      try eventually("it runs") { served.metric("sluice_jobs_running") == 1 }
      #expect(try served.postJob(Array(numbered(0..<1).utf8)).status == 503)
      first.finish()
      #expect(try first.connection.receive().status == 202)
    }
  }
}

extension Served {
  func onlyJobWhenThere() throws -> JobView {
    try eventually("there is a job") { try jobs().count == 1 }
    return try onlyJob()
  }
}
