import Foundation
import HTTPClient
import MongoDB
import TestServers
import Testing

/// What a database does to the sink for longer than every timeout: it pauses, says so once, stays in its group, and then
/// stores everything once.
@Suite(
  .enabled(if: TestServers.runsLongTests, "takes minutes: make test-long"),
  .enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
struct FailureMongoDBTests {
  /// Timeouts so short that an outage of `outage` is longer than all of them, also than that of recovery.
  private static let timeouts = [
    "SLUICE_MONGODB_TIMEOUT": "1s",
    "SLUICE_KAFKA_CONFIG": "session.timeout.ms=2000;heartbeat.interval.ms=400;max.poll.interval.ms=3000",
  ]
  private static let outage: Duration = .seconds(7)

  private struct Fault {
    let name: String
    let begin: () throws -> Void
    let end: () throws -> Void
  }

  @Test(arguments: ["timeseries", "documents"]) func theDatabaseDoesNotStore(layout: String) throws {
    let kafka = try KafkaServer.shared().bootstrapServers
    let server = try Self.serverWithUsers()
    let admin = server.uri(user: "admin", password: "admin")
    let roles = try Roles(
      kafka: kafka, mongo: admin,
      // Summaries have a line of their own when the database fails.
      settings: ["SLUICE_MONGODB_LAYOUT": layout, "SLUICE_SUMMARIES_INTERVAL": "0s"])
    func user(_ words: BSONDocument, _ command: String = "updateUser") throws {
      try Roles.command(
        admin, "admin", BSONDocument([(command, BSONValue.string("sink"))] + words.map { ($0.key, $0.value) }))
    }
    func rights(_ role: String) throws {
      try user([
        "roles": [["role": .string(role), "db": .string(role == "all-but-devices" ? "admin" : roles.database)]]
      ])
    }
    func rule(_ collection: String, _ actions: [BSONValue]) -> BSONValue {
      ["resource": ["db": .string(roles.database), "collection": .string(collection)], "actions": .array(actions)]
    }
    try Roles.command(
      admin, "admin",
      [
        "createRole": "all-but-devices", "roles": [],
        "privileges": [
          rule("", ["find", "listCollections", "listIndexes"]), rule("readings", ["find", "insert", "remove"]),
          rule("ledger", ["find", "insert", "update"]), rule("seen", ["find", "insert"]),
        ],
      ])
    try user(["pwd": "another", "roles": [["role": "readWrite", "db": .string(roles.database)]]], "createUser")

    // Wrong credentials at the start.
    let writer = try TopicWriter(kafka, roles.topic)
    try writer.write((0..<100).map { .reading($0) })
    let sink = try roles.launch(
      "sink",
      settings: Self.timeouts.merging(["SLUICE_MONGODB_URI": server.uri(user: "sink", password: "secret")]) { $1 })
    try sink.waitUntilFailing("Authentication failed")
    #expect(!sink.log.contains("secret"))
    try user(["pwd": "secret"])
    try sink.waitUntilReady()
    var count = 100
    try roles.expectStored(0..<count)

    let faults = [
      Fault(name: "killed", begin: { server.kill() }, end: { try server.restart() }),
      Fault(name: "frozen", begin: { server.pause() }, end: { server.resume() }),
      Fault(name: "read-only", begin: { try rights("read") }, end: { try rights("readWrite") }),
      Fault(name: "read-only in part", begin: { try rights("all-but-devices") }, end: { try rights("readWrite") }),
      Fault(name: "without rights", begin: { try user(["roles": []]) }, end: { try rights("readWrite") }),
      Fault(
        name: "password changed",
        begin: {
          try user(["pwd": "another"])
          // Those who are in stay in.
          try server.restart()
        }, end: { try user(["pwd": "secret"]) }),
    ]
    for (number, fault) in faults.enumerated() {
      try writer.write((count..<count + 300).map { .reading($0) })
      try fault.begin()
      let start = ContinuousClock.now
      try writer.write((count + 300..<count + 600).map { .reading($0) })
      count += 600
      try sink.waitUntilFailing("mongodb")
      while ContinuousClock.now - start < Self.outage {
        let readiness = try #require(sink.readiness, "\(fault.name)")
        #expect(readiness.status == 503, "\(fault.name): \(readiness.text)")
        #expect(readiness.text.contains("MongoDB does not"), "\(fault.name): \(readiness.text)")
        usleep(200_000)
      }
      try fault.end()
      try sink.waitUntilReady()
      try roles.expectStored(0..<count)
      #expect(sink.lines("mongodb is failing") == number + 2, "\(fault.name): \(sink.log)")
      #expect(sink.lines("mongodb works again") == number + 2, "\(fault.name): \(sink.log)")
    }
    #expect(sink.lines("partitions assigned") == 1 && sink.lines("partitions given up") == 0, "\(sink.log)")
    #expect(sink.lines("Z warning ") == faults.count + 1 && sink.lines("Z error ") == 0, "\(sink.log)")
    #expect(sink.terminate() == 0)
  }

  /// With the user `admin`, who may do everything.
  static func serverWithUsers() throws -> MongoServer {
    let folder = TestServers.temporaryFolder("mongodb-users")
    let options = ["--sync-on-commit"]
    do {
      let open = try MongoServer(folder: folder, options: options)
      try Roles.command(open.uri, "admin", ["createUser": "admin", "pwd": "admin", "roles": ["root"]])
      open.stop()
    }
    return try MongoServer(auth: true, folder: folder, options: options)
  }

  /// A backlog that is many times larger than what the sink may hold, before a database that is unreachable, then one that
  /// hangs: the process stays small, also while it catches up.
  @Test func aBacklogDoesNotFillTheMemory() throws {
    let kafka = try KafkaServer.shared().bootstrapServers
    let server = try MongoServer(options: ["--sync-on-commit"])
    let roles = try Roles(kafka: kafka, mongo: server.uri)
    let writer = try TopicWriter(kafka, roles.topic)
    let text = String(repeating: "x", count: 120)
    let tags = (0..<15).map { #","t\#($0)":"\#(text)""# }.joined()
    try writer.write((0..<15_000).lazy.map { .reading($0, extra: tags) })
    try writer.write(
      (15_000..<15_120).lazy.map { number in
        var message = TopicMessage.reading(number)
        message.headers = [("large", [UInt8](repeating: 0x78, count: 500_000))]
        return message
      })
    try writer.write((15_120..<75_000).lazy.map { .reading($0) })

    server.kill()
    let sink = try roles.launch("sink", settings: Self.timeouts)
    try sink.waitUntilFailing("mongodb")
    try settled(sink)
    try server.restart()
    try eventually(timeout: .seconds(60), "some of it is stored") { sink.metric("sluice_sink_written_total") > 5_000 }
    server.pause()
    try sink.waitUntilFailing("mongodb")
    try settled(sink)
    server.resume()
    try roles.expectStored(0..<75_000, timeout: .seconds(240))
    let peak = try sink.peakMemory()
    #expect(peak < 150 << 20, "\(peak >> 20) MiB")
    #expect(sink.terminate() == 0)
  }

  /// Waits until a sink that cannot write has read all that it will: its memory has not grown for a while.
  private func settled(_ sink: RunningRole) throws {
    var last = 0
    var since = ContinuousClock.now
    try eventually("it reads no further") {
      let peak = try sink.peakMemory()
      if peak != last { (last, since) = (peak, .now) }
      return ContinuousClock.now - since > .seconds(2)
    }
  }
}
