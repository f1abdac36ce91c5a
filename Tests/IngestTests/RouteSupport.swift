import Foundation
import HTTP
import Ingest
import Kafka
import Operations
import Readings
import Synchronization
import Testing
import WebSocket

/// Takes readings instead of Kafka; the test says what becomes of each, and when.
final class FakePublisher: ReadingPublisher {
  private struct State {
    var unavailability: String?
    var room = Int.max
    var published: [String] = []
    var waiting: [(receiver: any DeliveryReceiver, index: Int)] = []
    /// Of those that wait.
    var devices: [String] = []
    var counted = (acknowledged: 0, failed: 0)
  }

  private let state = Mutex(State())
  /// Reports inside `publish`, before it returns.
  let reportsAtOnce: Bool

  init(reportsAtOnce: Bool = false) { self.reportsAtOnce = reportsAtOnce }

  var unavailability: String? {
    get { state.withLock { $0.unavailability } }
    set { state.withLock { $0.unavailability = newValue } }
  }
  var room: Int {
    get { state.withLock { $0.room } }
    set { state.withLock { $0.room = newValue } }
  }
  /// The JSON of all readings so far.
  var published: [String] { state.withLock { $0.published } }
  var counted: (acknowledged: Int, failed: Int) { state.withLock { $0.counted } }

  func hasRoom(for count: Int) -> Bool { count <= room }

  func publish(
    _ batch: ReadingBatch, headers: MessageHeaders, receiver: any DeliveryReceiver, buffer: inout ByteBuffer
  ) {
    for (index, reading) in batch.readings.enumerated() {
      buffer.truncate(to: 0)
      ReadingEncoder.encode(reading, of: batch, into: &buffer)
      let text = String(decoding: buffer.bytes, as: UTF8.self)
      state.withLock {
        $0.published.append(text)
        if !reportsAtOnce {
          $0.waiting.append((receiver, index))
          $0.devices.append(String(decoding: batch[reading.device], as: UTF8.self))
        }
      }
      if reportsAtOnce { receiver.delivered(DeliveryReport(index: index)) }
    }
  }

  func count(acknowledged: Int, failed: Int) {
    state.withLock { $0.counted = ($0.counted.acknowledged + acknowledged, $0.counted.failed + failed) }
  }

  /// Takes the readings without a report, in the order of their publishing.
  func takeWaiting() -> [(receiver: any DeliveryReceiver, index: Int)] {
    state.withLock { state in
      defer { (state.waiting, state.devices) = ([], []) }
      return state.waiting
    }
  }

  /// The same, of one device alone.
  func takeWaiting(device: String) -> [(receiver: any DeliveryReceiver, index: Int)] {
    state.withLock { state in
      let all = zip(state.waiting, state.devices)
      let taken = all.filter { $0.1 == device }.map(\.0)
      let left = all.filter { $0.1 != device }
      (state.waiting, state.devices) = (left.map(\.0), left.map(\.1))
      return taken
    }
  }

  /// Reports all that wait, as delivered or with the error that the index is given.
  func report(_ failure: (Int) -> DeliveryReport? = { _ in nil }) {
    for (receiver, index) in takeWaiting() { receiver.delivered(failure(index) ?? DeliveryReport(index: index)) }
  }
}

extension DeliveryReport {
  /// As a message that was sent and not acknowledged in time.
  static func timedOut(_ index: Int) -> DeliveryReport {
    DeliveryReport(index: index, error: KafkaError(.messageTimedOut), mayBeStored: true)
  }

  /// As a message that never left the queue.
  static func refused(_ index: Int, _ code: KafkaError.Code = .queueFull) -> DeliveryReport {
    DeliveryReport(index: index, error: KafkaError(code), mayBeStored: false)
  }
}

/// The API with no sockets.
struct Routes {
  static let now: Int64 = 1_795_227_318_070
  let publisher: FakePublisher
  let service: IngestService
  let metrics: Metrics

