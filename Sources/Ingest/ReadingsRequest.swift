import Compression
import Dialects
import HTTP
import JSON
import Kafka
import Keys
import Operations
import Publishing
import Readings
import Synchronization

/// One request that brings readings, in whichever dialect, or one message of a stream: takes the body, decodes it, hands its
/// readings to Kafka, and answers when the last of them is acknowledged or given up.
///
/// `@unchecked Sendable`: all but `undelivered` and `remaining`, which guard themselves, is written by the connection's
/// thread before the first reading is produced, and then only by the last report, which follows all others.
final class ReadingsRequest: BodyReceiver, DeliveryReceiver, @unchecked Sendable {
  private let route: ReadingsRoute
  private let grant: Grant
  private let dialect: any RequestDialect
  private var body: [UInt8] = []
  private let inflater: Inflater?
  /// Bytes that came in, to be unpacked.
  private var packed = 0
  /// nil: it does not wait for its turn.
  private let turns: Turns?
  private var turn: Turn?
  private let key: IdempotencyKey?
  private let traceparent: [UInt8]?
  /// Bytes of the memory budget that this request holds: for its body, then for what is said about its errors.
  private var reserved: Int

  private let undelivered = Mutex<[(index: Int, failure: Outcome.Undelivered)]>([])
  /// Readings without a report.
  private let remaining = Atomic(0)
  private var produced = 0
  /// The items that the readings came from, where there are several.
  private var items: [UInt32] = []
  private var errors: [ItemError] = []
  private var exchange: Exchange?

  private static let padding = [UInt8](repeating: 0, count: JSONParser.padding)
  /// Bytes that an error of an item takes, here and in the answer; one with both of its times takes 400.
  private static let errorSize = 512

  init(
    _ route: ReadingsRoute, grant: Grant, dialect: any RequestDialect, encoding: MediaType.Encoding, length: Int,
    key: IdempotencyKey?, traceparent: [UInt8]?, turns: Turns? = nil
  ) {
    self.route = route
    self.grant = grant
    self.dialect = dialect
    self.key = key
    self.turns = turns
    self.traceparent = traceparent
    reserved = length
    switch encoding {
    case .identity: inflater = nil
    case .gzip: inflater = Inflater(.gzip, limit: route.limits.body)
    case .deflate: inflater = Inflater(.deflate, limit: route.limits.body)
    }
    body.reserveCapacity(length + JSONParser.padding)
  }

  deinit { route.memory.give(reserved, of: grant.account.bytes) }

  func receive(_ piece: UnsafeRawBufferPointer) -> Response? { refusal(of: piece).map(dialect.told) }

  private func refusal(of piece: UnsafeRawBufferPointer) -> Response? {
    guard let inflater else {
      guard piece.count <= route.limits.body - body.count else { return Answers.tooLarge(limit: route.limits.body) }
      return keep(piece) ? nil : Answers.busy
    }
    // A stream can be long and unpack to nothing.
    packed += piece.count
    guard packed <= route.limits.body else { return Answers.tooLarge(limit: route.limits.body) }
    var isKept = true
    do {
      try inflater.inflate(piece) { unpacked in
        isKept = keep(unpacked)
        return isKept
      }
    } catch .limitExceeded {
      return Answers.tooLarge(limit: route.limits.body)
    } catch {
      return Answers.malformed("the body is not what its Content-Encoding says: \(error)")
    }
    return isKept ? nil : Answers.busy
  }

  /// Adds to the body, if there is memory for it.
  private func keep(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard body.count + bytes.count <= reserved || reserve(body.count + bytes.count) else { return false }
    body.append(contentsOf: bytes)
    return true
  }

  /// Takes from the memory budget, or gives back, so that this request holds that many bytes.
  private func reserve(_ count: Int) -> Bool {
    let bytes = grant.account.bytes
    guard count <= reserved || route.memory.take(count - reserved, for: bytes, own: reserved) else { return false }
    if count < reserved { route.memory.give(reserved - count, of: bytes) }
    reserved = count
    return true
  }

