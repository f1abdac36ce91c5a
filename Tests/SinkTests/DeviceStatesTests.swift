import MongoDB
import Readings
import TestServers
import Testing

@testable import Sink

private let hour: Int64 = 3_600_000

@Suite struct DeviceStatesTests {
  /// A reading of a text, or of 1.
  private struct Noted {
    var device = "d"
    var sensor = "s"
    var ts: Int64
    var offset: Int64 = 0
    var text: String?
    var tags: [(String, String)] = []
  }

  private static func note(_ readings: [Noted], in states: inout DeviceStates) {
    let batch = ReadingBatch()
    func keep(_ text: String) -> ByteRange { Array(text.utf8).withUnsafeBytes { batch.keep($0) } }
    for noted in readings {
      var reading = Reading(
        device: keep(noted.device), sensor: keep(noted.sensor),
        value: noted.text.map { .text(keep($0)) } ?? .number(1), ts: noted.ts)
      reading.firstTag = batch.nextTag
      reading.tagCount = UInt32(noted.tags.count)
      for (name, value) in noted.tags {
        Array(name.utf8).withUnsafeBytes { name in
          Array(value.utf8).withUnsafeBytes { batch.keepTag(name: name, value: $0) }
        }
      }
      batch.append(reading)
    }
    states.note(batch, from: readings.map { Origin(partition: 0, offset: $0.offset, received: $0.ts) })
  }

  private static func updates(_ states: borrowing DeviceStates) -> [BSONDocument] {
    var updates = BSONBatch()
    states.append(updatesOf: 0..<states.deviceCount, to: &updates)
    return (0..<updates.count).map { updates[$0] }
  }

  private static func updates(_ batches: [Noted]..., marksHours: Bool = false) -> [BSONDocument] {
    var states = DeviceStates(marksHours: marksHours)
    for batch in batches { note(batch, in: &states) }
    return updates(states)
  }

