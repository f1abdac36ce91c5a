import Foundation
import HTTPClient
import Kafka
import Operations
import TestServers
import Testing

/// A node of Kafka that asks every client but those on a port of its own who they are, and lets them do only what
/// packaging/kafka-acls gave them.
private final class KafkaWithUsers {
  static let users = ["ingest", "bridge", "sink", "dlq", "import", "setup"]

  /// For administrators.
  let bootstrapServers: String
  /// For Sluice's users.
  let guarded: String
  private let process: ChildProcess

  init() throws {
    let folder = TestServers.temporaryFolder("kafka-users")
    let port = TestServers.freePorts(3)
    bootstrapServers = "127.0.0.1:\(port)"
    guarded = "127.0.0.1:\(port + 1)"
    let logins = Self.users.map { #"user_sluice-\#($0)="secret""# }.joined(separator: " ")
    try """
    process.roles=broker,controller
    node.id=1
    controller.quorum.voters=1@127.0.0.1:\(port + 2)
    listeners=PLAINTEXT://127.0.0.1:\(port),SASL_PLAINTEXT://\(guarded),CONTROLLER://127.0.0.1:\(port + 2)
    listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
    controller.listener.names=CONTROLLER
    inter.broker.listener.name=PLAINTEXT
    sasl.enabled.mechanisms=PLAIN
    listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \(logins);
    authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
    super.users=User:ANONYMOUS
    log.dirs=\(folder)/data
    offsets.topic.replication.factor=1
    offsets.topic.num.partitions=4
    transaction.state.log.replication.factor=1
    transaction.state.log.min.isr=1
    transaction.state.log.num.partitions=4
    group.initial.rebalance.delay.ms=0
    auto.create.topics.enable=false
    """.write(toFile: "\(folder)/server.properties", atomically: true, encoding: .utf8)
    let format = try TestServers.run(
      Self.java + [
        "kafka.tools.StorageTool", "format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qk", "--config",
        "\(folder)/server.properties",
      ])
    guard format.code == 0 else { throw TestServerError("kafka format: \(format.output)") }
    let process = try ChildProcess(
      Self.java + ["kafka.Kafka", "\(folder)/server.properties"], output: "\(folder)/log")
    self.process = process
    try eventually(timeout: .seconds(120), "Kafka accepts on port \(port)") {
      guard process.isRunning else { throw TestServerError("Kafka ended while starting; see \(folder)/log") }
      return TestServers.accepts(port) && TestServers.accepts(port + 1)
    }
  }

  deinit { process.kill() }

  /// Gives the rights by the script that users are given.
  func giveRights(topic: String, group: String) throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("packaging/kafka-acls").path
    let tool = Self.java + ["org.apache.kafka.tools.AclCommand", "--bootstrap-server", bootstrapServers]
    let given = try TestServers.run(
      [
        "/usr/bin/env", "KAFKA_ACLS=\(tool.joined(separator: " "))", "SLUICE_KAFKA_TOPIC=\(topic)",
        "SLUICE_KAFKA_GROUP=\(group)", script,
      ], timeout: .seconds(300))
    guard given.code == 0 else { throw TestServerError("kafka-acls: \(given.output)") }
  }

  /// The properties with which a user comes in.
  static func login(_ user: String) -> KeyValuePairs<String, String> {
    [
      "security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "sluice-\(user)",
      "sasl.password": "secret",
    ]
  }

  /// What `SLUICE_KAFKA_CONFIG` has to be for a user: in lines, as in a file.
  static func setting(_ user: String) -> String { login(user).map { "\($0)=\($1)" }.joined(separator: "\n") }

  private static let java = [
    "java", "-Xmx256m", "-cp", "\(TestServers.serversFolder)/kafka/libs/*",
    "-Dlog4j2.configurationFile=\(TestServers.serversFolder)/kafka/log4j2-tools.properties",
  ]
}

/// What packaging/kafka-acls gives is enough for each role, and does not let it do another's work.
@Suite(
  .enabled(if: TestServers.runsLongTests, "takes a minute: make test-long"),
  .enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable, "needs all servers"))
