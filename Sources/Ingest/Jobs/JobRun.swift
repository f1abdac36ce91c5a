import Chunks
import Compression
import Dialects
import HTTP
import HTTPClient
import JSON
import Operations
import Publishing
import Readings

/// The carrying out of one job, by one thread: takes its bytes, unpacks and cuts them, decodes the pieces, and hands their
/// readings to Kafka as there is room.
final class JobRun {
  /// Redirects that are followed, one after the other.
  private static let redirectLimit = 5
  private static let saveInterval = Duration.seconds(1)

  private let task: JobTask
  private let service: JobService
  private let delivery: JobDelivery
  private var text: JobText
  private var inflater: Inflater?
  /// The first bytes, while it is not known whether they are packed.
  private var first: [UInt8]?
  private var decoder: ChunkDecoder?
  private let context: DecodingContext
  private var grant: Grant
  private var buffer = ByteBuffer(capacity: 4096)
  private var lastSave = Clock.monotonic()

  init(_ task: JobTask, _ service: JobService) {
    self.task = task
    self.service = service
    delivery = JobDelivery(task, patience: service.settings.patience)
    text = JobText(task.dialect)
    context = DecodingContext(parser: JSONParser(), bounds: task.route.limits.bounds, readingsLimit: .max)
    grant = task.grant
    switch task.packing {
    case .plain: break
    case .packed(let format): inflater = Inflater(format)
    case .unknown: first = []
    }
  }

  private var job: Job { task.job }

  /// Does all of it, and answers the request that brought it.
  func run() {
    do throws(JobEnd) {
      if let url = task.url { try fetch(url) } else { try receive() }
      // From here on it is better finished than ended.
      job.inbox.complete()
      try finishText()
      try delivery.finish(observing: saveNowAndThen)
      end(nil)
    } catch {
      delivery.drain()
      end(error)
    }
  }

  /// Ends the job, whose readings are all accounted for.
  func end(_ reason: JobEnd?) {
    let record = job.update { record in
      record.end(reason?.reason, at: task.route.now())
      return record
    }
    let exchange = job.inbox.close()
    service.finished(task)
    service.log.info(
      "job ended",
      [
        "id": .string(record.id), "state": .string(record.state.rawValue), "accepted": .int(record.accepted),
        "rejected": .int(record.rejected), "in_doubt": .int(record.inDoubt), "reason": .string(record.reason ?? ""),
      ])
    exchange?.cutOff(JobAnswers.ended(record, reason))
  }

  // MARK: Bytes

  /// Takes the body of a request.
  private func receive() throws(JobEnd) {
    var piece: [UInt8]? = []
    var lastPiece = Clock.monotonic()
    while true {
      // While nothing comes, a note is taken now and then of what was acknowledged.
      switch job.inbox.wait(timeout: Self.saveInterval, bytes: &piece) {
      case .landed(let flights): try delivery.land(flights)
      case .ended(let end): throw end
      case .complete: return
      case .nothing:
        if Clock.monotonic() - lastPiece > service.settings.silence { throw .silent(service.settings.silence) }
      case .bytes:
        var bytes = piece ?? []
        piece = nil
        try feed(bytes)
        bytes.removeAll(keepingCapacity: true)
        piece = bytes
        lastPiece = Clock.monotonic()
      }
      try delivery.retry()
      saveNowAndThen()
    }
  }

  /// Fetches what the job names.
  private func fetch(_ start: FetchURL) throws(JobEnd) {
    var url = start
    for _ in 0...Self.redirectLimit {
      let answer = try get(url)
      if answer.status == 200 { return }
      guard let redirect = answer.redirect else {
        throw .unreachable("\(url.withoutQuery): the server answered \(answer.status)")
      }
      guard let next = FetchURL(redirect), service.settings.allowance.allows(next) else {
        throw .unreachable("\(url.withoutQuery): the server redirects to where jobs may not fetch from")
      }
      url = next
    }
    throw .unreachable("\(start.withoutQuery): more than \(Self.redirectLimit) redirects")
  }

  private func get(_ url: FetchURL) throws(JobEnd) -> HTTPClient.Streamed {
    var end: JobEnd?
    func attempt(_ body: () throws(JobEnd) -> Void) -> Bool {
      do throws(JobEnd) { try body() } catch { end = end ?? error }
      return end == nil
    }
    // They are called by this thread, and only until this returns.
    do throws(HTTPClientError) {
      return try HTTPClient().stream(url.text, silence: service.settings.silence) {
        attempt { () throws(JobEnd) in
          try self.delivery.look()
          self.saveNowAndThen()
        }
      } take: { piece in
        attempt { () throws(JobEnd) in try self.feed(piece) }
      }
    } catch {
      if let end { throw end }
      if error.code == .timeout { throw .silent(service.settings.silence) }
      throw .unreachable("\(url.withoutQuery): \(error.message.replacing(url.text, with: url.withoutQuery))")
    }
  }