  @Test func aDeviceWithoutTagsIsBroughtUpToDateByOperators() {
    let updates = Self.updates([
      Noted(ts: 5, offset: 1), Noted(sensor: "a.b", ts: 3, offset: 2, text: "$x"), Noted(device: "e", ts: 4, offset: 3),
    ])
    #expect(updates.count == 2)
    #expect(
      updates[0] == [
        "q": ["_id": "d"],
        "u": [
          "$min": ["firstSeen": .date(3)],
          "$max": [
            "lastSeen": .date(5),
            "sensors.a．b": ["sensor": "a.b", "ts": .date(3), "offset": .int64(2), "text": "$x"],
            "sensors.s": ["sensor": "s", "ts": .date(5), "offset": .int64(1), "value": 1.0],
          ],
          "$set": ["summarized": false],
        ], "upsert": true,
      ])
    #expect(updates[1]["q"] == ["_id": "e"])
  }

  @Test func tagsAreThoseOfTheNewestReadingThatHasAny() {
    let update = Self.updates(
      [Noted(ts: 5, tags: [("site", "north"), ("row", "7")]), Noted(ts: 6), Noted(ts: 4, tags: [("site", "south")])])[0]
    let stage = update["u"]?.array?.first?.document?["$set"]?.document
    #expect(
      stage?["tags"] == [
        "$cond": [["$gte": [.date(5), "$tagged"]], ["$literal": ["site": "north", "row": "7"]], "$tags"]
      ]
    )
    #expect(stage?["tagged"] == ["$max": ["$tagged", .date(5)]])
    #expect(stage?["lastSeen"] == ["$max": ["$lastSeen", .date(6)]])
    #expect(
      stage?["sensors.s"] == [
        "$max": ["$sensors.s", ["$literal": ["sensor": "s", "ts": .date(6), "offset": .int64(0), "value": 1.0]]]
      ])
  }

  @Test func anOlderReadingDoesNotReplaceANewerAndOfOneTimeTheLastStays() {
    func text(_ batches: [Noted]...) -> BSONValue? {
      var states = DeviceStates()
      for batch in batches { Self.note(batch, in: &states) }
      return Self.updates(states)[0]["u"]?.document?["$max"]?.document?["sensors.s"]?.document?["text"]
    }
    let (new, old, same) = (
      Noted(ts: 9, offset: 1, text: "new"), Noted(ts: 8, offset: 2, text: "old"), Noted(ts: 9, offset: 3, text: "same")
    )
    #expect(text([new, old]) == "new" && text([new], [old]) == "new" && text([old, new]) == "new")
    #expect(text([new, same]) == "same" && text([new], [same]) == "same")
  }

  /// Longer and shorter ones take the place of one another, beside others that stay.
  @Test func textsOfAnyLengthReplaceOneAnother() {
    var states = DeviceStates()
    for (round, length) in [3, 1_000, 1, 999, 1_000, 1_024, 5].enumerated() {
      let (text, tag) = (String(repeating: "\(round)", count: length), String(repeating: "\(round)", count: length / 5))
      Self.note(
        [
          Noted(device: "a", ts: Int64(round), text: text, tags: [("t", tag)]),
          Noted(device: "b", ts: Int64(round), text: "b\(round)", tags: [("t", "b\(round)")]),
        ], in: &states)
      for (update, texts) in zip(Self.updates(states), [(text, tag), ("b\(round)", "b\(round)")]) {
        let stage = update["u"]?.array?.first?.document?["$set"]?.document
        let latest = stage?["sensors.s"]?.document?["$max"]?.array?.last?.document?["$literal"]?.document
        #expect(latest?["text"] == .string(texts.0))
        #expect(stage?["tags"]?.document?["$cond"]?.array?[1].document?["$literal"] == ["t": .string(texts.1)])
      }
    }
  }

  @Test func eachHourIsMarkedOnce() {
    let update = Self.updates(
      [Noted(ts: 5 * hour), Noted(ts: 5 * hour + 1), Noted(ts: 7 * hour), Noted(ts: 5 * hour)],
      [Noted(ts: 5 * hour + 2), Noted(ts: 6 * hour)], marksHours: true)[0]
    let marks = update["u"]?.document?["$set"]?.document ?? [:]
    #expect(marks.map(\.key).sorted() == ["due.h5", "due.h6", "due.h7"])
    let one = Self.updates([Noted(ts: hour)], marksHours: true)[0]["u"]?.document?["$set"]?.document ?? [:]
    #expect(one.map(\.key) == ["due.h1"])
  }

  /// What bounds memory while states wait.
  @Test func whatWaitsIsSmallAndCountedWhateverItIs() {
    var states = DeviceStates(marksHours: true)
    #expect(states.byteCount < 16 << 10)
    Self.note((0..<10_000).map { Noted(device: "greenhouse-\($0)", sensor: "temperature", ts: hour) }, in: &states)
    #expect(states.seriesCount == 10_000 && states.readingCount == 10_000)
    #expect(states.byteCount < 10_000 * 320)
    let before = states.byteCount
    let text = String(repeating: "x", count: 1_000)
    Self.note((0..<100).map { Noted(device: "greenhouse-\($0)", ts: hour, text: text) }, in: &states)
    #expect(states.byteCount - before > 100 * 1_000)
    let tagged = states.byteCount
    Self.note((0..<100).map { Noted(device: "greenhouse-\($0)", ts: hour, tags: [("t", text)]) }, in: &states)
    #expect(states.byteCount - tagged > 100 * 1_000)
    let hours = states.byteCount
    Self.note((0..<1_000).map { Noted(device: "greenhouse-0", ts: Int64($0) * hour) }, in: &states)
    #expect(states.byteCount - hours >= 1_000 * 8)
    states.removeAll()
    #expect(
      states.byteCount < 16 << 10 && states.deviceCount == 0 && states.seriesCount == 0 && states.readingCount == 0)
  }

  /// The server's own comparison, by operators and in a stage: whichever is written last, the newest stays.
  @Test(.enabled(if: MongoServer.isAvailable, "needs a MongoDB server"), arguments: [[], [("t", "1")]])
  func theDatabaseKeepsTheNewestWhicheverIsWrittenLast(_ tags: [(String, String)]) throws {
    let pool = try MongoPool(
      uri: MongoServer.shared().uri, applicationName: "tests", maximumSize: 1, timeout: .seconds(5))
    defer { pool.close() }
    let database = "states-\(tags.count)-\(UInt32.random(in: 0...UInt32.max))"
    func written(_ noted: Noted) throws -> BSONValue? {
      var noted = noted
      noted.tags = tags
      var states = DeviceStates()
      var updates = BSONBatch()
      Self.note([noted], in: &states)
      states.append(updatesOf: 0..<1, to: &updates)
      return try pool.withClient { (client) throws(MongoError) in
        #expect(try client.bulkUpdate(database, "devices", updates).errors.isEmpty)
        let device = try client.findOne(database, "devices", filter: ["_id": "d"])
        return device?["sensors"]?.document?["s"]?.document?["text"]
      }
    }
    #expect(try written(Noted(ts: 5, offset: 7, text: "b")) == "b")
    #expect(try written(Noted(ts: 4, offset: 8, text: "z")) == "b")
    #expect(try written(Noted(ts: 5, offset: 6, text: "z")) == "b")
    #expect(try written(Noted(ts: 5, offset: 9, text: "a")) == "a")
    #expect(try written(Noted(ts: 6, offset: 1, text: "A")) == "A")
  }
}
