import Foundation
import HTTP
import HTTPClient
import Ingest
import Kafka
import Keys
import Operations
import Publishing
import Readings
import TestServers
import WebSocket

/// The API on a port of its own, with a Kafka in this process or a real one behind it.
final class Served: Sendable {
  struct Options {
    var deliveryTimeout: Duration = .seconds(10)
    var queueMessages = 100_000
    var body = 8 << 20
    var readings = 10_000
    var memory = 64 << 20
    var bodyTimeout: Duration = .seconds(20)
    var streams = WebSocketServer.Configuration()
    var tls: HTTPServer.TLSFiles?
    /// Whether Kafka answers when the API starts.
    var isKafkaUp = true
    /// Keys that clients need; nil: none.
    var keys: KeyRing?
    var others = CrossOrigin.Others.answered
    /// Brokers other than the cluster of this process.
    var brokers: String?
    var jobs: JobSettings?
  }

  let topic = "sensor-data-\(UUID().uuidString.prefix(8))"
  let metrics = Metrics()
  let health = Health()
  let cluster: MockCluster?
  let server: HTTPServer
  let streams: WebSocketServer
  let jobService: JobService
  private let brokers: String
  private let link: KafkaLink
  private let supervisor: Supervisor
  private static let partitions = 4

  init(_ options: Options = Options()) throws {
    if let brokers = options.brokers {
      cluster = nil
      self.brokers = brokers
      let admin = try Admin(KafkaConfiguration(brokers: brokers))
      defer { admin.close() }
      _ = try admin.createTopic(topic, partitions: Self.partitions, replication: 1, timeout: .seconds(90))
    } else {
      let cluster = try MockCluster()
      try cluster.createTopic(topic, partitions: Self.partitions)
      if !options.isKafkaUp { try cluster.setBroker(1, up: false) }
      self.cluster = cluster
      brokers = cluster.bootstrapServers
    }
    let log = Log(component: "test", level: .error)
    supervisor = Supervisor(log: log)
    link = try KafkaLink(
      KafkaLink.Configuration(
        kafka: KafkaConfiguration(brokers: brokers), topics: [topic], deliveryTimeout: options.deliveryTimeout,
        queueMessages: options.queueMessages, queueBytes: 64 << 20, linger: .milliseconds(2)),
      log: log, health: health, metrics: metrics)
    link.start(under: supervisor)
    var configuration = HTTPServer.Configuration(listen: HTTP.ListenAddress(host: "127.0.0.1", port: 0))
    configuration.bodyTimeout = options.bodyTimeout
    configuration.tls = options.tls
    configuration.crossOrigin.others = options.others
    var streaming = options.streams
    streaming.messageLimit = options.body
    let streams = try WebSocketServer(streaming)
    self.streams = streams
    for loop in streams.loops { supervisor.start("stream", mayEnd: true) { loop.run() } }
    let jobs = try JobService(options.jobs ?? JobSettings(allowance: FetchAllowance()), log: log, metrics: metrics)
    jobService = jobs
    for _ in 0..<jobs.threadCount { supervisor.start("job", mayEnd: true) { jobs.work() } }
    server = try HTTPServer(
      configuration,
      handler: IngestService(
        publisher: ReadingProducer(link, topic: topic),
        limits: IngestLimits(
          body: options.body, readings: options.readings, memory: options.memory,
          bounds: TimeBounds(futureTolerance: 300_000, retention: 90 * 86_400_000)),
        metrics: metrics,
        authenticator: options.keys.map { [metrics] in Authenticator(ring: $0, metrics: metrics) }, streams: streams,
        jobs: jobs, log: log))
    if options.isKafkaUp { try waitUntilAvailable() }
  }

  /// Ends it in the order in which a process does.
  func stop() {
    server.quiesce()
    jobService.stop(timeout: .seconds(5))
    streams.stop(timeout: .seconds(5))
    server.stop(timeout: .seconds(5))
    link.close(timeout: .seconds(5))
    supervisor.requestStop()
    _ = supervisor.join(timeout: .seconds(10))
    cluster?.close()
  }

  var url: String { "http://127.0.0.1:\(server.port)/v1/readings" }
  var unavailability: String? { link.unavailability }

  func waitUntilAvailable() throws { try eventually("Kafka is available") { link.unavailability == nil } }
  func waitUntilUnavailable() throws { try eventually("Kafka is found unavailable") { link.unavailability != nil } }

