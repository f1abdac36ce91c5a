import Foundation
import Kafka
import MongoDB
import Operations
import TestServers
import Testing

@testable import Sink

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable

/// What the database does to a sink.
@Suite(.enabled(if: servers, "needs Kafka and MongoDB servers")) struct SinkDatabaseFaultTests {
  /// A database that keeps what it acknowledged when it is killed.
  private func durable() throws -> MongoServer { try MongoServer(options: ["--sync-on-commit"]) }

  @Test(arguments: Layout.allCases) func aKilledDatabaseLosesAndRepeatsNothing(_ layout: Layout) throws {
    let server = try durable()
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, layout: layout)
    let sink = try fixture.startSink(batchReadings: 50)
    for round in 0..<3 {
      try fixture.produce(SinkFixture.readings(round * 2_000..<(round + 1) * 2_000))
      try eventually("some of it is written") { sink.metric("sluice_sink_written_total") ?? 0 > Double(round * 2_000) }
      server.kill()
      try eventually("it says that the database is away") { !sink.health.isReady }
      try server.restart()
    }
    try fixture.expectStored(0..<6_000)
    try eventually("it is ready again") { sink.health.isReady }
  }

  @Test func aFrozenDatabaseLosesAndRepeatsNothing() throws {
    let server = try durable()
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server)
    let sink = try fixture.startSink(batchReadings: 50)
    for round in 0..<2 {
      try fixture.produce(SinkFixture.readings(round * 2_000..<(round + 1) * 2_000))
      try eventually("some of it is written") { sink.metric("sluice_sink_written_total") ?? 0 > Double(round * 2_000) }
      server.pause()
      try eventually("it says that the database is away") { !sink.health.isReady }
      server.resume()
    }
    try fixture.expectStored(0..<4_000)
  }

  /// A batch takes longer to get there than an answer may take.
  @Test(arguments: Layout.allCases) func aSlowDatabaseIsGivenLessAtOnce(_ layout: Layout) throws {
    let server = try MongoServer()
    let proxy = try ServerProxy(to: server.port, bytesPerSecond: 100_000)
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, layout: layout)
    try fixture.produce(SinkFixture.readings(0..<2_000, devices: 1_000))
    let sink = try fixture.startSink(
      batchReadings: 2_000, uri: "mongodb://127.0.0.1:\(proxy.port)/?directConnection=true")
    try fixture.expectStored(0..<2_000, timeout: .seconds(120))
    try eventually(timeout: .seconds(120), "all states are written and all offsets committed") {
      sink.lag == 0 && (try? fixture.count("devices")) == 1_000 && sink.health.isReady
    }
  }

  /// It is stopped while a batch takes longer than partitions are waited for: that is no news.
  @Test func stoppedWhileTheDatabaseIsSlow() throws {
    let server = try MongoServer()
    let proxy = try ServerProxy(to: server.port, bytesPerSecond: 10_000)
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, partitions: 1)
    try fixture.produce(SinkFixture.readings(0..<2_000))
    let sink = try fixture.startSink(
      batchReadings: 2_000, uri: "mongodb://127.0.0.1:\(proxy.port)/?directConnection=true", timeout: .seconds(60))
    try eventually(timeout: .seconds(60), "a large batch is being stored") {
      let claim: BSONDocument = ["claims.to": ["$gt": .int64(1_500)]]
      return try fixture.pool.withClient { (client) throws(MongoError) in
        try client.count(fixture.database, DatabaseSchema.ledger, filter: claim) == 1
      }
    }
    withExtendedLifetime(proxy) { sink.stop() }
    // Before that a claim may have grown too old, on a busy machine.
    let afterwards = sink.log.text.components(separatedBy: "partitions given up").last ?? ""
    #expect(!afterwards.contains("Z warning "), "\(sink.log.text)")
    try fixture.startSink()
    try fixture.expectStored(0..<2_000)
  }

  /// It is stopped while it looks for what an earlier owner, which ended without a word, has stored.
  @Test func stoppedWhileItLooksForWhatIsStored() throws {
    let server = try MongoServer()
    let command: BSONDocument = ["find": "readings"]
    let proxy = try ServerProxy(to: server.port, swallowing: Data(command.bytes.dropFirst(4).dropLast()))
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, partitions: 1)
    let claim: BSONDocument = [
      "epoch": 1, "from": 0, "to": 100, "tsMin": .date(0), "tsMax": .date(1), "settled": false,
    ]
    _ = try fixture.pool.withClient { (client) throws(MongoError) in
      try client.updateOne(
        fixture.database, DatabaseSchema.ledger, filter: ["_id": .string("\(fixture.topic):0")],
        update: ["$set": ["epoch": 1, "claims": [.document(claim)]]], upsert: true)
    }
    try fixture.produce(SinkFixture.readings(0..<100))
    let sink = try fixture.startSink(
      uri: "mongodb://127.0.0.1:\(proxy.port)/?directConnection=true", timeout: .seconds(60))
    try eventually("it looks") { proxy.mutedCount > 0 }
    sink.supervisor.requestStop()
    #expect(withExtendedLifetime(proxy) { sink.supervisor.join(timeout: .seconds(20)) })
    try fixture.startSink()
    try fixture.expectStored(0..<100)
  }

  /// The database hangs in an update of the states, and stores readings meanwhile; their offsets wait.
  @Test func readingsDoNotWaitForDeviceStates() throws {
    let server = try durable()
    let command: BSONDocument = ["update": "devices"]
    // Without the length before it and the end behind it.
    let proxy = try ServerProxy(to: server.port, swallowing: Data(command.bytes.dropFirst(4).dropLast()))
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, layout: .documents)
    let sink = try fixture.startSink(
      uri: "mongodb://127.0.0.1:\(proxy.port)/?directConnection=true", timeout: .seconds(60))
    try fixture.produce(SinkFixture.readings(0..<100))
    try eventually("states are on their way") { proxy.mutedCount > 0 }
    for part in 1..<10 {
      try fixture.produce(SinkFixture.readings(part * 100..<(part + 1) * 100))
      try fixture.expectStored(0..<(part + 1) * 100)
    }
    #expect(sink.health.isReady)
    #expect(sink.metric("sluice_sink_waiting_devices") ?? 0 > 10)
    #expect(sink.metric("sluice_sink_flush_duration_seconds_count") == 0)
    try eventually("the lag is known") { sink.lag ?? 0 > 0 }
    proxy.pass()
    server.kill()
    try server.restart()
    try eventually("all states are written and all offsets committed") {
      sink.lag == 0 && (try? fixture.count("devices")) == 10
    }
    try fixture.expectStored(0..<1_000)
    withExtendedLifetime(proxy) { sink.stop() }
  }

  /// As long as the states of so many devices cannot be written, no more are taken in.
  @Test func statesThatCannotBeWrittenDoNotFillTheMemory() throws {
    let folder = TestServers.temporaryFolder("mongodb-users")
    func command(_ uri: String, _ command: BSONDocument) throws {
      let pool = try MongoPool(uri: uri, applicationName: "tests", maximumSize: 1, timeout: .seconds(10))
      defer { pool.close() }
      _ = try pool.withClient { (client) throws(MongoError) in try client.command("admin", command) }
    }
    do {
      let open = try MongoServer(folder: folder)
      try command(open.uri, ["createUser": "admin", "pwd": "admin", "roles": ["root"]])
      open.stop()
    }
    let server = try MongoServer(auth: true, folder: folder)
    let admin = server.uri(user: "admin", password: "admin")
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: admin, keeping: server)
    func rule(_ collection: String, _ actions: [BSONValue]) -> BSONValue {
      ["resource": ["db": .string(fixture.database), "collection": .string(collection)], "actions": .array(actions)]
    }
    try command(
      admin,
      [
        "createRole": "all-but-devices", "roles": [],
        "privileges": [
          rule("", ["find", "listCollections", "listIndexes"]), rule("readings", ["find", "insert", "remove"]),
          rule("ledger", ["find", "insert", "update"]),
        ],
      ])
    try command(admin, ["createUser": "sink", "pwd": "sink", "roles": [["role": "all-but-devices", "db": "admin"]]])
    let count = 30_000
    try fixture.produce(SinkFixture.readings(0..<count, devices: count))
    let sink = try fixture.startSink(
      batchReadings: 1_000, uri: server.uri(user: "sink", password: "sink"), unflushedBytes: 3 << 20)
    func written() -> Int { Int(sink.metric("sluice_sink_written_total") ?? 0) }
    try eventually(timeout: .seconds(60), "some are written") { written() > 0 }
    // States are tried again once a second, and each time could let more in.
    try eventually("no more are written") { sink.metric("sluice_sink_last_write_age_seconds") ?? 0 > 3 }
    #expect(written() < 28_000)
    #expect(!sink.health.isReady)
    try command(admin, ["updateUser": "sink", "roles": [["role": "readWrite", "db": .string(fixture.database)]]])
    try fixture.expectStored(0..<count)
    try eventually("all states are written") { (try? fixture.count("devices")) == count }
  }

  /// What the database refuses now, and may take later, is no state that it will never take.
  @Test func statesThatAreNotTakenNowAreWrittenLater() throws {
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: MongoServer.shared().uri)
    let database = fixture.database
    // Every device is a duplicate of this one.
    try fixture.pool.withClient { (client) throws(MongoError) in
      _ = try client.updateOne(
        database, DatabaseSchema.devices, filter: ["_id": "other"], update: ["$set": ["summarized": false]],
        upsert: true)
      _ = try client.command(
        database,
        [
          "createIndexes": .string(DatabaseSchema.devices),
          "indexes": [["key": ["summarized": 1], "name": "one", "unique": true]],
        ])
    }
    let sink = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<100))
    try fixture.expectStored(0..<100)
    try eventually("it says that states are not stored") { !sink.health.isReady }
    #expect(try fixture.count("devices") == 1)
    #expect(sink.lag ?? 100 > 0)
    try fixture.pool.withClient { (client) throws(MongoError) in
      _ = try client.command(database, ["dropIndexes": .string(DatabaseSchema.devices), "index": "one"])
    }
    try eventually("all states are written and all offsets committed") {
      sink.lag == 0 && sink.health.isReady && (try? fixture.count("devices")) == 11
    }
  }

  /// It answers each command in time, but all that is to be written would take too long.
  @Test(arguments: [DatabaseSchema.readings, DatabaseSchema.devices])
  func stopsInTimeWhileTheDatabaseIsSlow(_ collection: String) throws {
    let server = try MongoServer()
    let proxy = try ServerProxy(to: server.port, bytesPerSecond: 50_000)
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server, layout: .documents)
    let count = 3_000
    try fixture.produce(SinkFixture.readings(0..<count, devices: count))
    let sink = try fixture.startSink(
      batchReadings: count, uri: "mongodb://127.0.0.1:\(proxy.port)/?directConnection=true", timeout: .seconds(60))
    try eventually(timeout: .seconds(60), "some are written") { try fixture.count(collection) > 0 }
    let start = Clock.monotonic()
    withExtendedLifetime(proxy) { sink.stop() }
    #expect(Clock.monotonic() - start < .seconds(20))
    #expect(try fixture.count(collection) < count)
    try fixture.startSink()
    try fixture.expectStored(0..<count)
    try eventually("all states are written") { (try? fixture.count("devices")) == count }
  }

  /// A sink whose database hangs pauses its partitions; those it gets back after a rebalance must not stay so.
  @Test func aRebalanceWhileTheDatabaseHangsLeavesNothingPaused() throws {
    let server = try durable()
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server)
    let first = try fixture.startSink(batchReadings: 50)
    try fixture.produce(SinkFixture.readings(0..<100))
    try eventually("it writes") { first.metric("sluice_sink_written_total") ?? 0 > 0 }
    server.pause()
    try fixture.produce(SinkFixture.readings(100..<2_000))
    try eventually("it says that the database is away") { !first.health.isReady }
    let second = try fixture.startSink(batchReadings: 50)
    try eventually(timeout: .seconds(60), "the second has partitions") { second.lag ?? 0 > 0 }
    server.resume()
    try fixture.produce(SinkFixture.readings(2_000..<4_000))
    try fixture.expectStored(0..<4_000)
  }

  @Test func aDatabaseThatIsAwayAtTheStartIsWaitedFor() throws {
    let server = try durable()
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server)
    server.kill()
    try fixture.produce(SinkFixture.readings(0..<500))
    let sink = try fixture.startSink()
    try eventually("it says why") {
      String(decoding: sink.health.report(), as: UTF8.self).contains("\"mongodb\":{\"state\":\"failing\"")
    }
    // Also what comes while it writes nothing counts.
    try eventually("it is seen to be behind: \(sink.lag ?? -1)") { sink.lag == 500 }
    try fixture.produce(SinkFixture.readings(500..<1_500))
    try eventually("further behind: \(sink.lag ?? -1)") { sink.lag == 1_500 }
    try server.restart()
    try fixture.expectStored(0..<1_500)
    try eventually("it has caught up: \(sink.lag ?? -1)") { sink.lag == 0 }
  }

  @Test func withoutItsCollectionItIsNotReady() throws {
    let fixture = try SinkFixture(brokers: KafkaServer.shared().bootstrapServers, uri: MongoServer.shared().uri)
    _ = try fixture.pool.withClient { (client) throws(MongoError) in
      try client.command(fixture.database, ["drop": "readings"])
    }
    let sink = try fixture.startSink()
    try eventually("it says why") {
      String(decoding: sink.health.report(), as: UTF8.self).contains("sluice setup creates it")
    }
  }

  /// An insert would make a collection that is not there: one that expires nothing. In one of the other layout a repeat would
  /// be there twice.
  @Test(arguments: Layout.allCases, [true, false])
  func nothingIsStoredWhereItDoesNotBelong(layout: Layout, isThere: Bool) throws {
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: MongoServer.shared().uri, layout: layout)
    let other = DatabaseSchema(
      database: fixture.database, layout: layout == .documents ? .timeseries : .documents,
      retention: .seconds(90 * 86_400), deduplicationWindow: .seconds(86_400))
    func drop() throws {
      _ = try fixture.pool.withClient { (client) throws(MongoError) in
        try client.command(fixture.database, ["drop": "readings"])
      }
    }
    try drop()
    if isThere { _ = try fixture.pool.withClient { (client) throws(MongoError) in try other.create(client) } }
    try fixture.produce(SinkFixture.readings(0..<100))
    let sink = try fixture.startSink()
    try eventually(timeout: .seconds(60), "it has them") {
      sink.lag == 100 && sink.metric("sluice_sink_consumed_total") == 100
    }
    // As long as it would need to store them.
    for _ in 0..<20 {
      usleep(100_000)
      let report = String(decoding: sink.health.report(), as: UTF8.self)
      #expect(try fixture.count("readings") == 0 && report.contains("the collection \(fixture.database).readings"))
    }
    if isThere { try drop() }
    _ = try fixture.pool.withClient { (client) throws(MongoError) in try fixture.schema.create(client) }
    try fixture.expectStored(0..<100)
    try eventually("it is well") { sink.health.isReady }
    // Somebody drops it while the sink runs.
    try drop()
    try eventually("it sees that") { !sink.health.isReady }
    try fixture.produce(SinkFixture.readings(100..<200))
    try eventually("it knows of them") { sink.lag == 100 }
    #expect(try fixture.count("readings") == 0)
    _ = try fixture.pool.withClient { (client) throws(MongoError) in try fixture.schema.create(client) }
    try fixture.expectStored(100..<200)
  }

  /// It would read nothing and seem well: whoever looks has to see it.
  @Test func withoutAPlaceInItsGroupItIsNotReady() throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    let fixture = try SinkFixture(
      brokers: cluster.bootstrapServers, uri: MongoServer.shared().uri, layout: .timeseries
    ) { try cluster.createTopic($0, partitions: 4) }
    // Far more than are asked for.
    try cluster.fail(.joinGroup, with: [KafkaError.Code](repeating: .groupAuthorizationFailed, count: 10_000))
    let sink = try fixture.startSink()
    try eventually(timeout: .seconds(90), "it says why") {
      String(decoding: sink.health.report(), as: UTF8.self).contains("no place in its consumer group")
    }
    #expect(!sink.health.isReady)
    sink.stop()
  }
}
