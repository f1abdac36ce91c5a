import Foundation
import HTTPClient
import MongoDB
import Operations
import TestServers

/// Two processes of each role on servers of their own, all of which can be killed, frozen and healed. For one thread.
final class Deployment {
  let folder = TestServers.temporaryFolder("faults")
  private let sluice: String
  private let environment: [String: String]
  private let kafka: KafkaServer
  private let mongo: MongoServer
  private let mosquitto: MosquittoServer
  private var roles: [Target: ChildProcess] = [:]
  private let arguments: [Target: [String]]
  private let managementPorts: [Target: UInt16]
  private let httpPorts: [UInt16]
  private var frozen: Set<Target> = []
  private var killed: Set<Target> = []
  /// The most memory that a process of each kind had, in KiB.
  private(set) var peakMemory: [Target.Kind: Int] = [:]

  static let database = "sluice"

  /// Starts everything and waits until it is ready.
  /// - Parameters:
  ///   - sluice: path of the executable.
  ///   - breakage: what is broken on purpose, to see that it is found out; nil for what users get.
  init(sluice: String, layout: String, breakage: String?) throws {
    self.sluice = sluice
    kafka = try KafkaServer(nodes: 3)
    // Without that option the server loses what it acknowledged when it is killed.
    mongo = try MongoServer(options: ["--sync-on-commit"])
    mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 500")
    var environment = [
      "PATH": "/usr/bin:/bin", "SLUICE_KAFKA_BROKERS": kafka.bootstrapServers, "SLUICE_MONGODB_URI": mongo.uri,
      "SLUICE_MONGODB_DATABASE": Self.database, "SLUICE_MONGODB_LAYOUT": layout, "SLUICE_KAFKA_REPLICATION": "3",
      "SLUICE_MQTT_URL": "mqtt://127.0.0.1:\(mosquitto.port)",
    ]
    // Whoever looks for the reason of a failure may want another log level, or librdkafka's own words.
    environment.merge(ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("SLUICE_") }) { $1 }
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
    if let breakage { environment["SLUICE_TEST_BREAK"] = breakage }
    environment["SLUICE_AUTH"] = "off"
    self.environment = environment
    httpPorts = [TestServers.freePort(), TestServers.freePort()]
    var arguments: [Target: [String]] = [:]
    var ports: [Target: UInt16] = [:]
    for target in Target.all {
      let extra: [String]
      switch target.kind {
      case .ingest: extra = ["--http-listen", "127.0.0.1:\(httpPorts[target.number - 1])"]
      case .bridge: extra = ["--mqtt-client-id", "bridge-\(target.number)"]
      case .sink: extra = []
      case .kafka, .mongodb, .mosquitto: continue
      }
      let port = TestServers.freePort()
      ports[target] = port
      arguments[target] =
        [sluice, target.kind.rawValue, "--management-listen", "127.0.0.1:\(port)"] + extra
    }
    self.arguments = arguments
    managementPorts = ports

