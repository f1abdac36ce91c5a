import Foundation
import Synchronization

/// A real Apache Kafka, one node or a cluster, owned by the tests.
package final class KafkaServer: Sendable {
  /// Whether Kafka's files are there; use in `.enabled(if:)`.
  package static let isAvailable = FileManager.default.isExecutableFile(atPath: script)

  private static let script = "\(TestServers.serversFolder)/kafka/kafka"
  private static let sharedServer = Mutex<KafkaServer?>(nil)

  /// The one node that all tests of this process share: make topics of your own on it, and never stop it.
  package static func shared() throws -> KafkaServer {
    try sharedServer.withLock { server in
      if let server { return server }
      let new = try KafkaServer(nodes: 1)
      server = new
      // Kafka runs in a session of its own, so that nothing but this ends it with the process.
      atexit { try? KafkaServer.sharedServer.withLock { try $0?.stop() } }
      return new
    }
  }

  package let bootstrapServers: String
  private let folder: String

  /// Starts `nodes` nodes and waits until they accept clients.
  package init(nodes: Int = 1, partitions: Int = 4) throws {
    folder = TestServers.temporaryFolder("kafka")
    let port = TestServers.freePorts(10 * nodes)
    bootstrapServers = (0..<nodes).map { "127.0.0.1:\(Int(port) + 10 * $0)" }.joined(separator: ",")
    try run("start", "--port", "\(port)", "--nodes", "\(nodes)", "--partitions", "\(partitions)")
  }

  deinit { try? stop() }

  /// Kills a node (SIGKILL), or all.
  package func kill(node: Int? = nil) throws { try run("stop", "--kill", node: node) }
  /// Freezes a node (SIGSTOP), or all: its port stays open, and nothing answers.
  package func pause(node: Int? = nil) throws {
    try run("pause", node: node)
    for number in try node.map({ [$0] }) ?? nodes() {
      let pid = try String(contentsOfFile: "\(folder)/node-\(number)/pid", encoding: .utf8)
      try TestServers.waitUntilStopped(pid.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }
  /// Ends a freeze.
  package func resume(node: Int? = nil) throws { try run("resume", node: node) }
  /// Starts what was killed or stopped, with its data.
  package func restart(node: Int? = nil) throws { try run("start", node: node) }
  /// Ends it for good and removes its data.
  package func stop() throws { try run("wipe") }

  /// The node that leads a partition.
  package func leader(of topic: String, partition: Int) throws -> Int {
    for line in try describe(topic).split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
      guard let number = words.firstIndex(of: "Partition:"), words[number + 1] == "\(partition)",
        let leader = words.firstIndex(of: "Leader:"), let node = Int(words[leader + 1])
      else { continue }
      return node
    }
    throw TestServerError("partition \(partition) of \(topic) has no leader")
  }

  /// Whether every copy of a topic's partitions is in step with its leader.
  package func isInStep(_ topic: String) throws -> Bool {
    try tool("topics", "--describe", "--topic", topic, "--under-replicated-partitions").isEmpty
  }

  /// What Kafka's own tool says of a topic, its settings included.
  package func describe(_ topic: String) throws -> String { try tool("topics", "--describe", "--topic", topic) }

  /// Changes settings of a topic, such as `max.message.bytes=1000`.
  package func configure(_ topic: String, _ settings: String) throws {
    let result = try TestServers.run([
      "java", "-Xmx256m", "-cp", "\(TestServers.serversFolder)/kafka/libs/*", "kafka.admin.ConfigCommand",
      "--bootstrap-server", bootstrapServers, "--alter", "--entity-type", "topics", "--entity-name", topic,
      "--add-config", settings,
    ])
    guard result.code == 0 else { throw TestServerError("\(topic): \(settings): \(result.output)") }
  }

  private func tool(_ words: String...) throws -> String {
    let result = try TestServers.run(
      [Self.script, words[0], "--bootstrap-server", bootstrapServers] + words.dropFirst())
    guard result.code == 0 else { throw TestServerError("kafka \(words): \(result.output)") }
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func nodes() throws -> [Int] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("node-") }
      .compactMap { Int($0.dropFirst(5)) }
  }

  private func run(_ words: String..., node: Int? = nil) throws {
    let result = try TestServers.run(
      [Self.script, words[0], "--dir", folder] + words.dropFirst() + (node.map { ["--node", "\($0)"] } ?? []),
      timeout: .seconds(300))
    guard result.code == 0 else { throw TestServerError("kafka \(words): \(result.output)") }
  }
}
