import Compression
import Dialects
import HTTP
import JSON
import Kafka
import Operations
import Publishing
import Readings
import Synchronization

/// One `POST /v1/readings`: takes the body, decodes it, hands its readings to Kafka, and answers when the last of them is
/// acknowledged or given up.
///
/// `@unchecked Sendable`: the body is touched by the connection's thread only, before the first reading is produced;
/// after that only `outcome` and `remaining` change, which guard themselves.
final class ReadingsRequest: BodyReceiver, DeliveryReceiver, @unchecked Sendable {
  private let route: ReadingsRoute
  private let framing: SluiceFormat.Framing
  private var body: [UInt8] = []
  private let inflater: Inflater?
  private let traceparent: [UInt8]?
  /// Bytes of the memory budget that this request holds.
  private var reserved: Int

  private struct Outcome {
    var undelivered: [Answers.Undelivered] = []
  }
  private let outcome = Mutex(Outcome())
  /// Readings without a report.
  private let remaining = Atomic(0)
  private var produced = 0
  private var errors: [ItemError] = []
  private var exchange: Exchange?

  init(
    _ route: ReadingsRoute, framing: SluiceFormat.Framing, encoding: MediaType.Encoding, length: Int,
    traceparent: [UInt8]?
  ) {
    self.route = route
    self.framing = framing
    self.traceparent = traceparent
    reserved = length
    switch encoding {
    case .identity: inflater = nil
    case .gzip: inflater = Inflater(.gzip, limit: route.limits.body)
    case .deflate: inflater = Inflater(.deflate, limit: route.limits.body)
    }
    body.reserveCapacity(length + JSONParser.padding)
  }

  deinit { route.memory.give(reserved) }

  func receive(_ piece: UnsafeRawBufferPointer) -> Response? {
    if let inflater {
      do {
        try inflater.feed(piece, appendingTo: &body)
      } catch .limitExceeded {
        return Answers.tooLarge(limit: route.limits.body)
      } catch {
        return Answers.malformed("the body is not what its Content-Encoding says: \(error)")
      }
    } else {
      guard piece.count <= route.limits.body - body.count else { return Answers.tooLarge(limit: route.limits.body) }
      body.append(contentsOf: piece)
    }
    let excess = body.count - reserved
    guard excess > 0 else { return nil }
    guard route.memory.take(excess) else { return Answers.busy }
    reserved += excess
    return nil
  }

  func finish(_ exchange: Exchange) -> Response? {
    if let inflater {
      do {
        try inflater.finish()
      } catch {
        return Answers.malformed("the body is not what its Content-Encoding says: \(error)")
      }
    }
    return route.workspaces.with { workspace in finish(exchange, workspace) }
  }

  private func finish(_ exchange: Exchange, _ workspace: Workspace) -> Response? {
    let now = route.now()
    if let refusal = decode(now, workspace) { return Answers.refused(refusal) }
    body = []
    produced = workspace.batch.count
    guard produced > 0 else { return Answers.outcome(produced: 0, errors: errors, undelivered: []) }
    guard route.publisher.hasRoom(for: produced) else { return Answers.queueFull }
    self.exchange = exchange
    remaining.store(produced, ordering: .relaxed)
    // Before producing: the first report may come before the last reading is handed over.
    exchange.suspend()
    route.publisher.publish(
      workspace.batch, headers: ReadingProducer.headers(source: "http", received: now, traceparent: traceparent),
      receiver: self, buffer: &workspace.buffer)
    return nil
  }

  private func decode(_ now: Int64, _ workspace: Workspace) -> BodyError? {
    let count = body.count
    body.append(contentsOf: repeatElement(0, count: JSONParser.padding))
    return body.withUnsafeBytes { bytes -> BodyError? in
      do throws(BodyError) {
        try SluiceFormat.decode(
          padded: UnsafeRawBufferPointer(rebasing: bytes[..<count]), framing: framing, now: now,
          context: workspace.context, into: workspace.batch, errors: &errors)
        return nil
      } catch {
        return error
      }
    }
  }

  /// The client went away: what was produced stays produced.
  func abandoned() {}

  func delivered(_ report: DeliveryReport) {
    if let error = report.error {
      outcome.withLock {
        $0.undelivered.append(
          Answers.Undelivered(index: report.index, mayBeStored: report.mayBeStored, error: error))
      }
    }
    guard remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    let undelivered = outcome.withLock { $0.undelivered }
    route.publisher.count(acknowledged: produced - undelivered.count, failed: undelivered.count)
    exchange?.respond(Answers.outcome(produced: produced, errors: errors, undelivered: undelivered))
    // The exchange holds this receiver: without this neither would ever be freed.
    exchange = nil
  }
}
