import JSON
import MongoDB
import Readings
import TestServers
import Testing

@testable import Sink

@Suite struct DeviceStatesTests {
  private static let now: Int64 = 1_700_000_000_000

  /// States of devices with some sensors each, each with a text of 1,000 bytes.
  private func states(devices: Int, sensors: Int, marks: Bool = true) throws -> DeviceStates {
    let parser = JSONParser()
    let decoder = ReadingDecoder(
      unknownMembers: .count, bounds: TimeBounds(futureTolerance: 300_000, retention: 90 * 86_400_000))
    var states = DeviceStates(marksHours: marks)
    let text = String(repeating: "x", count: 1_000)
    for device in 0..<devices {
      let batch = ReadingBatch()
      for sensor in 0..<sensors {
        let name = "s\(sensor)" + String(repeating: ".", count: 120)
        let reading =
          #"{"device":"d\#(device)","sensor":"\#(name)","value":"\#(text)","ts":"2023-11-14T22:13:20Z","tags":{"site":"a"}}"#
        try Array(reading.utf8).withUnsafeBytes { bytes in
          _ = try parser.parse(copying: bytes) { (root) throws(ReadingError) in
            try decoder.decode(root, implied: .init(now: Self.now, arrival: Self.now), into: batch)
          }
        }
      }
      states.note(batch)
    }
    return states
  }

  private func fields(_ statement: BSONDocument) -> [String] {
    (statement["u"]?.array?.first?.document?["$set"]?.document ?? [:]).map(\.key)
  }

  @Test func aDeviceIsOneStatement() throws {
    var updates = BSONBatch()
    #expect(try states(devices: 3, sensors: 2).append(1..<3, to: &updates) == 1..<3)
    #expect((0..<updates.count).map { updates[$0]["q"]?.document?["_id"]?.string } == ["d1", "d2"])
    for index in 0..<updates.count {
      let fields = fields(updates[index])
      #expect(fields.prefix(5) == ["firstSeen", "lastSeen", "tags", "tagged", "due.h\(Self.now / 3_600_000)"])
      #expect(fields.count == 7 && fields[5...].allSatisfy { $0.hasPrefix("sensors.") })
      #expect(updates[index]["upsert"] == true)
    }
  }

  @Test func endsWhenThereIsEnough() throws {
    let states = try states(devices: 10, sensors: 1)
    var updates = BSONBatch()
    #expect(states.append(0..<1, to: &updates) == 0..<1)
    let size = updates.byteCount
    for (bytes, count) in [(1, 1), (2 * size, 2), (2 * size + 1, 3), (100 * size, 7)] {
      updates.removeAll()
      #expect(states.append(3..<10, to: &updates, upTo: bytes) == 3..<3 + count)
      #expect(updates.count == count && updates[0]["q"]?.document?["_id"]?.string == "d3")
    }
  }

  /// A message to the database has 16 MiB at most.
  @Test func aDeviceWithManyLongSeriesIsSeveral() throws {
    let sensors = 12_000
    var updates = BSONBatch()
    #expect(try states(devices: 2, sensors: sensors).append(0..<2, to: &updates) == 0..<2)
    #expect((0..<updates.count).allSatisfy { updates.range(of: $0).count < 5 << 20 })
    for device in ["d0", "d1"] {
      let statements = (0..<updates.count).map { updates[$0] }.filter { $0["q"]?.document?["_id"]?.string == device }
      #expect(statements.count > 3)
      let fields = statements.flatMap(fields)
      #expect(Set(fields.filter { $0.hasPrefix("sensors.") }).count == sensors)
      // The device's own are there once.
      #expect(fields.count == sensors + 5)
      #expect(statements.allSatisfy { $0["upsert"] == true })
    }
  }

  /// A device of which a document cannot hold all is written as far as it fits, and keeps no other from being written.
  @Test(.enabled(if: MongoServer.isAvailable, "needs a MongoDB server"), arguments: [6_000, 14_000])
  func whatFitsIsWritten(_ sensors: Int) throws {
    let schema = DatabaseSchema(
      database: "states-\(sensors)", layout: .documents, retention: .seconds(90 * 86_400),
      deduplicationWindow: .seconds(86_400))
    let pool = try MongoPool(
      uri: MongoServer.shared().uri, applicationName: "tests", maximumSize: 1, timeout: .seconds(60))
    defer { pool.close() }
    let states = try states(devices: 2, sensors: sensors)
    let store = ReadingStore(pool: pool, schema: schema, topic: "t")
    var portion = Portion()
    var updates = BSONBatch()
    var refused: [WriteError] = []
    for device in 0..<2 {
      // Its first statement alone is more than a command gets.
      let (written, errors) = try store.update(states, device..<2, &portion, &updates)
      #expect(written == device..<device + 1)
      refused += errors
    }
    #expect(refused.isEmpty == (sensors == 6_000))
    for name in ["d0", "d1"] {
      let device = try pool.withClient { (client) throws(MongoError) in
        try client.findOne(schema.database, DatabaseSchema.devices, filter: ["_id": .string(name)])
      }
      let count = (device?["sensors"]?.document ?? [:]).map(\.key).count
      #expect(sensors == 6_000 ? count == sensors : (5_000..<sensors).contains(count))
      #expect(device?["tags"] == ["site": "a"] && device?["firstSeen"]?.date == Self.now)
    }
  }
}
