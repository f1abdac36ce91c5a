import Dialects
import Publishing
import Readings
import Testing

@testable import DeadLetters

@Suite struct MarkerTests {
  private func marker(_ offsets: String, origins: String = "", at place: String = "0:100") -> RedriveMarker? {
    RedriveMarker(
      letter(place, origin: nil, [("dlq-redriven", offsets), ("dlq-redriven-origins", origins)]))
  }

  @Test func saysWhatWasPutBack() throws {
    var marker = RedriveMarker()
    for offset: Int64 in [3, 4, 5, 9, 11, 12] {
      marker.add(offset, origin: DeadLetter.Origin(topic: "t", partition: Int32(offset % 2), offset: offset * 10))
    }
    marker.add(20, origin: nil)
    marker.add(30, origin: DeadLetter.Origin(topic: "t", partition: 3, offset: .max))
    marker.add(32, origin: DeadLetter.Origin(topic: "t", partition: 3, offset: 0))
    let headers = marker.headers(time: "now")
    #expect(
      texts(headers) == [
        "dlq-redriven=3-5,9,11-12,20,30,32",
        "dlq-redriven-origins=0:40,120;1:30,50,90,110;3:9223372036854775807,0", "dlq-time=now",
      ])
    let read = Letter(place: Letter.Place("0:30")!, timestamp: nil, key: nil, value: nil, headers: headers)
    #expect(RedriveMarker.isMarker(read))
    #expect(try #require(RedriveMarker(read)) == marker)
    #expect(!RedriveMarker.isMarker(letter()))
  }

  @Test(arguments: ["", "x", "1-", "-1", "3-2", "1-2-3", "1,,2", "1,", "99999999999999999999"])
  func othersAreNotGuessedAt(_ text: String) {
    #expect(marker(text) == nil)
    #expect(marker("1", origins: "0:\(text)") == nil)
  }

  @Test func whatItSaysIsClipped() throws {
    var putBack = PutBack()
    var isNoted: Bool
    let everything = try #require(marker("0-9223372036854775807", origins: "0:0-9223372036854775807;7:5"))
    isNoted = putBack.note(everything, at: Letter.Place("0:100")!, time: 0, low: 90, originEnds: [0: 10])
    #expect(isNoted)
    #expect(putBack.contains(Letter.Place("0:90")!) && putBack.contains(Letter.Place("0:99")!))
    // A marker speaks of what is before it.
    #expect(!putBack.contains(Letter.Place("0:100")!) && !putBack.contains(Letter.Place("0:89")!))
    #expect(!putBack.contains(Letter.Place("1:95")!))
    func contains(_ partition: Int32, _ offset: Int64, received: Int64? = nil) -> Bool {
      putBack.contains(DeadLetter.Origin(topic: "t", partition: partition, offset: offset), received: received)
    }
    #expect(contains(0, 9) && !contains(0, 10) && !contains(7, 5))
    isNoted = putBack.note(try #require(marker("0")), at: Letter.Place("0:0")!, time: 0, low: 0, originEnds: [:])
    #expect(isNoted)
    #expect(!putBack.contains(Letter.Place("0:0")!))
  }

  @Test func whatWasReceivedLaterIsAnotherMessage() throws {
    var putBack = PutBack()
    let origin = DeadLetter.Origin(topic: "t", partition: 0, offset: 3)
    let hour: Int64 = 3_600_000
    let read = try #require(marker("0", origins: "0:3"))
    var isNoted = putBack.note(read, at: Letter.Place("0:1")!, time: 5 * hour + 7, low: 0, originEnds: [0: 9])
    #expect(isNoted)
    for received in [nil, 0, 5 * hour + 7, 6 * hour + 59_999] {
      #expect(putBack.contains(origin, received: received), "\(received ?? -1)")
    }
    #expect(!putBack.contains(origin, received: 6 * hour + 60_000))
    // Of two the later counts, whichever was read first; and one that does not say when is never too old.
    isNoted = putBack.note(origin, time: 2 * hour)
    #expect(isNoted && putBack.contains(origin, received: 5 * hour) && !putBack.contains(origin, received: 7 * hour))
    isNoted = putBack.note(read, at: Letter.Place("0:1")!, time: nil, low: 0, originEnds: [0: 9])
    #expect(isNoted && putBack.contains(origin, received: 999_999_999_999_999))
  }

  @Test func offsetsAreRememberedExactly() {
    var bitmap = OffsetBitmap()
    let offsets: [Int64] = [0, 1, 63, 64, 4_095, 4_096, 1 << 40, .max]
    for offset in offsets { bitmap.insert(offset) }
    bitmap.insert(-1)
    #expect(offsets.allSatisfy(bitmap.contains))
    #expect([-1, 2, 62, 65, 4_094, 4_097, 1 << 40 + 1, .max - 1].allSatisfy { !bitmap.contains($0) })
    #expect(bitmap.pageCount == 4)
  }
}

