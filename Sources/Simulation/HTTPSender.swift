import Compression
import HTTPClient
import JSON
import Operations
import Readings

/// Sends a share of the fleet's readings over one HTTP connection, one request at a time. For one thread.
final class HTTPSender {
  private struct Pending {
    let identity: ReadingIdentity
    /// Where its line is.
    let line: Range<Int>
    /// Whether a try may have succeeded of which nothing is known.
    var mayBeAccepted = false
  }

  private let context: SenderContext
  private let share: FleetShare
  private let account: Account
  private let state: StateLog
  private var pacing: Pacing
  private let batch: Int
  private var nextBatch: Int
  private let client: HTTPClient
  private let parser = JSONParser()
  private let url: String
  private let headers: [(String, String)]
  private let usesGzip: Bool
  private var body = ByteBuffer(capacity: 16_384)
  private var repeated = ByteBuffer(capacity: 1_024)
  private var pending: [Pending] = []
  private var backoff = Backoff(base: .milliseconds(100), cap: .seconds(2))
  /// Set when no further request can succeed.
  private var isBroken = false

  /// - Parameters:
  ///   - batch: readings in a request, at most.
  ///   - firstBatch: readings in the first request, at most.
  init(
    _ http: SimulationPlan.HTTP, share: FleetShare, batch: Int, firstBatch: Int, pacing: Pacing, state: StateLog,
    context: SenderContext
  ) throws(HTTPClientError) {
    self.context = context
    self.share = share
    self.pacing = pacing
    self.batch = batch
    nextBatch = firstBatch
    self.state = state
    account = Account(share, tally: context.tally, file: context.file)
    var options = HTTPClient.Options()
    options.userAgent = "sluice-simulate"
    // What was sent twice without an id would be stored twice.
    options.resendsOnStaleConnection = context.plan.hasIDs
    client = try HTTPClient(options)
    url = http.address + (http.address.hasSuffix("/") ? "v1/readings" : "/v1/readings")
    usesGzip = http.usesGzip
    headers =
      [("Content-Type", http.batch == 1 ? "application/json" : "application/x-ndjson")]
      + (http.usesGzip ? [("Content-Encoding", "gzip")] : [])
  }

  /// Sends until the time is over, the readings are used up, or a stop is asked for.
  func run() {
    while !isBroken, !context.isStopping,
      let claim = pacing.claim(nextBatch, now: Clock.monotonicNanoseconds(), take: context.take)
    {
      nextBatch = batch
      let count = waitUntilDue(claim)
      guard count > 0 else { continue }
      compose(count)
      deliver()
    }
    account.close()
  }

  /// Waits for the last reading of a claim, or for the end, at which fewer of them are due.
  private func waitUntilDue(_ claim: Pacing.Claim) -> Int {
    let goal = min(claim.due, context.end ?? .max)
    while true {
      let now = Clock.monotonicNanoseconds()
      if now >= goal || context.isStopping { return claim.ripe(at: min(now, (context.end ?? .max) - 1)) }
      _ = context.wait(nanoseconds: goal - now)
    }
  }

  private func compose(_ count: Int) {
    body.truncate(to: 0)
    pending.removeAll(keepingCapacity: true)
    let now = Clock.nowMilliseconds()
    for _ in 0..<count {
      let start = body.count
      let identity = share.appendReading(at: now, to: &body)
      body.append(UInt8(ascii: "\n"))
      pending.append(Pending(identity: identity, line: start..<body.count))
    }
  }

  /// Sends what is pending until it is known what became of it, or there is no more time for that.
  private func deliver() {
    let start = Clock.monotonicNanoseconds()
    let deadline = context.repeatDeadline(start)
    let count = pending.count
    while true {
      let verdict = request(isWhole: pending.count == count)
      settle(verdict, start: start, isFinal: !context.plan.hasIDs || verdict.complaint != nil)
      let failed = verdict.fates.contains { $0 != .accepted }
      if !failed {
        backoff.reset()
        state.ok()
      }
      guard failed, !isBroken, !(pending.isEmpty && pacing.isOver(at: Clock.monotonicNanoseconds())) else { break }
      // Also before the next batch: a server that turns away is not to be hammered.
      let isStopping = context.wait(nanoseconds: backoff.next().nanoseconds)
      if pending.isEmpty || isStopping || Clock.monotonicNanoseconds() >= deadline { break }
    }
    for reading in pending { giveUp(reading) }
    pending.removeAll(keepingCapacity: true)
  }

  private func request(isWhole: Bool) -> Verdict {
    if !isWhole {
      repeated.truncate(to: 0)
      for reading in pending { repeated.append(UnsafeRawBufferPointer(rebasing: body.bytes[reading.line])) }
    }
    let bytes = isWhole ? body.bytes : repeated.bytes
    do throws(HTTPClientError) {
      let response: HTTPResponse
      if usesGzip {
        guard let packed = try? Deflater.compress(Array(bytes), .gzip, level: 1) else {
          isBroken = true
          return .notSent(pending.count, complaint: "no memory to compress a request")
        }
        response = try client.send("POST", url, headers: headers, body: packed, timeout: context.plan.answerTimeout)
      } else {
        response = try client.send("POST", url, headers: headers, body: bytes, timeout: context.plan.answerTimeout)
      }
      let verdict = Verdict(response, count: pending.count, parser: parser)
      if verdict.fates.contains(where: { $0 != .accepted }) {
        state.failing("\(response.status) \(String(response.text.prefix(200)))")
      }
      return verdict
    } catch {
      isBroken = error.code == .badRequest || error.code == .tls
      state.failing(error.message)
      return Verdict(error, count: pending.count)
    }
  }

  /// Books what is known, and keeps what is to be sent again.
  private func settle(_ verdict: Verdict, start: Int64, isFinal: Bool) {
    if let complaint = verdict.complaint { context.tally.complain(complaint) }
    let elapsed = Clock.monotonicNanoseconds() - start
    var kept = 0
    for (index, fate) in verdict.fates.enumerated() {
      var reading = pending[index]
      switch fate {
      case .accepted: account.accept(reading.identity, nanoseconds: elapsed)
      case .invalid: reading.mayBeAccepted ? account.lose(reading.identity) : account.refuse(reading.identity)
      case .turnedAway, .unknown:
        if fate == .unknown { reading.mayBeAccepted = true }
        if isFinal {
          giveUp(reading)
        } else {
          pending[kept] = reading
          kept += 1
        }
      }
    }
    pending.removeSubrange(kept...)
  }

  private func giveUp(_ reading: Pending) {
    if reading.mayBeAccepted { account.lose(reading.identity) } else { account.refuse(reading.identity) }
  }
}
