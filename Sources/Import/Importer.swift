import Chunks
import Dialects
import Glibc
import JSON
import Kafka
package import Operations
package import Publishing
import Readings
import Synchronization

/// Puts the readings of files on the topic, file after file, chunk after chunk, and keeps in mind up to where Kafka has
/// acknowledged them all.
///
/// `@unchecked Sendable`: one thread runs it; others see only `progress`, which has a lock.
package final class Importer: @unchecked Sendable {
  /// Why an import ends before its files do.
  package struct Failure: Error, Equatable {
    package let reason: String
  }

  /// A chunk on its way to Kafka.
  private typealias ChunkFlight = Flight<ChunkEnd>

  /// Where a chunk ends, and how much of it is no reading.
  private struct ChunkEnd {
    let offset: Int
    let line: Int
    let rejected: Int
  }

  /// Errors that are told.
  private static let errorLimit = 100
  /// Readings, bytes of texts and chunks that wait for their acknowledgements, at most, or else a single chunk.
  private static let window = (readings: 20_000, bytes: 8 << 20, chunks: 64)
  private static let saveInterval = Duration.milliseconds(200)

  private let plan: ImportPlan
  private let producer: ReadingProducer
  private let supervisor: Supervisor
  private let delivery: StateLog
  private let tell: (String) -> Void
  private let shared: Mutex<ImportProgress>

  private var state = ImportState()
  private let context: DecodingContext
  private let finished = BoundedQueue<ChunkFlight>(capacity: window.chunks + 1)
  private var flights: [ChunkFlight] = []
  private var refused: [ChunkFlight] = []
  private var spare: [ReadingBatch] = []
  private var waiting = (readings: 0, bytes: 0)
  private var buffer = ByteBuffer(capacity: 4096)
  /// The file that is being imported.
  private var key = ""
  private var errors = 0
  private var hasProblem = false
  private var lastSave = Duration.zero
  private var lastProgress = Duration.zero

  /// - Parameters:
  ///   - producer: its link is started.
  ///   - tell: gets a line about each thing that is wrong.
  package init(
    _ plan: ImportPlan, producer: ReadingProducer, supervisor: Supervisor, log: Log, tell: @escaping (String) -> Void
  ) throws(Failure) {
    self.plan = plan
    self.producer = producer
    self.supervisor = supervisor
    self.tell = tell
    delivery = StateLog("delivery", log: log)
    context = DecodingContext(parser: JSONParser(), bounds: plan.bounds, readingsLimit: .max)
    var progress = ImportProgress()
    progress.size = 0
    for path in plan.files {
      let size = path == "-" ? nil : Self.size(path)
      progress.size = progress.size.flatMap { sum in size.map { sum + $0 } }
    }
    shared = Mutex(progress)
    if let file = plan.stateFile { state = try Self.load(file) }
  }

  /// How far it is; the rates are left to who shows them.
  package var progress: ImportProgress { shared.withLock { $0 } }

  /// Imports all files, unless a stop is asked for.
  ///
  /// - Returns: whether all of them were read to their ends and nothing was rejected.
  /// - Throws: when it cannot go on; what was acknowledged until then is in the state file.
  package func run() throws(Failure) -> Bool {
    lastProgress = Clock.monotonic()
    var read = 0
    var failure: Failure?
    do throws(Failure) {
      for path in plan.files where !supervisor.isStopping {
        let file: ImportFile
        do {
          file = try ImportFile(path) { [supervisor] in supervisor.isStopping }
          try importFile(path, file, read)
        } catch let error as ImportFile.Failure {
          complain("\(path): \(error.reason)")
        } catch let error as ChunkDecoder.Unusable {
          complain("\(path): \(error.reason)")
        } catch {
          throw error as? Failure ?? Failure(reason: "\(error)")
        }
        // Also of a file that ended badly.
        _ = try settle { $0.flights.isEmpty }
        try save()
        read += Self.size(path) ?? 0
      }
    } catch {
      failure = error
    }
    try finish(failure)
    if errors > Self.errorLimit { tell("\(errors - Self.errorLimit) more errors are not shown") }
    return !supervisor.isStopping && !hasProblem && errors == 0 && progress.rejected == 0
  }

  /// Waits for what is under way, and saves how far that came.
  private func finish(_ failure: Failure?) throws(Failure) {
    let deadline = Clock.monotonic() + plan.stopTimeout
    while failure == nil, flights.contains(where: { !$0.isDone }), refused.isEmpty, Clock.monotonic() < deadline {
      if let flight = finished.take(timeout: .milliseconds(100)) { try land(flight) }
    }
    retire()
    try save()
    if let failure { throw failure }
  }

  // MARK: A file

  private func importFile(_ path: String, _ file: ImportFile, _ read: Int) throws {
    shared.withLock { $0.file = path }
    try file.fill(FileIdentity.limit)
    if supervisor.isStopping { return }
    key = path == "-" ? path : Self.wholeName(path)
    var entry = ImportState.Entry(identity: file.withBytes { FileIdentity(of: $0) })
    if let known = state.entries[key] {
      guard file.withBytes({ known.identity.matches($0) }) else {
        throw ImportFile.Failure(
          reason: "is another file than the one that \(plan.stateFile ?? "") knows by this name: its beginning differs")
      }
      entry = known
    }
    state.entries[key] = entry
    shared.withLock { progress in
      progress.accepted += entry.accepted
      progress.rejected += entry.rejected
    }
    // Before the first reading goes: what identifies the file must be the same next time, though it may have grown.
    try save()
    let dialect = plan.dialect ?? file.withBytes { RecordDialect(name: path, start: $0.prefix(4096)) }
    let (header, lines) = dialect == .csv ? try Self.header(file) : ([], 0)
    // The header may be half of one.
    if supervisor.isStopping { return }
    try file.skip(to: entry.offset)
    var line = max(entry.line, lines)
    let mayGrow = plan.stateFile != nil && file.mayGrow
    var chunker = Chunker(dialect.framing(header: header), mayGrow: mayGrow)
    var decoder = try ChunkDecoder(
      dialect, mapping: plan.mapping, device: plan.device, header: header, context: context)
    var tooLong = 0
    func flight(_ rejected: Int, _ batch: ReadingBatch? = nil) -> ChunkFlight {
      ChunkFlight(
        batch ?? self.batch(), place: ChunkEnd(offset: file.offset, line: line, rejected: rejected)
      ) { [finished] in _ = finished.put($0, timeout: .zero) }
    }
    while !supervisor.isStopping {
      shared.withLock { $0.bytes = read + file.consumed }
      switch file.withBytes({ chunker.cut($0, isLast: file.isAtEnd) }) {
      case .end:
        if file.withBytes({ $0.contains { $0 > 0x20 } }) {
          complain("\(path):\(line + 1): has no end yet: it is taken when it has one, or without --resume")
        }
        // Its rest, when it comes, is no line of its own.
        if tooLong > 0, !mayGrow { try send(flight(tooLong)) }
        return
      case .more(let count): try file.fill(count)
      case .tooLong(let count, let lines):
        report(path, [ChunkDecoder.Refusal(line: line + 1, reason: "is longer than 1 MiB")])
        tooLong += 1
        fallthrough
      case .rest(let count, let lines):
        file.drop(count)
        line += lines
        // Within a line nothing can begin again.
        if chunker.isInLongLine { continue }
        try send(flight(tooLong))
        tooLong = 0
      case .chunk(let count, let lines, let records):
        let batch = batch()
        let now = Clock.nowMilliseconds()
        let decoded = try file.withBytes { bytes in
          Result {
            try decoder.decode(
              UnsafeRawBufferPointer(rebasing: bytes[..<count]), records: records, line: line, identity: entry.identity,
              now: now, into: batch, buffer: &buffer)
          }
        }.get()
        file.drop(count)
        line += lines
        report(path, decoded.refusals)
        try send(flight(decoded.refusals.count, batch))
      }
    }
  }

  /// The first lines of a CSV file, to the one that names the columns.
  private static func header(_ file: ImportFile) throws -> (bytes: [UInt8], lines: Int) {
    let framing = file.withBytes { RecordDialect.csv.framing(header: Array($0)) }
    var header: [UInt8] = []
    while true {
      let row = file.withBytes { bytes in
        framing.firstRecord(of: bytes, isLast: file.isAtEnd).map { Array(bytes[..<$0]) }
      }
      if let row {
        header += row
        file.drop(row.count)
        if row.contains(where: { $0 != 0x0a && $0 != 0x0d }) { break }
      } else if file.isAtEnd {
        break
      } else {
        let count = file.withBytes(\.count)
        guard count < 1 << 20 else { throw ImportFile.Failure(reason: "has no CSV header in its first MiB") }
        try file.fill(count + 1)
        // A stop was asked for.
        if file.withBytes(\.count) == count, !file.isAtEnd { break }
      }
    }
    return (header, header.count { $0 == UInt8(ascii: "\n") })
  }

  // MARK: Kafka

  private func batch() -> ReadingBatch { spare.popLast() ?? ReadingBatch(textCapacity: 64 << 10) }

  /// Hands a chunk's readings over as soon as there is room for them.
  private func send(_ flight: ChunkFlight) throws(Failure) {
    if flights.allSatisfy(\.isDone) { lastProgress = Clock.monotonic() }
    let hasRoom = try settle { importer in
      importer.flights.isEmpty
        || (importer.waiting.readings + flight.count <= Self.window.readings
          && importer.waiting.bytes + flight.textCount <= Self.window.bytes
          && importer.flights.count < Self.window.chunks)
    }
    guard hasRoom, try settle({ flight.isDone || $0.producer.unavailability == nil }) else { return }
    flights.append(flight)
    waiting.readings += flight.count
    waiting.bytes += flight.textCount
    guard flight.isDone else { return publish(flight) }
    retire()
    try saveNowAndThen()
  }

  private func publish(_ flight: ChunkFlight) {
    flight.begin()
    producer.publish(
      flight.batch, headers: ReadingProducer.headers(source: "import", received: Clock.nowMilliseconds()),
      receiver: flight, buffer: &buffer)
  }

  /// Takes reports until a condition holds.
  /// - Returns: false when a stop was asked for before.
  private func settle(_ condition: (Importer) -> Bool) throws(Failure) -> Bool {
    while true {
      while let flight = finished.take(timeout: .zero) { try land(flight) }
      if condition(self) { return true }
      if supervisor.isStopping { return false }
      if let timeout = plan.timeout, Clock.monotonic() - lastProgress > timeout {
        throw Failure(
          reason: "Kafka has acknowledged nothing for \(timeout): \(producer.unavailability ?? "it is slow")")
      }
      // Not at once: what fails at once would fail again.
      if let flight = finished.take(timeout: .milliseconds(100)) {
        try land(flight)
      } else if producer.unavailability == nil {
        for flight in refused { publish(flight) }
        refused = []
      }
    }
  }

  /// Looks at what became of a chunk.
  private func land(_ flight: ChunkFlight) throws(Failure) {
    let before = flight.batch.count
    let failures = flight.settle()
    if flight.batch.count < before { lastProgress = Clock.monotonic() }
    guard let error = (failures.first { $0.error.code == .messageTooLarge } ?? failures.first)?.error else {
      delivery.ok()
      flight.isDone = true
      producer.count(acknowledged: flight.count, failed: 0)
      retire()
      return try saveNowAndThen()
    }
    // Kafka measures whole requests: this says nothing about the readings.
    if error.code == .messageTooLarge {
      throw Failure(
        reason: "Kafka takes no requests as large as these: set batch.size=… in SLUICE_KAFKA_CONFIG to less than the "
          + "topic's max.message.bytes")
    }
    delivery.failing("\(error)")
    refused.append(flight)
  }

  /// Goes behind the chunks that are done, as far as there is no other in front of them.
  private func retire() {
    let count = flights.prefix(while: \.isDone).count
    for flight in flights.prefix(count) {
      state.entries[key]?.offset = flight.place.offset
      state.entries[key]?.line = flight.place.line
      state.entries[key]?.accepted += flight.count
      state.entries[key]?.rejected += flight.place.rejected
      waiting.readings -= flight.count
      waiting.bytes -= flight.textCount
      flight.batch.removeAll()
      spare.append(flight.batch)
    }
    let done = flights.prefix(count)
    shared.withLock { progress in
      progress.accepted += done.reduce(0) { $0 + $1.count }
      progress.rejected += done.reduce(0) { $0 + $1.place.rejected }
    }
    flights.removeFirst(count)
  }

  // MARK: What is said and kept

  private func report(_ path: String, _ refusals: [ChunkDecoder.Refusal]) {
    for refusal in refusals {
      errors += 1
      if errors <= Self.errorLimit { tell("\(path):\(refusal.line): \(refusal.reason)") }
    }
  }

  private func complain(_ text: String) {
    hasProblem = true
    tell(text)
  }

  private func saveNowAndThen() throws(Failure) {
    if Clock.monotonic() - lastSave >= Self.saveInterval { try save() }
  }

  private func save() throws(Failure) {
    guard let file = plan.stateFile else { return }
    lastSave = Clock.monotonic()
    do {
      try SystemFile.replace(file, with: Array(state.text.utf8))
    } catch {
      throw Failure(reason: "\(file): \(error)")
    }
  }

  private static func load(_ file: String) throws(Failure) -> ImportState {
    guard access(file, F_OK) == 0 else { return ImportState() }
    do {
      return try ImportState(String(decoding: SystemFile.read(file, limit: 16 << 20), as: UTF8.self))
    } catch let error as SystemError {
      throw Failure(reason: "\(file): \(error)")
    } catch {
      throw Failure(reason: "\(file): is no state file of an import")
    }
  }

  private static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
  }

  private static func wholeName(_ path: String) -> String {
    guard let name = realpath(path, nil) else { return path }
    defer { free(name) }
    return String(cString: name)
  }
}
