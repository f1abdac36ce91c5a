import Compression
import Foundation
import HTTPClient
import Kafka
import Operations
import TestServers
import Testing

/// Jobs of a process, with a Kafka of this one.
@Suite struct JobTests {
  private static let reading = #"{"device":"d","sensor":"s","value":1}"# + "\n"

  private struct Ingest {
    let port = TestServers.freePort()
    let role: RunningRole

    init(_ cluster: MockCluster, _ folder: String) throws {
      let management = TestServers.freePort()
      var environment = [
        "SLUICE_KAFKA_BROKERS": cluster.bootstrapServers, "SLUICE_KAFKA_TOPIC": "readings",
        "SLUICE_HTTP_LISTEN": "127.0.0.1:\(port)", "SLUICE_MANAGEMENT_LISTEN": "127.0.0.1:\(management)",
        "SLUICE_AUTH": "off", "SLUICE_JOBS_DIRECTORY": "\(folder)/jobs",
      ]
      if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
      let log = "\(folder)/ingest-\(port).log"
      let process = try ChildProcess([TestServers.sluice, "ingest"], environment: environment, output: log)
      role = try RunningRole("ingest", process, management: management, log: log)
      try role.waitUntilReady()
    }

    var url: String { "http://127.0.0.1:\(port)/v1/jobs" }
  }

  private func withCluster(_ body: (MockCluster, String) throws -> Void) throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("readings", partitions: 4)
    try body(cluster, TestServers.temporaryFolder("jobs"))
  }

  @Test func memoryDoesNotGrowWithTheBody() throws {
    try withCluster { cluster, folder in
      let ingest = try Ingest(cluster, folder)
      defer { ingest.role.process.kill() }
      // Mostly lines that are refused, so that the time goes into reading rather than into Kafka.
      let wrong = #"{"device":""# + String(repeating: "0", count: 30_000) + "\"}\n"
      let block = String(repeating: String(repeating: Self.reading, count: 20) + wrong, count: 32)
      let packed = try Deflater.compress(Array(block.utf8))
      let count = 200
      // Members behind one another are one stream.
      let body = (0..<count).flatMap { _ in packed }
      let answer = try HTTPClient().send(
        "POST", ingest.url,
        headers: [("Content-Type", "application/x-ndjson"), ("Content-Encoding", "gzip")], body: body,
        timeout: .seconds(300))
      #expect(answer.status == 202 && block.utf8.count * count > 180 << 20, "\(answer.text.prefix(500))")
      #expect(
        answer.text.contains("\"accepted\":\(count * 640),\"rejected\":\(count * 32),"), "\(answer.text.prefix(500))")
      let peak = try ingest.role.peakMemory()
      #expect(peak < 100 << 20, "\(peak) bytes")
      #expect(ingest.role.terminate() == 0)
    }
  }

  @Test func whatAKilledProcessHadCountedIsKnown() throws {
    try withCluster { cluster, folder in
      let first = try Ingest(cluster, folder)
      defer { first.role.process.kill() }
      let socket = try TestServers.connect(first.port)
      defer { close(socket) }
      let head =
        "POST /v1/jobs HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n"
      let sent = Array((head + String(repeating: Self.reading, count: 5_000)).utf8)
      #expect(send(socket, sent, sent.count, 0) == sent.count)
      let jobs = "\(folder)/jobs"
      try eventually("its counts are on the disk") {
        try FileManager.default.contentsOfDirectory(atPath: jobs).contains {
          let text = (try? String(contentsOfFile: "\(jobs)/\($0)", encoding: .utf8)) ?? ""
          return text.contains("\"state\":\"running\"") && !text.contains("\"accepted\":0,")
        }
      }
      first.role.process.kill()
      let second = try Ingest(cluster, folder)
      defer { second.role.process.kill() }
      let list = try HTTPClient().send("GET", second.url).text
      #expect(
        list.contains("\"state\":\"failed\"") && list.contains("sluice ended while the job was running"), "\(list)")
      #expect(!list.contains("\"accepted\":0,"))
      #expect(second.role.terminate() == 0)
    }
  }
}
