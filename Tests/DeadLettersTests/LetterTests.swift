import JSON
import Publishing
import Testing

@testable import DeadLetters

@Suite struct LetterTests {
  @Test func readsItsHeaders() {
    let whole = letter(
      "2:17", origin: "sensor-data 3:42",
      [
        ("dlq-reason", "future"), ("dlq-source", "sink"), ("dlq-time", "1970-01-01T00:00:05.000Z"),
        ("dlq-redrives", "2"), ("dlq-mqtt-topic", "sensors/a/b"), ("dlq-truncated", "70000"),
      ], timestamp: 9_000)
    #expect(whole.place.description == "2:17")
    #expect(whole.reason == "future")
    #expect(whole.source == "sink")
    #expect(whole.time == 5_000)
    #expect(whole.redrives == 2)
    #expect(whole.mqttTopic == "sensors/a/b")
    #expect(whole.truncated == "70000")
    #expect(whole.origin == DeadLetter.Origin(topic: "sensor-data", partition: 3, offset: 42))
  }

  @Test func whatSomebodyElseWroteHasNone() {
    let foreign = letter(origin: nil, [("dlq-redrives", "many"), ("dlq-time", "yesterday")], timestamp: 7)
    #expect(foreign.reason == "none")
    #expect(foreign.source == "none")
    #expect(foreign.time == 7)
    #expect(foreign.redrives == 0)
    #expect(foreign.origin == nil)
    #expect(letter(origin: nil, [("dlq-redrives", "-5")]).redrives == 0)
    for (partition, offset) in [("x", "1"), ("-1", "1"), ("1", "-1"), ("1", "9223372036854775808"), ("", "")] {
      let odd = letter(
        origin: nil, [("dlq-topic", "t"), ("dlq-partition", partition), ("dlq-offset", offset)])
      #expect(odd.origin == nil, "\(partition):\(offset)")
    }
  }

  @Test(arguments: ["", "1", ":", "1:", ":1", "-1:2", "1:-2", "1:2:3", "a:b", "1: 2"]) func placesAreExact(
    _ text: String
  ) {
    #expect(Letter.Place(text) == nil)
  }

  @Test func filtersByEverything() {
    let parser = JSONParser()
    let target = letter(
      "1:5", key: "d1", [("dlq-reason", "future"), ("dlq-source", "sink"), ("dlq-time", "1970-01-01T00:00:05.000Z")])
    func matches(_ change: (inout LetterFilter) -> Void) -> Bool {
      var filter = LetterFilter()
      change(&filter)
      return filter.matches(target, parser)
    }
    #expect(matches { _ in })
    #expect(matches { $0.reason = "future" } && !matches { $0.reason = "shape" })
    #expect(matches { $0.source = "sink" } && !matches { $0.source = "bridge" })
    #expect(matches { $0.device = "d1" } && !matches { $0.device = "d" })
    #expect(matches { $0.since = 5_000 } && !matches { $0.since = 5_001 })
    #expect(matches { $0.place = Letter.Place("1:5") } && !matches { $0.place = Letter.Place("1:6") })
    #expect(
      !matches {
        $0.reason = "future"
        $0.source = "bridge"
      })
    var since = LetterFilter()
    since.since = 0
    #expect(!since.matches(letter(timestamp: nil), parser))
  }

  @Test func aDeviceIsInThePayloadWhereThereIsNoKey() {
    let parser = JSONParser()
    var filter = LetterFilter()
    filter.device = "d1"
    func matches(key: String?, _ value: String?) -> Bool {
      filter.matches(letter(key: key, value: value.map { Array($0.utf8) }), parser)
    }
    #expect(matches(key: nil, #"{"device":"d1"}"#))
    #expect(matches(key: "", #"{"device":"d1"}"#))
    #expect(!matches(key: "d2", #"{"device":"d1"}"#))
    for value in [#"{"device":"d2"}"#, #"{"device":1}"#, "{}", "[]", "1", "", "{", nil] {
      #expect(!matches(key: nil, value))
    }
  }

  @Test func readsMoments() {
    #expect(LetterFilter.moment("2h", now: 10_000_000) == 2_800_000)
    #expect(LetterFilter.moment("0s", now: 5) == 5)
    #expect(LetterFilter.moment("1970-01-01T00:00:01+00:00", now: 5) == 1_000)
    for text in ["", "yesterday", "2", "1970-01-01T00:00:01", "-2h"] {
      #expect(LetterFilter.moment(text, now: 5) == nil)
    }
  }
}

@Suite struct TextTests {
  @Test func escapesWhatMisleadsATerminal() {
    let text = ReadableBytes.escaped(Array("a\u{1B}[31m\n\t\r\\\u{202E}\u{7F}\u{9B}é😀".utf8))
    #expect(text == #"a\u{1b}[31m\n\t\r\\\u{202e}\u{7f}\u{9b}é😀"#)
    #expect(ReadableBytes.escaped(Array("abcdef".utf8), limit: 3) == "abc… (6 bytes)")
    #expect(ReadableBytes.escaped([0xFF, 0x41]) == "\u{FFFD}A")
  }

