import Foundation
import HTTP
import HTTPClient
import Synchronization
import TestServers
import Testing

/// What was answered with 2xx is on the topic exactly once, and everything else at most once: counted on a real Kafka.
@Suite(.enabled(if: KafkaServer.isAvailable)) struct RealKafkaTests {
  /// A fleet of clients that each post numbered readings, alone and in batches, and note what they are told.
  final class Fleet: Sendable {
    private struct Notes {
      var accepted: [String: Set<Int>] = [:]
      var sent = 0
      var statuses: [Int: Int] = [:]
      var failures: [String] = []
    }

    private let served: Served
    private let notes = Mutex(Notes())
    private let isOver = Atomic(false)
    private let senders: Mutex<[Background<Void>]> = Mutex([])

    init(_ served: Served) { self.served = served }

    var sent: Int { notes.withLock { $0.sent } }
    var accepted: Int { notes.withLock { $0.accepted.values.reduce(0) { $0 + $1.count } } }
    var statuses: [Int: Int] { notes.withLock { $0.statuses } }
    var failures: [String] { notes.withLock { $0.failures } }

    /// Starts clients, each of which sends `count` readings, or goes on until `finish` when that is nil.
    func start(clients: Int, count: Int?) {
      for client in 0..<clients {
        let sender = Background { [self] in
          let connection = try HTTPClient()
          var next = 0
          var size = 1
          while count.map({ next < $0 }) ?? !isOver.load(ordering: .relaxed) {
            let numbers = next..<min(next + size, count ?? .max)
            try send(numbers, of: "device-\(client)", over: connection)
            next = numbers.upperBound
            size = size == 1 ? 20 : size == 20 ? 100 : 1
          }
        }
        senders.withLock { $0.append(sender) }
      }
    }

    func finish() throws {
      isOver.store(true, ordering: .relaxed)
      for sender in senders.withLock({ $0 }) { try sender.value() }
    }

    private func send(_ numbers: Range<Int>, of device: String, over connection: HTTPClient) throws {
      let items = numbers.map { reading(device, "n", value: "\($0)") }
      let body = numbers.count == 1 ? items[0] : "[\(items.joined(separator: ","))]"
      let answer = try connection.send(
        "POST", served.url, headers: [Served.json], body: Array(body.utf8), timeout: .seconds(60))
      var accepted = Set(numbers)
      switch answer.status {
      case 202: break
      case 207:
        let object = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        for error in object?["errors"] as? [[String: Any]] ?? [] {
          accepted.remove(numbers.lowerBound + (error["index"] as? Int ?? -1))
        }
        if accepted.count != object?["accepted"] as? Int { note("counts differ: \(answer.text.prefix(200))") }
      case 503:
        accepted = []
        if answer.header("Retry-After") == nil { note("no Retry-After: \(answer.text)") }
      default:
        accepted = []
        note("\(answer.status): \(answer.text.prefix(200))")
      }
      notes.withLock {
        $0.accepted[device, default: []].formUnion(accepted)
        $0.sent += numbers.count
        $0.statuses[answer.status, default: 0] += 1
      }
    }

    private func note(_ failure: String) { notes.withLock { $0.failures.append(failure) } }

    /// Compares what was answered with what is on the topic.
    func compare() throws {
      var stored: [String: [Int: Int]] = [:]
      for message in try served.stored() {
        let number = message.value.range(of: #""value":"#).flatMap { start in
          Int(message.value[start.upperBound...].prefix { $0.isNumber })
        }
        stored[message.key, default: [:]][try #require(number), default: 0] += 1
      }
      let repeated = stored.flatMap { device, numbers in numbers.filter { $0.value > 1 }.map { (device, $0.key) } }
      #expect(repeated.isEmpty, "stored more than once: \(repeated.prefix(10))")
      let accepted = notes.withLock { $0.accepted }
      for (device, numbers) in accepted {
        let missing = numbers.subtracting(stored[device, default: [:]].keys)
        #expect(missing.isEmpty, "accepted of \(device) and not stored: \(missing.sorted().prefix(10))")
      }
      #expect(failures.isEmpty, "\(failures.prefix(5))")
    }
  }

  /// Readings that the topic takes one by one are not sent in batches that it does not take.
  @Test func makesNoBatchesThatAreTooLarge() throws {
    var options = Served.Options()
    let kafka = try KafkaServer.shared()
    options.brokers = kafka.bootstrapServers
    options.deliveryTimeout = .seconds(60)
    try withServed(options) { served in
      try kafka.configure(served.topic, "max.message.bytes=350000")
      // All of one device, and so of one partition.
      let lines = (0..<10_000).map { _ in reading("one", "a-sensor-with-a-long-name-that-takes-some-room") + "\n" }
        .joined()
      let answer = try served.post(lines, [Served.lines])
      #expect(
        answer.status == 202 && answer.text == #"{"accepted":10000}"#, "\(answer.status) \(answer.text.prefix(300))")
    }
  }

  @Test func takesTwentyThousandReadings() throws {
    var options = Served.Options()
    options.brokers = try KafkaServer.shared().bootstrapServers
    options.deliveryTimeout = .seconds(60)
    try withServed(options) { served in
      let fleet = Fleet(served)
      fleet.start(clients: 8, count: 2_500)
      try fleet.finish()
      #expect(fleet.sent == 20_000 && fleet.accepted == 20_000)
      #expect(fleet.statuses.keys.sorted() == [202])
      try fleet.compare()
      #expect(try served.stored().count == 20_000)
      #expect(served.metric("sluice_kafka_acknowledged_total") == 20_000)
      #expect(served.metric("sluice_http_body_bytes") == 0)
    }
  }

  /// A broker that hangs in the middle of a stream, and one that is killed.
  @Test(arguments: [true, false])
  func survivesABrokerThatIsGone(_ hangs: Bool) throws {
    let kafka = try KafkaServer(nodes: 1)
    defer { try? kafka.stop() }
    var options = Served.Options()
    options.brokers = kafka.bootstrapServers
    options.deliveryTimeout = .seconds(2)
    try withServed(options) { served in
      let fleet = Fleet(served)
      fleet.start(clients: 6, count: nil)
      try eventually("readings flow") { fleet.accepted > 2_000 }
      if hangs { try kafka.pause() } else { try kafka.kill() }
      try served.waitUntilUnavailable()
      let refused = try served.post(reading("refused"), timeout: .seconds(5))
      #expect(refused.status == 503 && apiErrorCode(refused.text) == "unavailable")
      try eventually("what was in flight is given up") { served.metric("sluice_kafka_queue_messages") == 0 }
      if hangs { try kafka.resume() } else { try kafka.restart() }
      try served.waitUntilAvailable()
      let before = fleet.accepted
      try eventually("readings flow again") { fleet.accepted > before + 2_000 }
      try fleet.finish()
      #expect((fleet.statuses[503] ?? 0) > 0 && (fleet.statuses[202] ?? 0) > 0, "\(fleet.statuses)")
      try fleet.compare()
      #expect(try !served.stored().contains { $0.key == "refused" })
      #expect(served.metric("sluice_http_body_bytes") == 0 && served.server.requestsInProgress == 0)
    }
  }
}
