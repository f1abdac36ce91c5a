import HTTPClient
import JSON
import Testing

@testable import Simulation

struct VerdictTests {
  private let parser = JSONParser()

  private func verdict(_ status: Int, _ body: String, count: Int = 3) -> Verdict {
    Verdict(status: status, body: Array(body.utf8), count: count, parser: parser)
  }

  private func expect(
    _ verdict: Verdict, _ fates: [Verdict.Fate], complains: Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(verdict.fates == fates, sourceLocation: sourceLocation)
    #expect((verdict.complaint != nil) == complains, sourceLocation: sourceLocation)
  }

  @Test func accepted() {
    expect(verdict(202, #"{"accepted":3}"#), [.accepted, .accepted, .accepted], complains: false)
    expect(verdict(202, ""), [.accepted, .accepted, .accepted], complains: false)
    expect(verdict(202, #"{"accepted":2}"#), [.unknown, .unknown, .unknown], complains: true)
  }

  @Test func partly() {
    let late =
      #"{"accepted":2,"rejected":1,"errors":[{"index":1,"field":"","reason":"Kafka did not … \"index\":2"}]}"#
    expect(verdict(207, late), [.accepted, .unknown, .accepted], complains: false)
    let invalid = #"{"accepted":2,"rejected":1,"errors":[{"index":2,"field":"value","reason":"…"}]}"#
    expect(verdict(207, invalid), [.accepted, .accepted, .invalid], complains: true)
    for body in [
      "", "[]", #"{"accepted":2}"#, #"{"accepted":2,"errors":[{"index":3,"field":""}]}"#,
      #"{"accepted":2,"errors":[{"field":""}]}"#,
    ] {
      expect(verdict(207, body), [.unknown, .unknown, .unknown], complains: true)
    }
  }

  @Test func turnedAway() {
    let unavailable = #"{"error":{"code":"unavailable","message":"nothing was accepted"}}"#
    expect(verdict(503, unavailable, count: 2), [.turnedAway, .turnedAway], complains: false)
    expect(verdict(429, "", count: 1), [.turnedAway], complains: false)
    expect(verdict(408, "", count: 1), [.turnedAway], complains: false)
  }

  @Test func uncertain() {
    expect(verdict(503, #"{"error":{"code":"undelivered"}}"#, count: 2), [.unknown, .unknown], complains: false)
    expect(verdict(503, "<html>", count: 1), [.unknown], complains: false)
    for status in [200, 302, 500, 502, 504] { expect(verdict(status, "", count: 1), [.unknown], complains: true) }
  }

  @Test func refused() {
    for status in [400, 401, 403, 404, 413, 415, 422] {
      expect(verdict(status, "", count: 2), [.invalid, .invalid], complains: true)
    }
  }
}