  func finish(_ exchange: Exchange) -> Response? {
    if let turns, turn == nil {
      let (turn, hasCome) = turns.turn(of: grant.account, exchange)
      self.turn = turn
      guard hasCome else { return nil }
    }
    if let inflater {
      do {
        try inflater.finish()
      } catch {
        return dialect.told(refuse(Answers.malformed("the body is not what its Content-Encoding says: \(error)")))
      }
    }
    let answer = route.workspaces.with(bodySize: body.count) { workspace in finish(exchange, workspace) }
    guard let answer, answer.status == 429 else { return answer.map(dialect.told) }
    exchange.respondLater(dialect.told(answer))
    return nil
  }

  private func finish(_ exchange: Exchange, _ workspace: Workspace) -> Response? {
    let now = route.now()
    if let refusal = decode(now, workspace) {
      // Looking at what is none costs as much as at a reading.
      return refuse(grant.take(readings: 1)?.response ?? refusal)
    }
    body = []
    let items = workspace.batch.count + errors.count
    if let refusal = grant.take(readings: items) { return refuse(refusal.response) }
    grant.filter(workspace.batch, errors: &errors)
    produced = workspace.batch.count
    // A small body can have an answer many times its size, and a client may be slow to read it.
    guard reserve(min(errors.count * Self.errorSize, route.limits.memory)) else { return forgive(Answers.busy, items) }
    guard produced > 0 else {
      route.refused.increment(by: errors.count)
      return dialect.answer(Outcome(produced: 0, errors: errors, undelivered: []))
    }
    if produced > 1 { self.items = workspace.batch.readings.map(\.item) }
    key?.identify(workspace.batch, buffer: &workspace.buffer)
    // Kafka may have gone while the body came in.
    if let reason = route.publisher.unavailability { return forgive(Answers.unavailable(reason), items) }
    let account = grant.account
    guard route.waiting.take(produced, for: account.readings) else { return forgive(Answers.shareTaken, items) }
    guard route.publisher.hasRoom(for: produced) else {
      route.waiting.give(produced, of: account.readings)
      return forgive(Answers.queueFull, items)
    }
    self.exchange = exchange
    remaining.store(produced, ordering: .relaxed)
    // Before producing: the first report may come before the last reading is handed over.
    exchange.suspend()
    route.publisher.publish(
      workspace.batch,
      headers: ReadingProducer.headers(source: dialect.source, received: now, traceparent: traceparent),
      receiver: self, buffer: &workspace.buffer)
    return nil
  }

  /// Lets go of all that is not needed any more: the client may be slow to read its answer.
  private func refuse(_ answer: Response) -> Response {
    body = []
    errors = []
    _ = reserve(0)
    return answer
  }

  /// Refuses items through no fault of the client's: they do not count against its rate.
  private func forgive(_ answer: Response, _ items: Int) -> Response {
    grant.give(readings: items)
    return refuse(answer)
  }

  private func decode(_ now: Int64, _ workspace: Workspace) -> Response? {
    let count = body.count
    body += Self.padding
    return body.withUnsafeBytes { bytes in
      dialect.decode(
        UnsafeRawBufferPointer(rebasing: bytes[..<count]), now: now, context: workspace.context, into: workspace.batch,
        errors: &errors)
    }
  }

  /// The client went away: what was produced stays produced.
  func abandoned() {}

  func delivered(_ report: DeliveryReport) {
    if let error = report.error {
      undelivered.withLock {
        let item = items.isEmpty ? 0 : Int(items[report.index])
        $0.append((report.index, Outcome.Undelivered(item: item, mayBeStored: report.mayBeStored, error: error)))
      }
    }
    guard remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    route.waiting.give(produced, of: grant.account.readings)
    let undelivered = undelivered.withLock { $0.isEmpty ? [] : $0.sorted { $0.index < $1.index }.map(\.failure) }
    route.publisher.count(acknowledged: produced - undelivered.count, failed: undelivered.count)
    route.refused.increment(by: errors.count)
    exchange?.respond(dialect.answer(Outcome(produced: produced, errors: errors, undelivered: undelivered)))
    // The exchange holds this receiver: without this neither would ever be freed.
    exchange = nil
  }
}
