import Publishing
import Testing

@Suite struct DeadLetterTests {
  private func letter(_ value: [UInt8]?, original: [(String, [UInt8]?)] = []) -> DeadLetter {
    DeadLetter(
      key: Array("d".utf8), value: value, original: original, reason: "malformed", detail: "no", source: "bridge",
      mqttTopic: "t/é", now: 1_795_227_318_070)
  }

  private func headers(_ letter: DeadLetter) -> [String] {
    letter.headers.map { "\($0.0)=\($0.1.map { String(decoding: $0, as: UTF8.self) } ?? "-")" }
  }

  @Test func saysWhyAndKeepsTheHeadersOfTheOriginal() {
    let letter = letter(
      [0, 255],
      original: [("source", Array("mqtt".utf8)), ("none", nil), ("dlq-reason", [1]), ("dlq-redrives", Array("2".utf8))])
    #expect(letter.value == [0, 255])
    #expect(
      headers(letter) == [
        "source=mqtt", "none=-", "dlq-redrives=2", "dlq-reason=malformed", "dlq-detail=no", "dlq-source=bridge",
        "dlq-time=2026-11-21T02:15:18.070Z", "dlq-mqtt-topic=t/é",
      ])
  }

  @Test func isShortenedInTwoSteps() throws {
    let whole = letter((0..<70_000).map { UInt8(truncatingIfNeeded: $0) })
    let shorter = try #require(whole.shortened())
    #expect(shorter.value == Array(try #require(whole.value)[..<65_536]))
    #expect(headers(shorter) == headers(whole) + ["dlq-truncated=70000"])
    #expect(shorter.key == whole.key)
    let empty = try #require(shorter.shortened())
    #expect(empty.value == [])
    // Of the original, not of what was left of it.
    #expect(headers(empty) == headers(shorter))
    #expect(empty.shortened() == nil)
    #expect(letter(nil).shortened() == nil)
    #expect(letter([UInt8](repeating: 0, count: 65_536)).shortened()?.value == [])
  }
}