  private func feed(_ bytes: [UInt8]) throws(JobEnd) {
    // The function that lends bytes does not know typed errors.
    let result = bytes.withUnsafeBytes { bytes -> Result<Void, JobEnd> in
      do throws(JobEnd) { return .success(try feed(bytes)) } catch { return .failure(error) }
    }
    try result.get()
  }

  /// Takes a piece as it came.
  private func feed(_ piece: UnsafeRawBufferPointer) throws(JobEnd) {
    job.update { $0.read(bytes: piece.count) }
    guard var start = first else { return try unpack(piece) }
    start.append(contentsOf: piece)
    first = start
    if start.count >= 2 { try decideAboutPacking() }
    saveNowAndThen()
  }

  private func decideAboutPacking() throws(JobEnd) {
    guard let start = first else { return }
    first = nil
    if start.starts(with: [0x1f, 0x8b]) { inflater = Inflater(.gzip) }
    let result = start.withUnsafeBytes { bytes -> Result<Void, JobEnd> in
      do throws(JobEnd) { return .success(try unpack(bytes)) } catch { return .failure(error) }
    }
    try result.get()
  }

  private func unpack(_ piece: UnsafeRawBufferPointer) throws(JobEnd) {
    guard let inflater else {
      text.append(piece)
      return try takeText(isLast: false)
    }
    var end: JobEnd?
    do {
      try inflater.inflate(piece) { unpacked in
        text.append(unpacked)
        do throws(JobEnd) { try takeText(isLast: false) } catch { end = error }
        return end == nil
      }
    } catch {
      throw .broken("the body is not what it is said to be packed with: \(error)")
    }
    if let end { throw end }
  }

  private func finishText() throws(JobEnd) {
    try decideAboutPacking()
    do {
      try inflater?.finish()
    } catch {
      throw .broken("the body is not what it is said to be packed with: \(error)")
    }
    try takeText(isLast: true)
  }

  // MARK: Text

  private func takeText(isLast: Bool) throws(JobEnd) {
    while true {
      let part: JobText.Part
      do throws(ChunkDecoder.Unusable) {
        part = try text.next(isLast: isLast)
        if case .header(let header) = part {
          decoder = try ChunkDecoder(
            task.dialect, mapping: task.mapping, device: nil, header: header, context: context)
        }
      } catch {
        throw .broken(error.reason)
      }
      switch part {
      case .more, .end: return
      case .header: continue
      case .tooLong(let line):
        decoder?.skipRecord()
        try refuse([.init(line: line, reason: "is longer than \(JobText.recordLimit >> 20) MiB")])
      case .chunk(let count, let lines, let records): try take(count, lines, records)
      }
    }
  }

  private func take(_ count: Int, _ lines: Int, _ records: [ChunkRecord]) throws(JobEnd) {
    // The key may have been revoked meanwhile.
    guard case .success(let renewed) = task.route.authenticator.renew(grant, dialect: JobsRoute.dialect(task.format))
    else { throw .key }
    grant = renewed
    let batch = delivery.emptyBatch()
    let first = text.line
    let now = task.route.now()
    let decoded: ChunkDecoder.Decoded?
    do {
      decoded = try text.withBytes { bytes in
        Result {
          try decoder?.decode(
            UnsafeRawBufferPointer(rebasing: bytes[..<count]), records: records, line: first, identity: task.key,
            now: now, into: batch, buffer: &buffer)
        }
      }.get()
    } catch {
      throw .broken((error as? ChunkDecoder.Unusable)?.reason ?? "\(error)")
    }
    text.take(count: count, lines: lines)
    guard let decoded else { return }
    let chunk = JobChunk(lines: first..<text.line, places: decoded.places)
    var forbidden: [ItemError] = []
    grant.filter(batch, errors: &forbidden)
    let places = chunk.lines(of: forbidden.map { UInt32($0.index) })
    let faults =
      decoded.refusals.map { JobRecord.Fault(line: $0.line, reason: $0.reason) }
      + zip(places, forbidden).map { JobRecord.Fault(line: $0, reason: "\($1.error)") }
    try pace(batch.count + faults.count)
    try refuse(faults.sorted { $0.line < $1.line })
    try delivery.send(batch, from: chunk, observing: saveNowAndThen)
    saveNowAndThen()
  }

  private func refuse(_ faults: [JobRecord.Fault]) throws(JobEnd) {
    guard !faults.isEmpty else { return }
    job.update { $0.reject(faults) }
    task.route.refused.increment(by: faults.count)
  }

  /// Waits until the rate allows so many readings.
  private func pace(_ count: Int) throws(JobEnd) {
    var left = count
    while true {
      left -= grant.take(upTo: left)
      if left == 0 { return }
      try delivery.look(timeout: .milliseconds(100))
      saveNowAndThen()
    }
  }

  private func saveNowAndThen() {
    guard Clock.monotonic() - lastSave >= Self.saveInterval else { return }
    lastSave = Clock.monotonic()
    service.save(job)
  }
}