@Suite struct RuleTests {
  private let now: Int64 = 1_000_000_000_000

  private func rules(maximum: Int = 3) -> RedriveRules {
    RedriveRules(
      topic: "sensor-data", maximumRedrives: maximum, bounds: TimeBounds(futureTolerance: 60_000, retention: 86_400_000)
    )
  }

  /// In short: what is put back, or why not.
  private func decide(_ letter: Letter, _ rules: RedriveRules? = nil) -> String {
    switch (rules ?? self.rules()).decide(letter, now: now) {
    case .putBack(let messages):
      messages.map { message in
        "\(String(decoding: message.key ?? [], as: UTF8.self)) \(String(decoding: message.value ?? [], as: UTF8.self)) "
          + texts(message.headers).joined(separator: ",")
      }.joined(separator: "\n")
    case .skipped(let reason, _): reason.rawValue
    case .refused(let reason, _): reason.rawValue
    }
  }

  @Test func theOriginalIsPutBackAsItWas() {
    let original = letter(
      [("source", "http"), ("received", "5"), ("x", ""), ("dlq-reason", "future"), ("dlq-detail", "why")])
    #expect(decide(original) == "d {} source=http,received=5,x=,dlq-redrives=1")
    guard case .putBack(let messages) = rules().decide(letter(key: nil, value: nil), now: now) else {
      Issue.record("not put back")
      return
    }
    #expect(messages.count == 1 && messages[0].key == nil && messages[0].value == nil)
  }

  @Test func whatHasNoTimeOfItsOwnKeepsThatOfItsArrival() {
    #expect(decide(letter([("dlq-time", "1970-01-01T00:00:05.000Z")])) == "d {} received=5000,dlq-redrives=1")
    #expect(decide(letter(timestamp: nil)) == "d {} dlq-redrives=1")
    // The sink believes the last one, and none that is no time.
    #expect(decide(letter([("received", "-1")])) == "d {} received=-1,received=0,dlq-redrives=1")
  }

  @Test func refusesWithAReason() {
    #expect(decide(letter([("dlq-truncated", "70000")])) == "truncated")
    #expect(decide(letter([("dlq-redrives", "2")])) == "d {} received=0,dlq-redrives=3")
    #expect(decide(letter([("dlq-redrives", "3")])) == "max_redrives")
    #expect(decide(letter([("dlq-redrives", "1")]), rules(maximum: 1)) == "max_redrives")
    #expect(decide(letter(origin: nil)) == "no_origin")
    #expect(decide(letter(origin: "elsewhere 0:0")) == "other_topic")
  }

  @Test func nothingIsPutBackTwice() {
    let rules = rules()
    var isNoted: Bool
    var marker = RedriveMarker()
    marker.add(5, origin: DeadLetter.Origin(topic: "sensor-data", partition: 2, offset: 7))
    isNoted = rules.putBack.note(marker, at: Letter.Place("1:9")!, time: now, low: 0, originEnds: [2: 100])
    #expect(isNoted)
    #expect(decide(letter("1:5", origin: "sensor-data 2:7"), rules) == "already_put_back")
    // The same message in another letter; the same numbers in another topic or partition are another message.
    #expect(decide(letter("0:3", origin: "sensor-data 2:7"), rules) == "same_message")
    #expect(decide(letter("0:3", origin: "sensor-data 1:7"), rules).hasPrefix("d {}"))
    #expect(decide(letter("0:3", origin: "elsewhere 2:7"), rules) == "other_topic")
    // As is one that was received since.
    let since = [("received", "\(now + 7_200_000)")]
    #expect(decide(letter("0:3", origin: "sensor-data 2:7", since), rules).hasPrefix("d {}"))
    #expect(decide(letter("1:5", origin: "sensor-data 2:7", since), rules) == "already_put_back")
    // Also before it is refused for another reason: nothing is to be done.
    #expect(decide(letter("1:5", origin: "sensor-data 2:7", [("dlq-truncated", "9")]), rules) == "already_put_back")
    isNoted = rules.putBack.note(DeadLetter.Origin(topic: "sensor-data", partition: 0, offset: 1), time: now)
    #expect(isNoted)
    #expect(decide(letter("0:8", origin: "sensor-data 0:1"), rules) == "same_message")
  }

