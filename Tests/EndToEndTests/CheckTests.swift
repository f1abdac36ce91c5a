import Foundation
import Operations
import TestServers
import Testing

@Suite struct CheckTests {
  private func check(_ settings: [String: String], timeout: Duration = .seconds(90)) throws -> (
    code: Int32, output: String
  ) {
    let file = "\(TestServers.temporaryFolder("check"))/log"
    let free = [
      "SLUICE_AUTH": "off",
      "SLUICE_HTTP_LISTEN": "127.0.0.1:\(TestServers.freePort())",
      "SLUICE_MANAGEMENT_LISTEN": "127.0.0.1:\(TestServers.freePort())",
    ]
    let environment = DevProcess.environment.merging(free) { $1 }.merging(settings) { $1 }
    let process = try ChildProcess([TestServers.sluice, "check"], environment: environment, output: file)
    let code = try #require(process.wait(timeout: timeout))
    return (code, try String(contentsOfFile: file, encoding: .utf8))
  }

  /// The lines about one setting that begin with a word.
  private func lines(_ output: String, _ word: String, _ setting: String) -> [Substring] {
    output.split(separator: "\n").filter { $0.hasPrefix("\(word) ") && $0.contains(" \(setting) ") }
  }

  @Test(
    .enabled(
      if: KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable,
      "needs Kafka, MongoDB and mosquitto"))
  func allIsWell() throws {
    let mosquitto = try MosquittoServer()
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port)
    let environment = roles.environment.merging(["SLUICE_KAFKA_CONFIG": "client.rack=a-secret-word"]) { $1 }
    var result = try check(environment)
    // A busy broker tells of new topics a moment after it has made them.
    try eventually("the topics are known") {
      if result.output.contains("sluice setup creates it") { result = try check(environment) }
      return !result.output.contains("sluice setup creates it")
    }
    #expect(result.code == 0, "\(result.output)")
    #expect(!result.output.contains("FAIL") && result.output.contains("all is well"), "\(result.output)")
    #expect(!result.output.contains("a-secret-word"), "secrets are masked")
    for setting in [
      "SLUICE_KAFKA_BROKERS", "SLUICE_KAFKA_TOPIC", "SLUICE_KAFKA_DEAD_LETTER_TOPIC", "SLUICE_MONGODB_URI",
      "SLUICE_MONGODB_LAYOUT", "SLUICE_MONGODB_DATABASE", "SLUICE_MQTT_URL", "SLUICE_HTTP_LISTEN",
      "SLUICE_MANAGEMENT_LISTEN",
    ] {
      #expect(lines(result.output, "ok", setting).count == 1, "\(setting): \(result.output)")
    }