    do {
      // A broker on a busy machine may be fenced by its controller for a moment, and then refuses topics.
      try eventually(timeout: .seconds(90), "setup") {
        let setup = try ChildProcess([sluice, "setup"], environment: environment, output: "\(folder)/setup.log")
        return setup.wait(timeout: .seconds(60)) == 0
      }
    } catch {
      throw TestServerError("sluice setup failed: \(log("setup"))")
    }
    for target in arguments.keys { try start(target) }
    try waitUntilReady()
  }

  deinit { for process in roles.values { process.kill() } }

  /// Where an ingest process takes readings; from 1.
  func address(ofIngest number: Int) -> String { "http://127.0.0.1:\(httpPorts[number - 1])" }

  /// The MQTT broker's.
  var mqttAddress: String { "mqtt://127.0.0.1:\(mosquitto.port)" }

  /// Starts `sluice` with other arguments, its output in a file of that name in the folder.
  func launch(_ words: [String], log: String) throws -> ChildProcess {
    try ChildProcess([sluice] + words, environment: environment, output: "\(folder)/\(log).log")
  }

  /// What a process wrote.
  func log(_ name: String) -> String { (try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8)) ?? "" }

  private func start(_ target: Target) throws {
    roles[target] = try ChildProcess(arguments[target]!, environment: environment, output: "\(folder)/\(target).log")
  }

  /// Waits until every role, or those of a kind, say that they can do their work.
  func waitUntilReady(_ kind: Target.Kind? = nil) throws {
    let client = try HTTPClient()
    for (target, port) in managementPorts where kind == nil || target.kind == kind {
      // A sink looks for what former owners left before it is: through all readings, on this server.
      try eventually(timeout: .seconds(400), "\(target) is ready: \(log("\(target)").suffix(2_000))") {
        guard roles[target]?.isRunning == true else { throw TestServerError("\(target) ended: \(log("\(target)"))") }
        return (try? client.send("GET", "http://127.0.0.1:\(port)/readyz", timeout: .seconds(5)))?.status == 200
      }
    }
  }

  // MARK: Faults

  /// Kills or freezes.
  ///
  /// - Parameter quiesce: called before mosquitto is killed: it must stop all who publish, for what mosquitto acknowledged
  ///   and had not written yet is its own loss and no one else's.
  func begin(_ action: Fault.Action, quiesce: () throws -> Void) throws {
    let target = action.target
    noteMemory(target)
    switch (target.kind, action.kind) {
    case (.ingest, let kind), (.bridge, let kind), (.sink, let kind):
      guard let process = roles[target], process.isRunning else {
        throw TestServerError("\(target) ended by itself: \(log("\(target)").suffix(2_000))")
      }
      if kind != .kill {
        process.signal(SIGSTOP)
        try TestServers.waitUntilStopped("\(process.pid)")
      } else {
        process.kill()
      }
    case (.kafka, .kill): try kafka.kill(node: target.number)
    case (.kafka, _): try kafka.pause(node: target.number)
    case (.mongodb, .kill): mongo.kill()
    case (.mongodb, _): mongo.pause()
    case (.mosquitto, .kill):
      try quiesce()
      try mosquitto.save()
      mosquitto.kill()
    case (.mosquitto, _): mosquitto.pause()
    }
    if action.kind == .kill { killed.insert(target) } else { frozen.insert(target) }
  }

  /// Starts or resumes.
  func heal(_ action: Fault.Action) throws {
    let target = action.target
    if action.kind == .freezeThenKill {
      guard frozen.remove(target) != nil, let process = roles[target] else { return }
      process.kill()
      return try start(target)
    }
    let isKilled = killed.remove(target) != nil
    guard frozen.remove(target) != nil || isKilled else { return }
    switch target.kind {
    case .ingest, .bridge, .sink: isKilled ? try start(target) : roles[target]?.signal(SIGCONT)
    case .kafka: isKilled ? try kafka.restart(node: target.number) : try kafka.resume(node: target.number)
    case .mongodb: isKilled ? try mongo.restart() : mongo.resume()
    case .mosquitto: isKilled ? try mosquitto.restart() : mosquitto.resume()
    }
  }

  /// Notes the most memory that the processes had so far (VmHWM, proc(5)).
  func noteMemory() { for target in roles.keys { noteMemory(target) } }

  private func noteMemory(_ target: Target) {
    guard let process = roles[target], process.isRunning,
      let status = try? String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kilobytes = line.split(separator: " ").compactMap({ Int($0) }).first
    else { return }
    peakMemory[target.kind] = max(peakMemory[target.kind] ?? 0, kilobytes)
  }

  // MARK: What is stored

  private func withDatabase<Value>(_ body: (MongoClient) throws(MongoError) -> Value) throws -> Value {
    // A look at all readings may take minutes: this server goes through them before it sends the first.
    let pool = try MongoPool(uri: mongo.uri, applicationName: "faults", maximumSize: 1, timeout: .seconds(1_200))
    defer { pool.close() }
    return try pool.withClient { (client) throws(MongoError) in try body(client) }
  }

  /// How many readings there are.
  func count() throws -> Int {
    try withDatabase { (client) throws(MongoError) in try client.count(Self.database, "readings") }
  }

  /// How often each is there.
  func stored() throws -> StoredCounts {
    var counts = StoredCounts()
    try withDatabase { (client) throws(MongoError) in
      try client.find(
        Self.database, "readings", options: ["projection": ["_id": 0, "meta.device": 1, "tags.seq": 1]]
      ) { document in
        if let device = document["meta"]?.document?["device"]?.string,
          let number = document["tags"]?.document?["seq"]?.string.flatMap({ Int($0) })
        {
          counts.add(device, number)
        }
      }
    }
    return counts
  }

  /// Where the stored copies of a reading came from: for those who look for the reason.
  func evidence(_ finding: Readings.Finding) throws -> [String] {
    var lines: [String] = []
    try withDatabase { (client) throws(MongoError) in
      try client.find(
        Self.database, "readings",
        filter: ["meta.device": .string(finding.device), "tags.seq": .string("\(finding.number)")],
        options: ["projection": ["k": 1, "received": 1]]
      ) { lines.append("\($0)") }
    }
    return lines
  }

  /// The documents of the ledger.
  func ledger() throws -> [String] {
    var lines: [String] = []
    try withDatabase { (client) throws(MongoError) in
      try client.find(Self.database, "ledger") { lines.append("\($0)") }
    }
    return lines
  }
}