  // MARK: MQTT

  private func mqtt(_ topic: String, _ payload: String, received: Int64? = nil, redrives: Int = 0) -> Letter {
    mqtt(topic, payload, received: "\(received ?? now)", redrives: redrives)
  }

  private func mqtt(_ topic: String, _ payload: String, received: String, redrives: Int = 0) -> Letter {
    letter(
      value: Array(payload.utf8), origin: nil,
      [("source", "mqtt"), ("received", received), ("dlq-mqtt-topic", topic)]
        + (redrives > 0 ? [("dlq-redrives", "\(redrives)")] : []))
  }

  @Test func anMQTTMessageIsTranslatedNow() {
    #expect(
      decide(mqtt("sensors/d1/t", "21.5", received: now - 5_000)) == """
        d1 {"device":"d1","sensor":"t","value":21.5,"ts":"2001-09-09T01:46:35.000Z"} \
        source=mqtt,received=\(now - 5_000),dlq-redrives=1
        """)
    let several = decide(mqtt("sensors/d1", #"{"a":1,"b":true}"#)).split(separator: "\n")
    #expect(several.count == 2 && several.allSatisfy { $0.hasPrefix("d1 ") })
  }

  /// As the bridge's, so that a letter of a redelivered message is known too (`RedeliveryIDTests.isTheSameForEver`).
  @Test func aTimedMessageHasItsRedeliveryID() throws {
    func redriven(_ topic: String, _ payload: String) throws -> String {
      let rules = RedriveRules(
        topic: "t", maximumRedrives: 3,
        bounds: TimeBounds(futureTolerance: 1_000, retention: 30 * 365 * 86_400_000),
        dialects: MQTTDialects(MQTTDialects.Dialect.allCases, zigbeeBase: "z2m"))
      guard case .putBack(let messages) = rules.decide(mqtt(topic, payload), now: 1_795_227_318_070) else { return "-" }
      return messages.map { String(decoding: $0.value ?? [], as: UTF8.self) }.joined(separator: "\n")
    }
    #expect(
      try redriven("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18Z"}"#)
        .hasSuffix(#","id":"mqtt-4CQufE4kQoLVZtMBNcq50C"}"#))
    let state = try redriven("z2m/living room", #"{"temperature":21.5,"last_seen":"2026-11-21T02:15:18Z"}"#)
    #expect(state.hasPrefix(#"{"device":"living_room","sensor":"temperature""#) && state.contains(#""id":"mqtt-"#))
    #expect(
      try redriven("tele/kitchen/SENSOR", #"{"BME280":{"Humidity":40}}"#).contains(#""sensor":"BME280.Humidity""#))
    #expect(
      try redriven(
        "v3/a@t/devices/d/up", #"{"end_device_ids":{"device_id":"d"},"uplink_message":{"decoded_payload":{"t":1}}}"#
      )
      .hasPrefix(#"{"device":"d","sensor":"t""#))
    #expect(try redriven("z2m/bridge/state", #"{"state":"online"}"#) == "-")
  }

  @Test func whatIsStillNoReadingIsRefused() {
    for (topic, payload) in [
      ("sensors/d1/t", "ON"), ("sensors/d1/t", ""), ("other", "1"), ("sensors/d1", "{}"), ("", "1"),
      ("sensors/d1/t", #"{"value":1,"nonsense":2}"#),
    ] {
      #expect(decide(mqtt(topic, payload)) == "not_understood", "\(topic) \(payload)")
    }
    #expect(decide(mqtt("sensors/d1/t", "1", redrives: 3)) == "max_redrives")
  }

  /// The bounds are about now, though the message arrived long ago.
  @Test func boundsOfTimeAreTodays() {
    func at(_ ts: String, received: Int64) -> String {
      decide(mqtt("sensors/d1/t", #"{"value":1,"ts":"\#(ts)"}"#, received: received))
    }
    // An hour ahead when it came, and past now.
    #expect(at("2001-09-09T01:46:00Z", received: now - 3_600_000).hasPrefix("d1 "))
    #expect(at("2001-09-09T01:47:40Z", received: now).hasPrefix("d1 "))
    #expect(at("2001-09-09T01:47:41Z", received: now) == "not_understood")
    #expect(at("2001-09-08T01:46:40Z", received: now).hasPrefix("d1 "))
    #expect(at("2001-09-08T01:46:39Z", received: now) == "not_understood")
    #expect(decide(mqtt("sensors/d1/t", "1", received: now - 86_400_001)) == "not_understood")
    // One that is no time does not count; Kafka's was in 1970.
    for received in ["-9223372036854775808", "9223372036854775807", "-1", "", "now"] {
      #expect(decide(mqtt("sensors/d1/t", "1", received: received)) == "not_understood", "\(received)")
    }
    // A header from the future is not believed.
    #expect(decide(mqtt("sensors/d1/t", "1", received: now + 9_000)).contains("2001-09-09T01:46:40.000Z"))
  }
}

@Suite struct TallyTests {
  @Test func countsAndSays() {
    var tally = RedriveTally()
    tally.selected = 10
    tally.redriven = 4
    tally.skip(.alreadyPutBack, Letter.Place("0:1")!, "a")
    tally.skip(.alreadyPutBack, Letter.Place("0:2")!, "b")
    tally.refuse(.truncated, Letter.Place("1:1")!, "c\n")
    #expect(tally.left == 3)
    #expect(tally.summary(isDryRun: false) == "redriven=4 skipped=2 refused=1")
    #expect(tally.summary(isDryRun: true) == "dry-run redriven=0 would_redrive=4 skipped=2 refused=1")
    #expect(
      tally.reasons == [
        "skipped 2 already_put_back, the first 0:1: a", #"refused 1 truncated, the first 1:1: c\n"#,
      ])
    #expect(tally.progress(elapsed: 7) == "put back 4, skipped 2, refused 1, left 3, time left 3s")
    tally.limit = 5
    #expect(tally.left == 1)
    #expect(RedriveTally().progress(elapsed: 0) == "put back 0, skipped 0, refused 0, left 0")
  }

  @Test func pacesByTheRate() {
    #expect([0, 1, 3, 4, 1_000, 100_000].map { RedrivePace(rate: $0).batch } == [500, 1, 1, 1, 250, 500])
    #expect(RedrivePace(rate: 0).due(1_000_000) == .zero)
    #expect(RedrivePace(rate: 4).due(2) == .milliseconds(500))
    #expect(RedrivePace(rate: 1_000).due(250) == .milliseconds(250))
  }

  @Test func batchesAreBounded() {
    func entry(_ count: Int, bytes: Int, offset: Int64 = 0, partition: Int32 = 0) -> RedriveBatch.Entry {
      let message = RedriveDecision.Outgoing(key: nil, value: Array(repeating: 0, count: bytes), headers: [])
      return RedriveBatch.Entry(
        place: Letter.Place(partition: partition, offset: offset),
        origin: DeadLetter.Origin(topic: "t", partition: 1, offset: offset),
        messages: Array(repeating: message, count: count))
    }
    var batch = RedriveBatch()
    batch.add(entry(1, bytes: 1))
    #expect(!batch.isFull(letters: 2) && batch.isFull(letters: 1))
    batch.add(entry(RedriveBatch.messageLimit, bytes: 0))
    #expect(batch.isFull(letters: 1_000))
    batch = RedriveBatch()
    batch.add(entry(1, bytes: RedriveBatch.byteLimit))
    #expect(batch.isFull(letters: 1_000))
    let markers = RedriveBatch.markers([entry(1, bytes: 0, offset: 3), entry(1, bytes: 0, offset: 4, partition: 2)])
    #expect(markers.keys.sorted() == [0, 2])
    #expect(markers[0]?.offsets == [3...3] && markers[2]?.origins == [1: [4...4]])
  }
}