    // The other layout, another topic, more copies than there are.
    let wrong = try check(
      roles.environment.merging([
        "SLUICE_MONGODB_LAYOUT": "documents", "SLUICE_KAFKA_DEAD_LETTER_TOPIC": "not-there",
        "SLUICE_KAFKA_REPLICATION": "3",
      ]) { $1 })
    #expect(wrong.code == 1)
    #expect(lines(wrong.output, "FAIL", "SLUICE_MONGODB_LAYOUT").count == 1, "\(wrong.output)")
    #expect(lines(wrong.output, "FAIL", "SLUICE_KAFKA_DEAD_LETTER_TOPIC").count == 1, "\(wrong.output)")
    #expect(lines(wrong.output, "FAIL", "SLUICE_KAFKA_TOPIC").count == 1, "\(wrong.output)")
  }

  @Test func nothingIsThere() throws {
    let result = try check([
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:1", "SLUICE_MONGODB_URI": "mongodb://user:a-secret-word@127.0.0.1:1",
      "SLUICE_MQTT_URL": "mqtt://user:a-secret-word@127.0.0.1:1", "SLUICE_TLS_CERTIFICATE": "/no/certificate",
      "SLUICE_TLS_KEY": "/no/key",
    ])
    #expect(result.code == 1)
    for setting in [
      "SLUICE_KAFKA_BROKERS", "SLUICE_MONGODB_URI", "SLUICE_MQTT_URL", "SLUICE_TLS_CERTIFICATE", "SLUICE_TLS_KEY",
    ] {
      #expect(lines(result.output, "FAIL", setting).count == 1, "\(setting): \(result.output)")
    }
    #expect(result.output.contains("Connection refused"))
    #expect(!result.output.contains("a-secret-word"), "\(result.output)")
  }

  @Test(.enabled(if: MosquittoServer.isAvailable && MongoServer.isAvailable, "needs MongoDB and mosquitto"))
  func whatHangsAndWhatRefuses() throws {
    let broker = try MosquittoServer("allow_anonymous false")
    let database = try MongoServer()
    database.pause()
    let result = try check([
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:1", "SLUICE_MONGODB_URI": database.uri,
      "SLUICE_MQTT_URL": "mqtt://127.0.0.1:\(broker.port)", "SLUICE_HTTP_LISTEN": "127.0.0.1:\(broker.port)",
    ])
    #expect(result.code == 1)
    #expect(lines(result.output, "FAIL", "SLUICE_MONGODB_URI").count == 1, "\(result.output)")
    let mqtt = lines(result.output, "FAIL", "SLUICE_MQTT_URL")
    #expect(mqtt.count == 1 && mqtt[0].contains("correct user and password"), "\(result.output)")
    let http = lines(result.output, "FAIL", "SLUICE_HTTP_LISTEN")
    #expect(http.count == 1 && http[0].contains("another process listens there"), "\(result.output)")

    broker.pause()
    let frozen = try check([
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:\(broker.port)", "SLUICE_MONGODB_URI": database.uri,
      "SLUICE_MQTT_URL": "mqtt://127.0.0.1:\(broker.port)",
    ])
    #expect(frozen.code == 1)
    #expect(lines(frozen.output, "FAIL", "SLUICE_MQTT_URL").count == 1, "\(frozen.output)")
    #expect(lines(frozen.output, "FAIL", "SLUICE_KAFKA_BROKERS").count == 1, "\(frozen.output)")
  }

  @Test func propertiesInLinesAreNotShown() throws {
    let result = try check([
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:1", "SLUICE_MONGODB_URI": "mongodb://127.0.0.1:1",
      "SLUICE_KAFKA_CONFIG": "security.protocol=tls\nsasl.password=a-secret-word",
    ])
    #expect(result.code == 1)
    let kafka = lines(result.output, "FAIL", "SLUICE_KAFKA_CONFIG")
    #expect(kafka.count == 1 && kafka[0].contains("security.protocol: must be plaintext, ssl,"), "\(result.output)")
    #expect(!result.output.contains("a-secret-word") && !result.output.contains("tls\n"), "\(result.output)")
  }

  /// What only one of the roles would have ended with.
  @Test(arguments: [
    ("SLUICE_KAFKA_CONFIG", "acks=1", "acks"), ("SLUICE_KAFKA_CONFIG", "enable.auto.commit=true", "enable.auto.commit"),
    ("SLUICE_KAFKA_CONFIG", "partition.assignment.strategy=cooperative-sticky", "must be range or roundrobin"),
    ("SLUICE_JOBS_FETCH_ALLOW", "ftp://a", "must be like"), ("SLUICE_JOBS_DIRECTORY", "/no/jobs", "/no: No such file"),
    ("SLUICE_JOBS_DIRECTORY", "/dev/null", "Not a directory"),
  ])
  func whatTheRolesWouldRefuse(setting: String, value: String, reason: String) throws {
    let result = try check([
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:1", "SLUICE_MONGODB_URI": "mongodb://127.0.0.1:1", setting: value,
    ])
    #expect(result.code == 1)
    let found = lines(result.output, "FAIL", setting)
    #expect(found.count == 1 && found[0].contains(reason), "\(result.output)")
  }

  @Test func aSettingThatCannotBeIsAnError() throws {
    let result = try check(["SLUICE_MQTT_URL": "tcp://a-secret-word"])
    #expect(result.code == 2)
    #expect(result.output.hasPrefix("sluice: SLUICE_MQTT_URL: "), "\(result.output)")
    #expect(result.output.split(separator: "\n").count == 1 && !result.output.contains("a-secret-word"))
  }
}
