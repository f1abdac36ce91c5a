import Foundation
import JSON
import MongoDB
import Operations
import Readings
import TestServers
import Testing

@testable import Sink

/// Summaries of what is in a database, beside what the test makes of the same readings.
@Suite(.enabled(if: MongoServer.isAvailable, "needs a MongoDB server")) struct SummarizerTests {
  private struct Stored {
    var device = "a"
    var sensor = "temperature"
    let ts: Int64
    /// None for a text.
    var value: Double?
  }

  /// A database with readings, as a sink leaves it.
  private final class World {
    let pool: MongoPool
    let schema: DatabaseSchema
    private let supervisor = Supervisor(log: Log(component: "test", level: .error))
    private(set) var readings: [Stored] = []

    init(_ layout: Layout, uri: String? = nil, timeout: Duration = .seconds(20)) throws {
      schema = DatabaseSchema(
        database: "s-\(UUID().uuidString.prefix(8))", layout: layout, retention: .seconds(90 * 86_400),
        deduplicationWindow: .seconds(86_400))
      pool = try MongoPool(
        uri: uri ?? MongoServer.shared().uri, applicationName: "tests", maximumSize: 4, timeout: timeout)
      let schema = schema
      _ = try pool.withClient { (client) throws(MongoError) in try schema.create(client) }
    }

    deinit { pool.close() }

    var store: SummaryStore { SummaryStore(pool: pool, schema: schema) }

    func summarizer(marksAtOnce: Int = 500_000) -> Summarizer {
      Summarizer(
        schema, pool: pool, interval: .seconds(3_600), supervisor: supervisor,
        log: Log(component: "test", level: .error), marksAtOnce: marksAtOnce)
    }

    /// Summarises until nothing new is left.
    func summarize(marksAtOnce: Int = 500_000) throws {
      let summarizer = summarizer(marksAtOnce: marksAtOnce)
      // What another of this test's summarizers did is over.
      try pool.withClient { (client) throws(MongoError) in
        _ = try client.deleteMany(schema.database, "summaries", filter: ["_id": "turn"])
      }
      var last = ""
      while try summarizer.turn(after: &last) {}
    }

    /// Stores readings, each two minutes after it was measured, and what a sink notes of them.
    func add(_ new: [Stored], marks: Bool = true) throws {
      let parser = JSONParser()
      let decoder = ReadingDecoder(
        unknownMembers: .count, bounds: TimeBounds(futureTolerance: 300_000, retention: 90 * 86_400_000))
      let now = Clock.nowMilliseconds()
      let batch = ReadingBatch()
      var documents = BSONBatch()
      for (index, reading) in new.enumerated() {
        let value = reading.value.map { "\($0)" } ?? "\"ajar\""
        let text =
          #"{"device":"\#(reading.device)","sensor":"\#(reading.sensor)","value":\#(value),"ts":"\#(SinkFixture.time(reading.ts))"}"#
        try Array(text.utf8).withUnsafeBytes { bytes in
          _ = try parser.parse(copying: bytes) { (root) throws(ReadingError) in
            try decoder.decode(root, implied: .init(now: now, arrival: now), into: batch)
          }
        }
        let stored: (String, BSONValue) = reading.value.map { ("value", .double($0)) } ?? ("text", "ajar")
        let fields: [(String, BSONValue)] = [
          ("_id", .string("\(readings.count + index)")), ("ts", .date(reading.ts)),
          ("meta", ["device": .string(reading.device), "sensor": .string(reading.sensor)]), stored,
          ("received", .date(reading.ts + 120_000)),
        ]
        documents.append(BSONDocument(fields))
      }
      var states = DeviceStates(marksHours: marks)
      states.note(batch)
      let database = schema.database
      var updates = BSONBatch()
      _ = states.append(0..<states.deviceCount, to: &updates)
      try pool.withClient { (client) throws(MongoError) in
        _ = try client.insertMany(database, "readings", documents, indices: Array(0..<documents.count))
        _ = try client.bulkUpdate(database, "devices", updates)
      }
      readings += new
    }

    func find(_ kind: SummarySeries.Kind) throws -> [String: BSONDocument] {
      var found: [String: BSONDocument] = [:]
      try pool.withClient { (client) throws(MongoError) in
        try client.find(schema.database, "summaries", filter: ["kind": .string(kind.rawValue)]) { document in
          found[document["_id"]?.string ?? ""] = document
        }
      }
      return found
    }

    func marks() throws -> [SummaryPlan.Device] { try store.due() + store.neverSummarised() }

    /// The days, hours and profiles are what the readings come to, and there are no others.
    func expectRight(_ location: SourceLocation = #_sourceLocation) throws {
      let (days, hours, profiles) = (try find(.day), try find(.hours), try find(.profile))
      let series = Dictionary(grouping: readings) { "\($0.ts / 86_400_000)|\($0.device)|\($0.sensor)" }
      #expect(Set(days.keys) == Set(series.keys.map { "day|\($0)" }), sourceLocation: location)
      #expect(Set(hours.keys) == Set(series.keys.map { "hours|\($0)" }), sourceLocation: location)
      let numeric = series.filter { $0.value.contains { $0.value != nil } }
      #expect(Set(profiles.keys) == Set(numeric.keys.map { "profile|\($0)" }), sourceLocation: location)
      for (key, readings) in series {
        let day = try #require(days["day|\(key)"], sourceLocation: location)
        let start = readings[0].ts / 86_400_000 * 86_400_000
        #expect(day["ts"] == .date(start) && day["until"] == .date(start + 86_400_000), sourceLocation: location)
        #expect(
          day["meta"] == ["device": .string(readings[0].device), "sensor": .string(readings[0].sensor)],
          sourceLocation: location)
        expect(day, readings, location)
        for (hour, inHour) in Dictionary(grouping: readings, by: { ($0.ts - start) / 3_600_000 }) {
          let slot = SummarySeries.slot(hour)
          expect(try #require(hours["hours|\(key)"]?[slot]?.document, sourceLocation: location), inHour, location)
          let values = inHour.compactMap(\.value)
          guard !values.isEmpty else { continue }
          let mean: BSONValue = ["n": .int64(Int64(values.count)), "sum": .double(values.reduce(0, +))]
          #expect(profiles["profile|\(key)"]?[slot] == mean, sourceLocation: location)
        }
      }
    }

    private func expect(_ summary: BSONDocument, _ readings: [Stored], _ location: SourceLocation) {
      let values = readings.compactMap(\.value)
      let count = Int64(readings.count)
      #expect(summary["readings"]?.int == count, sourceLocation: location)
      #expect(summary["n"]?.int ?? 0 == Int64(values.count), sourceLocation: location)
      #expect(summary["sum"]?.double ?? 0 == values.reduce(0, +), sourceLocation: location)
      #expect(summary["squares"]?.double ?? 0 == values.reduce(0) { $0 + $1 * $1 }, sourceLocation: location)
      #expect(
        summary["min"]?.double == values.min() && summary["max"]?.double == values.max(), sourceLocation: location)
      #expect(summary["first"] == readings.map(\.ts).min().map { .date($0) }, sourceLocation: location)
      #expect(summary["last"] == readings.map(\.ts).max().map { .date($0) }, sourceLocation: location)
      #expect(summary["lag"]?.int == 120_000 * count && summary["lagMax"]?.int == 120_000, sourceLocation: location)
      #expect(summary["s10"]?.int == count && summary["s60"]?.int == count, sourceLocation: location)
      #expect(summary["s300"]?.int == 0, sourceLocation: location)
    }
  }

  /// The start of the day before yesterday.
  private let start = (Clock.nowMilliseconds() / 86_400_000 - 2) * 86_400_000
  private let minute: Int64 = 60_000

  @Test(arguments: Layout.allCases) func hoursAndDaysAreWhatTheReadingsComeTo(_ layout: Layout) throws {
    let world = try World(layout)
    try world.add((0..<40).map { Stored(ts: start + $0 * 45 * minute, value: Double($0 * $0 % 17)) })
    try world.add((0..<6).map { Stored(device: "b:/", sensor: "door.state", ts: start + $0 * 7 * minute) })
    try world.add([Stored(device: "b:/", sensor: "door.state", ts: start + 50 * minute, value: -1)])
    try world.summarize()
    try world.expectRight()
    #expect(try world.find(.day)["day|\(start / 86_400_000)|a|temperature"]?["every"] == 2_700.0)
    #expect(try world.marks().isEmpty)
    // Again, without and with marks: the same.
    let before = try world.find(.day)
    try world.summarize()
    #expect(try world.find(.day) == before)
    // Readings that come late, to an hour that is there and to ones that are not.
    try world.add([5, 125, 1_439, 1_441].map { Stored(ts: start + $0 * minute, value: 99) })
    #expect(try world.marks().first?.due.count == 4)
    try world.summarize()
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }

  @Test func manyDevicesAreReadTogetherAndWhatIsThereAlreadyIsSummarisedOnce() throws {
    let world = try World(.documents)
    let names = (0..<SummaryPlan.shared + 5).map { "device-\($0)" }
    // As sinks leave it that note nothing.
    try world.add(
      names.flatMap { name in (0..<3).map { Stored(device: name, ts: start + $0 * 1_000 * minute, value: 1) } },
      marks: false)
    try world.summarize()
    try world.expectRight()
    #expect(try world.marks().isEmpty)
    try world.add(names.map { Stored(device: $0, ts: start + 2_100 * minute, value: 7) })
    let parts = SummaryPlan.parts(try world.marks(), oldest: 0)
    #expect(parts == [.fleet(hour: start / SummaryPlan.hour + 35)])
    try world.summarize()
    try world.expectRight()
  }

  @Test func whatChangesMeanwhileStaysDue() throws {
    let world = try World(.documents)
    try world.add([Stored(ts: start, value: 1), Stored(ts: start + 90 * minute, value: 1)])
    try world.summarize()
    try world.add([Stored(ts: start + minute, value: 2), Stored(ts: start + 91 * minute, value: 2)])
    let due = try world.store.due()
    try world.add([Stored(ts: start + 2 * minute, value: 3)])
    try world.store.done(due) { true }
    let left = try world.marks()
    #expect(left.map(\.name) == ["a"] && left.first.map { Array($0.due.keys) } == [start / SummaryPlan.hour])
  }

  @Test func oneAtATimeAndTwoDoNoHarm() throws {
    let world = try World(.documents)
    try world.add((0..<30).map { Stored(ts: start + $0 * 50 * minute, value: Double($0)) })
    let (first, second, now) = (world.store, world.store, Clock.nowMilliseconds())
    #expect(try first.takeTurn(now: now))
    #expect(try !second.takeTurn(now: now + SummaryStore.turn - 1))
    #expect(try first.takeTurn(now: now + 1_000))
    var last = ""
    let isMore = try world.summarizer().turn(after: &last)
    #expect(try !isMore && world.find(.day).isEmpty)
    // The first one stands still, and goes on after the second has done everything.
    #expect(try second.takeTurn(now: now + SummaryStore.turn + 1_001))
    #expect(try !first.takeTurn(now: now + SummaryStore.turn + 1_002))
    let parts = SummaryPlan.parts(try second.neverSummarised(), oldest: 0)
    for store in [second, first] {
      for part in parts { try store.summarize(part) { true } }
      for day in Set(parts.map(\.day)) { try store.putTogether(day) { true } }
    }
    try world.expectRight()
    // Whose turn is over writes nothing.
    try world.add([Stored(device: "new", ts: start, value: 1)])
    let part = SummaryPlan.Part.device("new", hours: start / SummaryPlan.hour...start / SummaryPlan.hour)
    try first.summarize(part) { false }
    try first.putTogether(part.day) { false }
    #expect(try world.find(.hours).keys.allSatisfy { !$0.contains("new") })
  }

  /// However many devices have something due, none waits for the next turn, where others would have something due before it.
  @Test(arguments: 1...6) func allDevicesHaveTheirTurn(_ marksAtOnce: Int) throws {
    let world = try World(.documents)
    let names = (0..<5).map { "device-\($0)" }
    try world.add(names.map { Stored(device: $0, ts: start, value: 1) })
    try world.summarize()
    try world.add(names.map { Stored(device: $0, ts: start + minute, value: 2) })
    try world.summarize(marksAtOnce: marksAtOnce)
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }

  /// As after an import: more than is written at once.
  @Test func manyHoursOfADeviceAreSummarised() throws {
    let world = try World(.documents)
    try world.add([Stored(ts: start, value: 1)])
    try world.summarize()
    try world.add((1...1_100).map { Stored(ts: start - $0 * 60 * minute, value: Double($0)) })
    try world.summarize(marksAtOnce: 1)
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }

  /// All of a device is read once at a time, though a sink that notes nothing stores more of it meanwhile.
  @Test func whatIsNotNotedIsReadAgainTheNextTime() throws {
    let world = try World(.documents)
    let summarizer = world.summarizer()
    var last = ""
    for number: Int64 in 0..<2 {
      try world.add([Stored(ts: start + number * minute, value: 1)], marks: false)
      #expect(try summarizer.turn(after: &last) == (number == 0))
    }
    #expect(try world.marks().map(\.name) == ["a"])
    try world.summarize()
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }

  /// A process whose clock was a day ahead took the turn, and is gone.
  @Test func aTurnFromTheFutureKeepsNobodyOff() throws {
    let world = try World(.documents)
    let (first, second, now) = (world.store, world.store, Clock.nowMilliseconds())
    #expect(try first.takeTurn(now: now + 86_400_000))
    #expect(try second.takeTurn(now: now))
    #expect(try !first.takeTurn(now: now))
  }

  /// What the database refuses stays due, and is summarised when it no longer does.
  @Test func whatIsNotWrittenStaysDue() throws {
    let world = try World(.documents)
    try world.add(["temperature", "humidity"].map { Stored(sensor: $0, ts: start, value: 1) })
    let index: BSONDocument = ["key": ["kind": 1, "until": 1], "name": "one", "unique": true]
    try world.pool.withClient { (client) throws(MongoError) in
      try client.createIndexes(world.schema.database, "summaries", [index])
    }
    #expect(throws: MongoError.self) { try world.summarize() }
    #expect(try world.marks().map(\.name) == ["a"])
    try world.pool.withClient { (client) throws(MongoError) in
      _ = try client.command(world.schema.database, ["dropIndexes": "summaries", "index": "one"])
    }
    try world.summarize()
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }

  @Test func whenTheDatabaseComesBackEverythingIsSummarised() throws {
    let server = try MongoServer(options: ["--sync-on-commit"])
    defer { server.stop() }
    let world = try World(.documents, uri: server.uri, timeout: .seconds(2))
    try world.add((0..<30).map { Stored(ts: start + $0 * 50 * minute, value: Double($0)) })
    server.kill()
    #expect(throws: MongoError.self) { try world.summarize() }
    try server.restart()
    try eventually("it is summarised") { (try? world.summarize()) != nil }
    try world.expectRight()
    #expect(try world.marks().isEmpty)
  }
}
