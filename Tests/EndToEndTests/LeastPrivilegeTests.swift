import Foundation
import MongoDB
import Operations
import TestServers
import Testing

/// What `sluice setup --users` makes, tried on a server that asks everybody who they are.
@Suite(.enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
struct LeastPrivilegeTests {
  /// A deployment set up by its administrator, and the passwords of its users.
  private struct Deployment {
    let server: MongoServer
    let roles: Roles
    let passwords = TestServers.temporaryFolder("passwords")

    init(layout: String) throws {
      server = try FailureMongoDBTests.serverWithUsers()
      roles = try Roles(
        kafka: KafkaServer.shared().bootstrapServers, mongo: server.uri(user: "admin", password: "admin"),
        settings: ["SLUICE_MONGODB_LAYOUT": layout])
      for user in ["sink", "grafana", "setup"] { try write("first", user) }
      let made = try roles.run(["setup", "--users", passwords])
      guard made.code == 0 else { throw TestServerError("sluice setup --users: \(made.output)") }
      for user in ["sink", "grafana", "setup"] { #expect(made.output.contains("user sluice-\(user): created\n")) }
    }

    func write(_ password: String, _ user: String) throws {
      try "\(password)\n".write(toFile: "\(passwords)/sluice-\(user)", atomically: true, encoding: .utf8)
    }

    func uri(_ user: String, password: String = "first") -> String {
      server.uri(user: "sluice-\(user)", password: password) + "&authSource=\(roles.database)"
    }

    func login(_ user: String, password: String = "first") throws -> MongoPool {
      try MongoPool(
        uri: uri(user, password: password), applicationName: "tests", maximumSize: 1, timeout: .seconds(30))
    }

    /// The code with which a command is refused; 0: it is not.
    func attempt(_ user: MongoPool, _ command: BSONDocument, in database: String? = nil) -> Int {
      let database = database ?? roles.database
      do throws(MongoError) {
        _ = try user.withClient { (client) throws(MongoError) in try client.command(database, command) }
        return 0
      } catch {
        return error.code
      }
    }

    func attempt(_ user: String, _ command: BSONDocument, password: String = "first") throws -> Int {
      let pool = try login(user, password: password)
      defer { pool.close() }
      return attempt(pool, command)
    }
  }

  private static let unauthorised = 13

  /// A command for each action, none of which changes anything that is there.
  private static func commands(on collection: String) -> [(action: String, command: BSONDocument)] {
    let name = BSONValue.string(collection)
    return [
      ("find", ["find": name, "limit": 1]), ("find", ["aggregate": name, "pipeline": [], "cursor": [:]]),
      (
        "insert",
        ["insert": name, "documents": [["_id": "tried", "ts": .date(1_700_000_000_000), "meta": ["device": "tried"]]]]
      ),
      ("update", ["update": name, "updates": [["q": ["_id": "nobody"], "u": ["$set": ["a": 1]]]]]),
      ("remove", ["delete": name, "deletes": [["q": ["meta.device": "nobody"], "limit": 0]]]),
      ("listIndexes", ["listIndexes": name]), ("collMod", ["collMod": name]),
      ("createIndex", ["createIndexes": name, "indexes": [["key": ["meta.device": 1], "name": "tried"]]]),
      ("dropIndex", ["dropIndexes": name, "index": "nothing"]), ("dropCollection", ["drop": name]),
      ("find, insert", ["aggregate": name, "pipeline": [["$out": "elsewhere"]], "cursor": [:]]),
      (
        "find, insert",
        ["aggregate": name, "pipeline": [["$merge": ["into": "elsewhere"]]], "cursor": [:]]
      ),
      ("renameCollection", ["renameCollection": name, "to": "elsewhere"]),
    ]
  }

  /// Every action on every collection by every user: what is not given is refused, and what is given is not.
  @Test(arguments: ["timeseries", "documents"]) func whatIsNotGivenIsRefused(layout: String) throws {
    let deployment = try Deployment(layout: layout)
    let isTimeSeries = layout == "timeseries"
    let given: [String: [String: Set<String>]] = [
      "sink": [
        "readings": isTimeSeries ? ["find", "insert", "remove", "listIndexes"] : ["find", "insert", "listIndexes"],
        "ledger": isTimeSeries ? ["find", "insert", "update"] : [], "seen": ["find", "insert", "remove"],
        "devices": ["find", "insert", "update"], "summaries": ["find", "insert", "update"],
      ],
      "grafana": ["readings": ["find"], "devices": ["find"], "summaries": ["find"]],
      "setup": [
        "readings": ["listIndexes", "collMod", "createIndex"], "seen": ["collMod", "createIndex"],
        "summaries": ["collMod", "createIndex"],
      ],
    ]
    for (user, collections) in given {
      let login = try deployment.login(user)
      defer { login.close() }
      for collection in ["readings", "ledger", "seen", "devices", "summaries", "elsewhere", "system.buckets.readings"] {
        for (action, command) in Self.commands(on: collection) {
          let code = deployment.attempt(login, command)
          let isGiven = collections[collection]?.contains(action) == true
          // A server refuses some things of a time series to everybody, and with other codes.
          #expect((code != Self.unauthorised) == isGiven, "\(user), \(collection), \(action): \(command): \(code)")
          if isGiven, action != "update" {
            #expect(code == 0, "\(user), \(collection), \(action): \(command): \(code)")
          }
        }
      }
    }
    let ofTheDatabase: [(action: String, command: BSONDocument)] = [
      ("listCollections", ["listCollections": 1]), ("dbStats", ["dbStats": 1]),
      ("createCollection", ["create": "elsewhere"]), ("dropDatabase", ["dropDatabase": 1]),
      ("createUser", ["createUser": "another", "pwd": "x", "roles": []]), ("usersInfo", ["usersInfo": 1]),
      ("createRole", ["createRole": "another", "privileges": [], "roles": []]),
    ]
    for (user, actions) in [
      "sink": ["listCollections"], "grafana": ["dbStats"], "setup": ["listCollections"],
    ] as [String: Set<String>] {
      let login = try deployment.login(user)
      defer { login.close() }
      for (action, command) in ofTheDatabase {
        let code = deployment.attempt(login, command)
        #expect((code == 0) == actions.contains(action), "\(user), \(action): \(code)")
        if !actions.contains(action) { #expect(code == Self.unauthorised, "\(user), \(action): \(code)") }
      }
      #expect(
        deployment.attempt(login, ["updateUser": .string("sluice-\(user)"), "pwd": "x"]) == Self.unauthorised, "\(user)"
      )
      #expect(deployment.attempt(login, ["find": "readings"], in: "another") == Self.unauthorised, "\(user)")
      #expect(deployment.attempt(login, ["getLog": "global"], in: "admin") == Self.unauthorised, "\(user)")
    }
  }

  /// Roles with nothing but these users: the sink stores, also ids, and what a killed one left; setup sets up.
  @Test(arguments: ["timeseries", "documents"]) func whatIsGivenIsEnough(layout: String) throws {
    let deployment = try Deployment(layout: layout)
    let roles = deployment.roles
    let admin = deployment.server.uri(user: "admin", password: "admin")
    for collection in ["readings", "devices", "ledger", "seen", "summaries"] {
      try Roles.command(admin, roles.database, ["drop": .string(collection)])
    }
    for retention in ["90d", "90d", "30d"] {
      let setup = try roles.run(["setup", "--mongodb-uri", deployment.uri("setup"), "--retention", retention])
      #expect(setup.code == 0, "\(setup.output)")
    }
    let refused = try roles.run([
      "setup", "--mongodb-uri", deployment.uri("setup"), "--users", deployment.passwords,
    ])
    #expect(refused.code == 1 && refused.output.contains("not authorized"), "\(refused.output)")

    let login = ["SLUICE_MONGODB_URI": deployment.uri("sink"), "SLUICE_SUMMARIES_INTERVAL": "1s"]
    let writer = try TopicWriter(KafkaServer.shared().bootstrapServers, roles.topic)
    func write(_ range: Range<Int>) throws {
      try writer.write(range.map { .reading($0) })
      try writer.write(range.map { .reading($0) }.map { Self.identified($0) })
      try writer.write(range.map { .reading($0) }.map { Self.identified($0) })
    }
    let first = try roles.launch("sink", settings: login)
    try first.waitUntilReady()
    try write(0..<500)
    try eventually("some of it is stored") { try roles.count() > 0 }
    first.process.kill()
    let second = try roles.launch("sink", settings: login)
    try second.waitUntilReady()
    try write(500..<1_000)
    // Those without an id, and those with one of which each came twice.
    try eventually("everything is stored") { try roles.count() >= 2_000 }
    let stored = try roles.stored()
    #expect(stored.count == 1_000 && stored.values.allSatisfy { $0 == 2 })
    // Three documents of each device and sensor, and whose turn it is.
    try eventually("it is summarised") { try roles.count("summaries") >= 4 }
    #expect(second.terminate() == 0)
    #expect(second.lines("mongodb is failing") == 0, "\(second.log)")
    #expect(second.lines("summaries is failing") == 0, "\(second.log)")

    let check = try roles.run(["check", "--mongodb-uri", deployment.uri("sink")])
    #expect(check.output.split(separator: "\n").count { $0.hasPrefix("ok ") && $0.contains(" SLUICE_MONGODB_") } >= 3)
  }

  /// Again, it changes passwords and nothing else, of those users whose password it is given.
  @Test func again() throws {
    let deployment = try Deployment(layout: "timeseries")
    let ping: BSONDocument = ["listCollections": 1]
    try deployment.write("second", "sink")
    try FileManager.default.removeItem(atPath: "\(deployment.passwords)/sluice-setup")
    for _ in 0..<2 {
      let again = try deployment.roles.run(["setup", "--users", deployment.passwords])
      #expect(again.code == 0 && again.output.contains("user sluice-sink: there already"), "\(again.output)")
      #expect(!again.output.contains("sluice-setup") && !again.output.contains("second"), "\(again.output)")
      #expect(try deployment.attempt("sink", ping, password: "second") == 0)
      #expect(try deployment.attempt("sink", ping) != 0)
      #expect(try deployment.attempt("sink", ["drop": "readings"], password: "second") == Self.unauthorised)
      #expect(try deployment.attempt("setup", ping) == 0)
    }
    // A right that somebody gave by hand is gone afterwards.
    let admin = deployment.server.uri(user: "admin", password: "admin")
    try Roles.command(
      admin, deployment.roles.database, ["grantRolesToUser": "sluice-grafana", "roles": ["readWrite"]])
    let find: BSONDocument = ["find": "ledger"]
    #expect(try deployment.attempt("grafana", find) == 0)
    _ = try deployment.roles.run(["setup", "--users", deployment.passwords])
    #expect(try deployment.attempt("grafana", find) == Self.unauthorised)
  }

  @Test func passwordsThatCannotBeRead() throws {
    let folder = TestServers.temporaryFolder("passwords")
    func setup() throws -> (code: Int32, output: String) {
      try TestServers.run([TestServers.sluice, "setup", "--users", folder, "--kafka-brokers", "127.0.0.1:1"])
    }
    let none = try setup()
    #expect(none.code == 2 && none.output.contains("sluice-sink, sluice-grafana, sluice-setup"), "\(none.output)")
    try "\n".write(toFile: "\(folder)/sluice-sink", atomically: true, encoding: .utf8)
    let empty = try setup()
    #expect(empty.code == 2 && empty.output.contains("is empty"), "\(empty.output)")
  }

  /// The reading of a message with the sender's id in it.
  private static func identified(_ message: TopicMessage) -> TopicMessage {
    var message = message
    let text = String(decoding: message.value ?? [], as: UTF8.self)
    let number = text.split(separator: #""value":"#)[1].prefix { $0 != "," }
    message.value = Array(text.replacingOccurrences(of: #""s","#, with: #""s","id":"\#(number)","#).utf8)
    return message
  }
}