  init(
    _ publisher: FakePublisher = FakePublisher(reportsAtOnce: true), body: Int = 64 << 10, readings: Int = 1_000,
    memory: Int = 1 << 20, waiting: Int = .max, metrics: Metrics = Metrics(), authenticator: Authenticator? = nil,
    streams: WebSocketServer? = nil, dialects: DialectSettings = DialectSettings()
  ) {
    self.metrics = metrics
    self.publisher = publisher
    service = IngestService(
      publisher: publisher,
      limits: IngestLimits(
        body: body, readings: readings, memory: memory, waiting: waiting,
        bounds: TimeBounds(futureTolerance: 300_000, retention: 86_400_000)),
      metrics: metrics, authenticator: authenticator, streams: streams, dialects: dialects, now: { Self.now })
  }

  /// Bytes of the memory budget in use.
  var bytesHeld: Int { metric("sluice_http_body_bytes") ?? -1 }

  func metric(_ series: String) -> Int? {
    String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n")
      .first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.count + 1)) }.map { Int($0) }
  }

  /// Begins a request whose body is to follow.
  func begin(
    _ method: HTTP.Method = .post, _ path: String = "/v1/readings", headers: [(String, String)] = [],
    length: Int?, isChunked: Bool = false, peer: String = "127.0.0.1"
  ) -> Request {
    let disposition = service.begin(
      RequestHead(
        method: method, path: path, headers: headers, contentLength: length.map { Int64($0) }, isChunked: isChunked,
        peer: peer))
    return Request(disposition)
  }

  /// Sends a whole request, its body in pieces of that size.
  func send(
    _ body: [UInt8], _ headers: [(String, String)] = [], isChunked: Bool = false, piece: Int = 1_000
  ) -> Request {
    let request = begin(headers: headers, length: isChunked ? nil : body.count, isChunked: isChunked)
    var rest = body[...]
    while !rest.isEmpty, request.answer == nil {
      request.send(Array(rest.prefix(piece)))
      rest = rest.dropFirst(piece)
    }
    request.finish()
    return request
  }

  func send(_ body: String, _ headers: [(String, String)] = []) -> Request { send(Array(body.utf8), headers) }
}

/// One request, and what was answered.
final class Request: Sendable {
  // The tests drive a request from one thread; reports of others only add answers.
  nonisolated(unsafe) private var receiver: (any BodyReceiver)?
  private let answers = Mutex<[Response]>([])
  // Made at the beginning, as by a server.
  nonisolated(unsafe) private var exchange: Exchange?

  init(_ disposition: Disposition) {
    switch disposition {
    case .respond(let response): answers.withLock { $0.append(response) }
    case .receive(let receiver): self.receiver = receiver
    case .upgrade: Issue.record("an upgrade needs a connection")
    }
    let exchange = Exchange { [weak self] response in self?.answers.withLock { $0.append(response) } }
    self.exchange = exchange
    receiver?.began(exchange)
  }

  func send(_ piece: [UInt8]) {
    if let refusal = piece.withUnsafeBytes({ receiver?.receive($0) }) {
      receiver = nil
      answers.withLock { $0.append(refusal) }
    }
  }

  func finish() {
    guard let receiver, let exchange else { return }
    if let answer = receiver.finish(exchange) { exchange.respond(answer) }
  }

  func abandon() {
    receiver?.abandoned()
    receiver = nil
  }

  /// What the server does once the answer is sent.
  func forget() { receiver = nil }

  func watch() -> Watch { Watch(object: receiver) }

  struct Watch {
    weak var object: (any BodyReceiver)?
  }

  /// How often it was answered.
  var answerCount: Int { answers.withLock { $0.count } }
  var answer: Response? { answers.withLock { $0.first } }
  var status: Int? { answer?.status }
  var text: String {
    switch answer?.body {
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .constant(let text): "\(text)"
    case nil, .some(.none): ""
    }
  }
  func header(_ name: String) -> String? { answer?.headers.first { $0.0 == name }?.1 }

  /// The code of `{"error":{"code":…,"message":…}}`; nil for another body.
  var errorCode: String? { apiErrorCode(text) }
}

/// The code of `{"error":{"code":…,"message":…}}`; nil for another body, or one without a message.
func apiErrorCode(_ text: String) -> String? {
  let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
  guard let error = object?["error"] as? [String: String], error["message"]?.isEmpty == false else { return nil }
  return error["code"]
}

func reading(_ device: String = "d", _ sensor: String = "s", value: String = "1") -> String {
  #"{"device":"\#(device)","sensor":"\#(sensor)","value":\#(value)}"#
}
