import Publishing
import Testing

@Suite struct DeadLetterTests {
  private func texts(_ letter: DeadLetter) -> [String] {
    letter.headers.map { "\($0.0)=\($0.1.map { String(decoding: $0, as: UTF8.self) } ?? "nil")" }
  }

  @Test func keepsTheOriginalAndSaysWhy() {
    let letter = DeadLetter(
      key: [1], value: nil, original: [("source", Array("http".utf8)), ("empty", nil)], reason: "shape", detail: "why",
      source: "sink", origin: DeadLetter.Origin(topic: "sensor-data", partition: 3, offset: 42), now: 0)
    #expect(letter.key == [1])
    #expect(letter.value == nil)
    #expect(
      texts(letter) == [
        "source=http", "empty=nil", "dlq-reason=shape", "dlq-detail=why", "dlq-source=sink",
        "dlq-time=1970-01-01T00:00:00.000Z", "dlq-topic=sensor-data", "dlq-partition=3", "dlq-offset=42",
      ])
  }

  @Test func replacesWhatAnEarlierDeadLetterSaidButKeepsItsRedrives() {
    let letter = DeadLetter(
      key: nil, value: [], original: [("dlq-reason", Array("old".utf8)), ("dlq-redrives", Array("2".utf8))],
      reason: "new", detail: "", source: "bridge", mqttTopic: "sensors/a", now: 0)
    #expect(
      texts(letter) == [
        "dlq-redrives=2", "dlq-reason=new", "dlq-detail=", "dlq-source=bridge", "dlq-time=1970-01-01T00:00:00.000Z",
        "dlq-mqtt-topic=sensors/a",
      ])
  }

  @Test func isShortenedInTwoSteps() throws {
    func letter(_ value: [UInt8]?) -> DeadLetter {
      DeadLetter(key: [1], value: value, reason: "too_large", detail: "", source: "bridge", mqttTopic: "t", now: 0)
    }
    let whole = letter((0..<70_000).map { UInt8(truncatingIfNeeded: $0) })
    let shorter = try #require(whole.shortened())
    #expect(shorter.value?.elementsEqual(try #require(whole.value)[..<65_536]) == true)
    #expect(texts(shorter) == texts(whole) + ["dlq-truncated=70000"])
    #expect(shorter.key == whole.key)
    let empty = try #require(shorter.shortened())
    #expect(empty.value == [])
    // The size of the original, not of what was left of it.
    #expect(texts(empty) == texts(shorter))
    #expect(empty.shortened() == nil)
    #expect(letter(nil).shortened() == nil)
    #expect(letter([UInt8](repeating: 0, count: 65_536)).shortened()?.value == [])
  }
}
