import Foundation
import Operations
import TestServers

/// The senders: processes of `sluice simulate`, each with devices of its own.
final class Load {
  private struct Sender {
    let name: String
    let process: ChildProcess
    let isMQTT: Bool
    let started: ContinuousClock.Instant
  }

  private let deployment: Deployment
  private var senders: [Sender] = []
  let start: ContinuousClock.Instant

  /// Starts them: each way in, with and without ids.
  ///
  /// Without an id a reading is sent once: an answer that does not come leaves it in doubt. With one it is repeated until
  /// it is accepted.
  /// - Parameter rate: readings per second, all together.
  init(_ deployment: Deployment, rate: Double, seed: UInt64) throws {
    self.deployment = deployment
    start = .now
    let first = ["--url", deployment.address(ofIngest: 1)]
    let second = ["--url", deployment.address(ofIngest: 2)]
    let mqtt = ["--mqtt", "--mqtt-url", deployment.mqttAddress]
    let kinds: [(name: String, share: Double, words: [String])] = [
      ("batches", 0.3, first + ["--batch", "50", "--gzip"]),
      ("batches-ids", 0.15, second + ["--batch", "20", "--ids"]),
      ("single", 0.1, second + ["--batch", "1"]), ("single-ids", 0.05, first + ["--batch", "1", "--ids"]),
      ("mqtt", 0.25, mqtt), ("mqtt-ids", 0.1, mqtt + ["--ids"]), ("mqtt-qos2", 0.05, mqtt + ["--qos", "2"]),
    ]
    for (index, kind) in kinds.enumerated() {
      let words =
        ["simulate", "--prefix", "\(kind.name)-", "--devices", "40", "--seed", "\(seed &+ UInt64(index) & 0xffff)"]
        + ["--rate", "\(rate * kind.share)", "--accepted-file", "\(deployment.folder)/\(kind.name).accepted"]
        + kind.words
      senders.append(
        Sender(
          name: kind.name, process: try deployment.launch(words, log: kind.name),
          isMQTT: kind.words.contains("--mqtt"), started: .now))
    }
  }

  /// How many readings were accepted so far, by the senders' lines about their progress.
  var accepted: Int { senders.reduce(0) { $0 + (progress(of: $1).last?.total ?? 0) } }

  /// A line of progress: `12 s: 340/s, accepted 4011, …`.
  private func progress(of sender: Sender) -> [(second: Int, count: Int, total: Int)] {
    deployment.log(sender.name).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count > 4, words[1] == "s:", words[3] == "accepted", let second = Int(words[0]),
        let count = Int(words[2].dropLast(3)), let total = Int(words[4].dropLast())
      else { return nil }
      return (second, count, total)
    }
  }

  /// Freezes those that publish over MQTT.
  func freezePublishers() throws {
    for sender in senders where sender.isMQTT {
      sender.process.signal(SIGSTOP)
      try TestServers.waitUntilStopped("\(sender.process.pid)")
    }
  }

  /// Ends that.
  func resumePublishers() { for sender in senders where sender.isMQTT { sender.process.signal(SIGCONT) } }

  /// Ends all of them, each once it knows what became of what it had sent.
  /// - Returns: what all of them know.
  func finish(_ timeline: inout Timeline) throws -> Readings {
    for sender in senders { sender.process.signal(SIGTERM) }
    var readings = Readings()
    for sender in senders {
      guard let code = sender.process.wait(timeout: .seconds(120)) else {
        throw TestServerError("the sender \(sender.name) does not end: \(deployment.log(sender.name).suffix(2_000))")
      }
      guard code == 0 else {
        throw TestServerError(
          "the sender \(sender.name) ended with \(code): \(deployment.log(sender.name).suffix(2_000))")
      }
      let offset = (sender.started - start) / .seconds(1)
      for line in progress(of: sender) { timeline.add(accepted: line.count, at: offset + Double(line.second) - 0.5) }
      let file = "\(deployment.folder)/\(sender.name).accepted"
      try readings.add(outcomes: String(contentsOfFile: file, encoding: .utf8))
    }
    return readings
  }
}
