import Foundation
import HTTPClient
import Kafka
import MongoDB
import Operations
import TestServers

/// The processes of one deployment: roles of the executable that was just built, on servers of the tests.
final class Roles {
  let folder = TestServers.temporaryFolder("roles")
  let topic = "t-\(UUID().uuidString.prefix(8))"
  let database = "d-\(UUID().uuidString.prefix(8))"
  let environment: [String: String]
  let mongo: String
  private(set) var processes: [ChildProcess] = []

  init(kafka: String, mongo: String, mqtt: UInt16? = nil, settings: [String: String] = [:]) throws {
    self.mongo = mongo
    var environment = [
      "PATH": "/usr/bin:/bin", "SLUICE_KAFKA_BROKERS": kafka, "SLUICE_KAFKA_TOPIC": topic,
      "SLUICE_MONGODB_URI": mongo, "SLUICE_MONGODB_DATABASE": database, "SLUICE_KAFKA_GROUP": "g-\(topic)",
      "SLUICE_AUTH": "off",
    ]
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
    if let mqtt { environment["SLUICE_MQTT_URL"] = "mqtt://127.0.0.1:\(mqtt)" }
    environment.merge(settings) { $1 }
    self.environment = environment
    // A broker on a busy machine may be fenced by its controller for a moment, and then refuses topics.
    var setup = try run(["setup"])
    do {
      try eventually(timeout: .seconds(60), "setup") {
        if setup.code != 0 { setup = try run(["setup"]) }
        return setup.code == 0
      }
    } catch {
      throw TestServerError("sluice setup: \(setup.output)")
    }
  }

  deinit { for process in processes { process.kill() } }

  /// Starts a role and waits until it is ready.
  @discardableResult
  func start(_ role: String, _ flags: [String] = []) throws -> (process: ChildProcess, management: UInt16) {
    let running = try launch(role, flags)
    try running.waitUntilReady()
    return (running.process, running.management)
  }

  /// Starts a role.
  /// - Parameter settings: beside those of the deployment, or in place of them.
  func launch(_ role: String, _ flags: [String] = [], settings: [String: String] = [:]) throws -> RunningRole {
    let management = TestServers.freePort()
    let name = "\(role)-\(processes.count)"
    let process = try ChildProcess(
      [TestServers.sluice, role, "--management-listen", "127.0.0.1:\(management)"] + flags,
      environment: environment.merging(settings) { $1 }, output: "\(folder)/\(name).log")
    processes.append(process)
    return try RunningRole(name, process, management: management, log: "\(folder)/\(name).log")
  }

  /// What a role wrote so far.
  func log(_ name: String) -> String { (try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8)) ?? "" }

  /// A command that runs.
  struct Running {
    let name: String
    let process: ChildProcess
    /// What it prints goes into this file.
    let output: String
  }

  /// Runs a command to its end.
  func run(_ words: [String], timeout: Duration = .seconds(120)) throws -> (code: Int32, output: String) {
    try end(begin(words), timeout: timeout)
  }

  /// Begins to run a command.
  func begin(_ words: [String]) throws -> Running {
    let file = "\(folder)/\(UUID().uuidString)"
    let process = try ChildProcess([TestServers.sluice] + words, environment: environment, output: file)
    return Running(name: words[0], process: process, output: file)
  }

  /// Waits for the end of a command.
  func end(_ running: Running, timeout: Duration = .seconds(120)) throws -> (code: Int32, output: String) {
    guard let code = running.process.wait(timeout: timeout) else {
      running.process.kill()
      throw TestServerError("sluice \(running.name) did not end in \(timeout)")
    }
    return (code, (try? String(contentsOfFile: running.output, encoding: .utf8)) ?? "")
  }

  /// Waits until the sinks are done with that many messages, which is all that the topic has.
  func awaitCommitted(_ count: Int) throws {
    var configuration = KafkaConfiguration(brokers: environment["SLUICE_KAFKA_BROKERS"] ?? "")
    configuration.set("group.id", environment["SLUICE_KAFKA_GROUP"] ?? "")
    let admin = try Admin(KafkaConfiguration(brokers: environment["SLUICE_KAFKA_BROKERS"] ?? ""))
    defer { admin.close() }
    let partitions = try admin.partitionCount(of: topic, timeout: .seconds(30)) ?? 0
    let reader = try Consumer(configuration)
    defer { reader.close() }
    let all = (0..<Int32(partitions)).map { TopicPartition(topic: topic, partition: $0) }
    var committed = 0
    try eventually(timeout: .seconds(120), "\(count) messages are committed") {
      // A group's coordinator may just be moving.
      guard let offsets = try? reader.committed(all, timeout: .seconds(30)) else { return false }
      committed = Int(offsets.values.reduce(0, +))
      return committed >= count
    }
    guard committed == count else { throw TestServerError("\(committed) messages are committed instead of \(count)") }
  }

  /// The value of a metric without labels; nil when the role does not say.
  func metric(_ name: String, at management: UInt16) throws -> Int? {
    let answer = try HTTPClient().send("GET", "http://127.0.0.1:\(management)/metrics", timeout: .seconds(5))
    let line = answer.text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
    return line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) }
  }

  /// How often each reading is in the database, by device and the sequence number in its tag.
  func stored() throws -> [String: Int] {
    let pool = try MongoPool(uri: mongo, applicationName: "tests", maximumSize: 1, timeout: .seconds(60))
    defer { pool.close() }
    var counts: [String: Int] = [:]
    try pool.withClient { (client) throws(MongoError) in
      try client.find(
        database, "readings", filter: [:], options: ["projection": ["_id": 0, "meta.device": 1, "tags.seq": 1]]
      ) { document in
        if let device = document["meta"]?.document?["device"]?.string,
          let seq = document["tags"]?.document?["seq"]?.string
        {
          counts["\(device) \(seq)", default: 0] += 1
        }
      }
    }
    return counts
  }

  /// How many readings are in the database.
  func count(_ collection: String = "readings") throws -> Int {
    let pool = try MongoPool(uri: mongo, applicationName: "tests", maximumSize: 1, timeout: .seconds(60))
    defer { pool.close() }
    return try pool.withClient { (client) throws(MongoError) in Int(try client.count(database, collection)) }
  }

  /// What `sluice simulate` wrote to its accepted file: device and sequence number of each accepted reading.
  static func accepted(_ file: String) throws -> Set<String> {
    var accepted: Set<String> = []
    for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("?") {
      let words = line.split(separator: " ")
      guard words.count == 3, let from = Int(words[1]), let to = Int(words[2]) else {
        throw TestServerError("unexpected line '\(line)'")
      }
      for number in from...to { accepted.insert("\(words[0]) \(number)") }
    }
    return accepted
  }
}
