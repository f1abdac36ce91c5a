import Foundation
import HTTPClient
import Kafka
import Operations
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// Processes that are told to stop, and such that hang and wake up.
@Suite(.enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct FailureShutdownTests {
  /// Each role is stopped and started again while readings come in over HTTP and MQTT.
  @Test func stoppedUnderLoad() throws {
    let mosquitto = try MosquittoServer("allow_anonymous true\nmax_inflight_messages 500")
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port)
    let http = TestServers.freePort()
    func launch(_ role: String) throws -> RunningRole {
      let running = try roles.launch(role, role == "ingest" ? ["--http-listen", "127.0.0.1:\(http)"] : [])
      try running.waitUntilReady()
      return running
    }
    var running: [String: RunningRole] = [:]
    for role in ["ingest", "bridge", "sink"] { running[role] = try launch(role) }
    let files = (0..<2).map { "\(roles.folder)/accepted-\($0)" }
    let fleets = [
      try roles.startFleet(
        ["--url", "http://127.0.0.1:\(http)", "--rate", "1500", "--batch", "20"], accepted: files[0]),
      try roles.startFleet(["--mqtt", "--prefix", "mqtt-", "--rate", "1000"], accepted: files[1]),
    ]
    for role in ["ingest", "bridge", "sink"] {
      let old = try #require(running[role])
      let busy = ["ingest": "sluice_kafka_acknowledged_total", "bridge": "sluice_mqtt_acknowledged_total"][role]
      let metric = busy ?? "sluice_sink_written_total"
      try eventually("\(role) is busy") { old.metric(metric) > 1_000 }
      #expect(old.terminate() == 0, "\(role): \(old.log)")
      #expect(old.lines("Z warning ") + old.lines("Z error ") == 0, "\(old.log)")
      let new = try launch(role)
      try eventually("\(role) is busy again") { new.metric(metric) > 1_000 }
      running[role] = new
    }
    for fleet in fleets { fleet.signal(SIGTERM) }
    for fleet in fleets { #expect(fleet.wait(timeout: .seconds(30)) != nil) }
    let accepted = try files.map(Roles.accepted).reduce(Set()) { $0.union($1) }
    // A request whose answer did not come before its server ended may be there, and is not known to be.
    try roles.expectStored(accepted, others: true)
    for role in running.values { #expect(role.terminate() == 0, "\(role.log)") }
  }

  /// What it waits for hangs: it ends in time all the same, and what it had taken is stored by the next.
  @Test(arguments: ["timeseries", "documents"]) func stoppedBeforeAFrozenDatabase(layout: String) throws {
    let kafka = try KafkaServer.shared().bootstrapServers
    let server = try MongoServer(options: ["--sync-on-commit"])
    let roles = try Roles(kafka: kafka, mongo: server.uri, settings: ["SLUICE_MONGODB_LAYOUT": layout])
    let writer = try TopicWriter(kafka, roles.topic)
    let sink = try roles.launch("sink")
    try sink.waitUntilReady()
    try writer.write((0..<1_000).map { .reading($0) })
    try eventually("it writes") { sink.metric("sluice_sink_written_total") > 0 }
    server.pause()
    try writer.write((1_000..<20_000).map { .reading($0) })
    try eventually("it waits") { sink.metric("sluice_sink_consumed_total") > 2_000 }
    #expect(sink.terminate(timeout: .seconds(21)) == 0, "\(sink.log)")
    server.resume()
    let next = try roles.launch("sink")
    try roles.expectStored(0..<20_000)
    #expect(next.terminate() == 0)
  }

  /// A sink is frozen while it writes, for longer than its group waits; another takes over, and then the first wakes up.
  @Test(arguments: ["timeseries", "documents"]) func aSinkSleeps(layout: String) throws {
    let kafka = try KafkaServer.shared().bootstrapServers
    let roles = try Roles(
      kafka: kafka, mongo: MongoServer.shared().uri,
      settings: [
        "SLUICE_MONGODB_LAYOUT": layout, "SLUICE_BATCH_READINGS": "100",
        "SLUICE_KAFKA_CONFIG": "session.timeout.ms=2000;heartbeat.interval.ms=400",
      ])
    let writer = try TopicWriter(kafka, roles.topic)
    let sinks = try [roles.launch("sink"), roles.launch("sink")]
    for sink in sinks { try sink.waitUntilReady() }
    try eventually("each has two partitions") {
      sinks.allSatisfy { $0.lines("partitions assigned") > 0 && $0.log.split(separator: "\n").last!.hasSuffix("=0,1") }
        || sinks.allSatisfy { sink in
          ["partitions=0,1", "partitions=2,3"].contains { sink.log.split(separator: "\n").last!.hasSuffix($0) }
        }
    }
    var count = 0
    for sleeper in sinks {
      let other = sinks.first { $0 !== sleeper }!
      let written = sleeper.metric("sluice_sink_written_total")
      let rounds = other.lines("partitions=0,1,2,3")
      try writer.write((count..<count + 3_000).map { .reading($0) })
      try eventually("it writes") { sleeper.metric("sluice_sink_written_total") > written + 200 }
      sleeper.process.signal(SIGSTOP)
      count += 3_000
      try writer.write((count..<count + 1_000).map { .reading($0) })
      count += 1_000
      try eventually("the other has all partitions") { other.lines("partitions=0,1,2,3") > rounds }
      try roles.expectStored(0..<count)
      let before = other.lines("partitions assigned")
      sleeper.process.signal(SIGCONT)
      try eventually("they share again") { other.lines("partitions assigned") > before }
      try writer.write((count..<count + 1_000).map { .reading($0) })
      count += 1_000
      try roles.expectStored(0..<count)
    }
    for sink in sinks {
      #expect(sink.lines("Z error ") == 0, "\(sink.log)")
      // That Kafka timed out, and of each of its partitions that it is another's or its claim is old: each once.
      let warnings = sink.log.split(separator: "\n").filter { $0.contains("Z warning ") }.map { $0.drop { $0 != " " } }
      #expect(Set(warnings).count == warnings.count, "\(sink.log)")
      #expect(sink.terminate() == 0)
    }
    try roles.expectStored(0..<count)
  }
}