  @Test func tellsTextFromOtherBytes() {
    #expect(ReadableBytes.isText([]))
    #expect(ReadableBytes.isText(Array("{\"a\":\n1}".utf8)))
    #expect(!ReadableBytes.isText([0xFF]))
    #expect(!ReadableBytes.isText([0, 1, 2, 0x41]))
  }

  @Test func dumpsBytes() {
    #expect(
      ReadableBytes.dump(Array(0..<18), indent: " ")
        == " 00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  |................|\n"
        + " 00000010  10 11                                            |..|\n")
    #expect(
      ReadableBytes.dump(Array("AB".utf8) + [0], indent: "", limit: 2).hasSuffix(
        "|AB|\n… (3 bytes; --raw writes all)\n"))
  }

  @Test func showsALetter() {
    let shown = letter(
      "2:17", key: "d1", value: Array("{\"a\":1}\n".utf8), origin: nil,
      [("dlq-reason", "future"), ("dlq-source", "sink"), ("dlq-time", "1970-01-01T00:00:05.000Z"), ("x", "\u{1B}")]
    ).text(isPutBack: true)
    #expect(
      shown == """
        2:17  1970-01-01T00:00:05.000Z  future  sink  (put back already)
          key       d1
          header    dlq-reason: future
          header    dlq-source: sink
          header    dlq-time: 1970-01-01T00:00:05.000Z
          header    x: hex 1b
          value     {"a":1}\\n

        """)
    #expect(letter(key: nil, value: nil).text(isPutBack: false).contains("  key       (none)\n"))
    #expect(letter(value: nil).text(isPutBack: false).hasSuffix("  value     (none)\n"))
    #expect(letter(value: []).text(isPutBack: false).hasSuffix("  value     (empty)\n"))
    #expect(
      letter(value: [0, 255]).text(isPutBack: false).hasSuffix(
        "2 bytes\n    00000000  00 ff" + String(repeating: " ", count: 44) + "|..|\n"))
  }
}

@Suite struct CountTests {
  private func counted() -> LetterCounts {
    var counts = LetterCounts()
    for (reason, source, time, isPutBack) in [
      ("future", "sink", "1970-01-01T00:00:02.000Z", true), ("future", "sink", "1970-01-01T00:00:01.000Z", false),
      ("shape", "bridge", "1970-01-01T00:00:03.000Z", false),
    ] {
      counts.add(
        letter([("dlq-reason", reason), ("dlq-source", source), ("dlq-time", time)]), isPutBack: isPutBack)
    }
    return counts
  }

  @Test func tablesAreAligned() {
    #expect(
      counted().text(topic: "t.dlq", now: 3_600_000 + 5_000)
        == """
        t.dlq: 3 letters, 1 of them put back already
        oldest 1970-01-01T00:00:01.000Z (1h 0m ago), newest 1970-01-01T00:00:03.000Z (1h 0m ago)

        reason  letters  put back  oldest                    newest
        future        2         1  1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.000Z
        shape         1         0  1970-01-01T00:00:03.000Z  1970-01-01T00:00:03.000Z

        source  letters  put back  oldest                    newest
        sink          2         1  1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.000Z
        bridge        1         0  1970-01-01T00:00:03.000Z  1970-01-01T00:00:03.000Z

        """.replacing("1h 0m ago", with: "1h ago"))
    #expect(LetterCounts().text(topic: "t.dlq", now: 0) == "t.dlq: no dead letters\n")
  }

  @Test func objectsAreComplete() {
    #expect(
      counted().json(topic: "t\"").hasPrefix(
        #"{"topic":"t\"","letters":3,"putBack":1,"oldest":"1970-01-01T00:00:01.000Z","newest":"1970-01-01T00:00:03.000Z","reasons":[{"reason":"future","letters":2,"putBack":1,"#
      ))
    #expect(
      LetterCounts().json(topic: "t")
        == #"{"topic":"t","letters":0,"putBack":0,"oldest":null,"newest":null,"reasons":[],"sources":[]}"# + "\n")
  }

  @Test func namesAreLimited() {
    var counts = LetterCounts()
    for number in 0..<1_000 { counts.add(letter([("dlq-reason", "r\(number)")]), isPutBack: false) }
    #expect(counts.reasons.count == LetterCounts.nameLimit + 1)
    #expect(counts.reasons[LetterCounts.others]?.letters == 900)
    #expect(counts.all.letters == 1_000)
  }

  @Test func agesHaveTwoUnits() {
    #expect(
      [-5, 0, 999, 12_000, 3_725_000, 90_061_000].map(LetterCounts.age) == ["0s", "0s", "0s", "12s", "1h 2m", "1d 1h"])
  }
}