struct KafkaRightsTests {
  @Test func eachRoleDoesItsWorkAndNoOther() throws {
    let kafka = try KafkaWithUsers()
    let mosquitto = try MosquittoServer()
    // Set up by the administrator; from then on everybody comes in by the other port.
    let roles = try Roles(kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port)
    let deadLetters = "\(roles.topic).dlq"
    try kafka.giveRights(topic: roles.topic, group: "g-\(roles.topic)")
    func settings(_ user: String) -> [String: String] {
      ["SLUICE_KAFKA_BROKERS": kafka.guarded, "SLUICE_KAFKA_CONFIG": KafkaWithUsers.setting(user)]
    }
    func flags(_ user: String) -> [String] {
      ["--kafka-brokers", kafka.guarded, "--kafka-config", KafkaWithUsers.setting(user)]
    }

    let again = try roles.run(["setup"] + flags("setup"))
    #expect(again.code == 0 && again.output.contains("topic \(roles.topic): there already"), "\(again.output)")

    let http = TestServers.freePort()
    let ingest = try roles.launch("ingest", ["--http-listen", "127.0.0.1:\(http)"], settings: settings("ingest"))
    let bridge = try roles.launch("bridge", settings: settings("bridge"))
    let sink = try roles.launch("sink", settings: settings("sink"))
    for role in [ingest, bridge, sink] { try role.waitUntilReady() }

    // Through all of them; and one message that is no reading, over MQTT and on the topic.
    let posted = try HTTPClient().send(
      "POST", "http://127.0.0.1:\(http)/v1/readings",
      body: Array(#"{"device":"http","sensor":"s","value":1,"tags":{"seq":"1"}}"#.utf8), timeout: .seconds(30))
    #expect(posted.status == 202, "\(posted.text)")
    for (topic, text) in [("sensors/mqtt/s", #"{"value":1,"tags":{"seq":"1"}}"#), ("sensors/mqtt/s", "{")] {
      #expect(
        try TestServers.run([
          "/usr/bin/mosquitto_pub", "-p", "\(mosquitto.port)", "-q", "1", "-t", topic, "-m", text,
        ]).code == 0)
    }
    try TopicWriter(kafka.bootstrapServers, roles.topic).write([TopicMessage("poison", "{")])
    try eventually(timeout: .seconds(90), "two readings are stored") { try roles.count() == 2 }
    _ = try TopicReader(kafka.bootstrapServers, deadLetters).read(2)

    let file = "\(roles.folder)/readings.ndjson"
    try #"{"device":"file","sensor":"s","value":1,"tags":{"seq":"1"}}"#.write(
      toFile: file, atomically: true, encoding: .utf8)
    let imported = try roles.run(["import", file] + flags("import"))
    #expect(imported.code == 0, "\(imported.output)")
    try eventually(timeout: .seconds(90), "the third is stored") { try roles.count() == 3 }

    let list = try roles.run(["dlq", "list"] + flags("dlq"))
    #expect(list.code == 0 && list.output.contains("2"), "\(list.output)")
    let redriven = try roles.run(["dlq", "redrive"] + flags("dlq"))
    #expect(redriven.output.contains("redriven=1 skipped=0 refused=1"), "\(redriven.output)")

    // Not each other's work.
    for user in ["ingest", "import", "bridge", "dlq", "setup"] {
      #expect(throws: KafkaError.self, "\(user) reads the readings") { try read(roles.topic, kafka.guarded, user) }
    }
    for user in ["bridge", "sink", "setup"] {
      #expect(throws: KafkaError.self, "\(user) reads dead letters") { try read(deadLetters, kafka.guarded, user) }
      #expect(try sees(deadLetters, kafka.guarded, user))
    }
    for user in ["ingest", "import"] { #expect(try !sees(deadLetters, kafka.guarded, user), "\(user)") }
    for user in ["sink", "setup"] {
      #expect(throws: KafkaError.self, "\(user) writes readings") { try write(roles.topic, kafka.guarded, user) }
    }
    for user in ["ingest", "import", "setup"] {
      #expect(throws: KafkaError.self, "\(user) writes dead letters") { try write(deadLetters, kafka.guarded, user) }
    }
    for user in KafkaWithUsers.users {
      #expect(throws: KafkaError.self, "\(user) makes a topic") {
        let admin = try Admin(configuration(kafka.guarded, user))
        defer { admin.close() }
        _ = try admin.createTopic("another", partitions: 1, replication: 1, timeout: .seconds(30))
      }
    }
    // And the same calls do work, by those who may.
    try read(roles.topic, kafka.guarded, "sink")
    try write(roles.topic, kafka.guarded, "ingest")
    try read(deadLetters, kafka.guarded, "dlq")
  }

  private func configuration(_ brokers: String, _ user: String) -> KafkaConfiguration {
    var configuration = KafkaConfiguration(brokers: brokers)
    configuration.setDefaults(KafkaWithUsers.login(user))
    configuration.set("message.timeout.ms", "20000")
    return configuration
  }

  /// Whether a user is told that there is a topic.
  private func sees(_ topic: String, _ brokers: String, _ user: String) throws -> Bool {
    let admin = try Admin(configuration(brokers, user))
    defer { admin.close() }
    return try admin.describeCluster(timeout: .seconds(30)).topics.contains { $0.name == topic }
  }

  /// Reads the first message of a topic.
  private func read(_ topic: String, _ brokers: String, _ user: String) throws {
    var configuration = KafkaConfiguration(brokers: brokers)
    configuration.setDefaults(KafkaWithUsers.login(user))
    let consumer = try Consumer(configuration)
    defer { consumer.close() }
    let all = (0..<Int32(4)).map { (TopicPartition(topic: topic, partition: $0), Consumer.earliest) }
    try consumer.assign(Dictionary(uniqueKeysWithValues: all))
    try eventually(timeout: .seconds(30), "a message of \(topic) for \(user)") {
      switch consumer.poll(timeout: .milliseconds(200)) {
      case .message: return true
      // Its group has no coordinator for those who may not know it; reading needs none.
      case .failed(let error) where "\(error)".contains("GROUP_AUTHORIZATION_FAILED"): return false
      case .failed(let error): throw error
      case nil: return false
      }
    }
  }

  /// Writes a message to a topic.
  private func write(_ topic: String, _ brokers: String, _ user: String) throws {
    try TopicWriter(configuration(brokers, user), topic).write([TopicMessage("d", "{}")])
  }
}
