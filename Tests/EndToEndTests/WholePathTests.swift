import Foundation
import HTTPClient
import Operations
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// From a client to a document, through processes of the executable on real servers.
@Suite(.enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct WholePathTests {
  private func expectAllStored(_ roles: Roles, accepted file: String, count: Int) throws {
    let accepted = try Roles.accepted(file)
    #expect(accepted.count == count)
    try eventually(timeout: .seconds(240), "\(count) readings are in the database") { try roles.count() >= count }
    let stored = try roles.stored()
    #expect(stored.count == count)
    #expect(stored.values.allSatisfy { $0 == 1 }, "something is stored twice")
    #expect(accepted.allSatisfy { stored[$0] != nil }, "something accepted is missing")
  }

  /// What the debug build needs for more takes most of the time of all tests.
  private let count = TestServers.runsLongTests ? 200_000 : 50_000

  @Test func manyReadingsOverHTTP() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let http = TestServers.freePort()
    try roles.start("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    try roles.start("sink")
    let file = "\(roles.folder)/accepted"
    let result = try roles.run(
      [
        "simulate", "--url", "http://127.0.0.1:\(http)", "--devices", "500", "--rate", "0", "--count", "\(count)",
        "--batch", "500", "--gzip", "--quiet", "--accepted-file", file,
      ], timeout: .seconds(240))
    #expect(result.code == 0, "\(result.output)")
    #expect(result.output.contains("accepted=\(count) refused=0 unknown=0"), "\(result.output)")
    try expectAllStored(roles, accepted: file, count: count)
  }

  @Test func manyReadingsOverMQTT() throws {
    let count = count * 2 / 5
    let mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 1000")
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port)
    try roles.start("bridge")
    try roles.start("sink")
    let file = "\(roles.folder)/accepted"
    let result = try roles.run(
      [
        "simulate", "--mqtt", "--devices", "100", "--rate", "0", "--count", "\(count)", "--quiet", "--accepted-file",
        file,
      ], timeout: .seconds(240))
    #expect(result.code == 0, "\(result.output)")
    #expect(result.output.contains("accepted=\(count) refused=0 unknown=0"), "\(result.output)")
    try expectAllStored(roles, accepted: file, count: count)
  }

  @Test func aRoleEndsInOrderAndSaysWhatIsWrong() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    for role in ["ingest", "sink"] {
      let flags = role == "ingest" ? ["--http-listen", "127.0.0.1:0"] : []
      let started = try roles.start(role, flags)
      // The same management address again: one line that names the setting, and exit code 1. Many at once, for of those
      // whose threads are connecting as they end only some meet what ends under them.
      let others = try (0..<12).map { _ in
        try roles.begin([role, "--management-listen", "127.0.0.1:\(started.management)"] + flags)
      }
      for other in others {
        let second = try roles.end(other)
        #expect(second.code == 1)
        #expect(
          second.output.split(separator: "\n").last?.contains("SLUICE_MANAGEMENT_LISTEN") == true, "\(second.output)")
      }
      started.process.signal(SIGTERM)
      #expect(started.process.wait(timeout: .seconds(20)) == 0)
    }
    for (words, code, name) in [
      (["ingest", "--kafka-brokers", ""], Int32(2), "--kafka-brokers"),
      (["sink", "--mongodb-uri", "http://x"], 2, "--mongodb-uri"),
      (["sink", "--kafka-config", "no.such=1"], 2, "SLUICE_KAFKA_CONFIG"),
      (
        ["ingest", "--tls-certificate", "/nowhere", "--tls-key", "/nowhere", "--http-listen", "127.0.0.1:0"], 1,
        "/nowhere"
      ),
      (["setup", "--kafka-brokers", "127.0.0.1:1"], 1, "SLUICE_KAFKA_BROKERS"),
      (["ingest", "--no-such-flag", "1"], 2, "--no-such-flag"), (["nonsense"], 2, "nonsense"),
    ] {
      let result = try roles.run(words)
      #expect(result.code == code, "\(words): \(result.output)")
      #expect(result.output.contains(name), "\(words): \(result.output)")
    }
  }
}