  func metric(_ series: String) -> Int {
    String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n")
      .first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.count + 1)) }.map { Int($0) } ?? 0
  }

  static let json = ("Content-Type", "application/json")
  static let lines = ("Content-Type", "application/x-ndjson")

  /// Posts on a connection of its own.
  func post(_ body: [UInt8], _ headers: [(String, String)] = [json], timeout: Duration = .seconds(60)) throws
    -> HTTPResponse
  {
    try HTTPClient().send("POST", url, headers: headers, body: body, timeout: timeout)
  }

  func post(_ body: String, _ headers: [(String, String)] = [json], timeout: Duration = .seconds(60)) throws
    -> HTTPResponse
  {
    try post(Array(body.utf8), headers, timeout: timeout)
  }

  /// One message of the topic.
  struct Stored {
    let key: String
    let value: String
    let headers: [(String, [UInt8]?)]
  }

  /// Everything that is on the topic now.
  func stored() throws -> [Stored] {
    var configuration = KafkaConfiguration(brokers: brokers)
    configuration.set("fetch.wait.max.ms", "50")
    let consumer = try Consumer(configuration)
    defer { consumer.close() }
    let partitions = (0..<Int32(Self.partitions)).map { TopicPartition(topic: topic, partition: $0) }
    var missing = 0
    for partition in partitions {
      let marks = try consumer.watermarks(of: partition, timeout: .seconds(30))
      missing += Int(marks.high - marks.low)
    }
    try consumer.assign(Dictionary(uniqueKeysWithValues: partitions.map { ($0, Consumer.earliest) }))
    var messages: [Stored] = []
    messages.reserveCapacity(missing)
    let deadline = ContinuousClock.now + .seconds(60)
    while messages.count < missing {
      if ContinuousClock.now > deadline { throw TestServerError("read only \(messages.count) of \(missing) messages") }
      guard case .message(let message)? = consumer.poll(timeout: .seconds(1)) else { continue }
      messages.append(
        Stored(
          key: message.withKey { $0.map { String(decoding: $0, as: UTF8.self) } ?? "" },
          value: message.withValue { $0.map { String(decoding: $0, as: UTF8.self) } ?? "" }, headers: message.headers))
    }
    return messages
  }
}

/// Runs a test with an API, and ends it whatever happens.
func withServed(_ options: Served.Options = .init(), _ body: (Served) throws -> Void) throws {
  let served = try Served(options)
  defer { served.stop() }
  try body(served)
}

/// A connection that sends what no well-behaved client does.
final class RawConnection: Sendable {
  private let descriptor: Int32

  init(_ port: UInt16) throws {
    descriptor = try TestServers.connect(port)
    var timeout = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Sends all of it, as far as the peer takes it.
  /// - Returns: whether it took all.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: rest)
        let count = Foundation.send(descriptor, part.baseAddress, part.count, Int32(MSG_NOSIGNAL))
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
      }
      return true
    }
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// The head of a POST of readings.
  @discardableResult
  func sendHead(_ fields: String...) -> Bool {
    send("POST /v1/readings HTTP/1.1\r\nHost: test\r\n" + fields.map { "\($0)\r\n" }.joined() + "\r\n")
  }

  /// Whether there is an answer, or the end of the connection, to read.
  var isReadable: Bool {
    var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&state, 1, 0) > 0
  }

  /// Reads one answer.
  func receive() throws -> (status: Int, text: String) {
    let answer = try receiveWhole()
    return (answer.status, String(decoding: answer.body, as: UTF8.self))
  }

  /// The same with its header.
  func receiveWhole() throws -> (status: Int, headers: [(String, String)], body: [UInt8]) {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      let text = String(decoding: bytes, as: UTF8.self)
      if let end = text.range(of: "\r\n\r\n") {
        let head = text[..<end.lowerBound]
        let length =
          head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
          .flatMap { Int($0.split(separator: ":")[1].trimmingCharacters(in: .whitespaces)) } ?? 0
        let body = text[end.upperBound...]
        if body.utf8.count >= length {
          let fields = head.split(separator: "\r\n").dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            return (parts[0], parts.count > 1 ? parts[1] : "")
          }
          return (Int(head.dropFirst(9).prefix(3)) ?? 0, fields, Array(body.utf8))
        }
      }
      let count = recv(descriptor, &piece, piece.count, 0)
      guard count > 0 else {
        let end = count == 0 ? "closed" : String(cString: strerror(errno))
        throw TestServerError("the connection ended (\(end)) after: \(text.prefix(500))")
      }
      bytes += piece[..<count]
    }
  }

  /// Ends the connection at once, as a client that crashed does.
  func reset() {
    var lingering = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &lingering, socklen_t(MemoryLayout<linger>.size))
    // The descriptor stays this object's; the socket behind it is shut.
    shutdown(descriptor, Int32(SHUT_RDWR))
  }
}

/// Runs a body on a thread and keeps its result.
final class Background<Result: Sendable>: Sendable {
  private let done = DispatchSemaphore(value: 0)
  nonisolated(unsafe) private var result: Swift.Result<Result, any Error>?

  init(_ body: @escaping @Sendable () throws -> Result) {
    Thread.detachNewThread { [self] in
      result = Swift.Result { try body() }
      done.signal()
    }
  }

  var hasEnded: Bool {
    guard done.wait(timeout: .now()) == .success else { return false }
    done.signal()
    return true
  }

  /// Waits for the end; once.
  func value() throws -> Result {
    done.wait()
    return try result!.get()
  }
}
