import Chunks
import Dialects
import Glibc
import Import
import Operations
import Publishing
import Synchronization

/// `sluice import`
enum ImportCommand: Command {
  static let flags = [
    CommandFlag(
      "--dialect", "NAME",
      "What the files are written in: sluice (NDJSON), csv, influxdb, senml; otherwise guessed from name and content."),
    CommandFlag(
      "--map", "COLUMN=FIELD",
      "csv: what a column is: device, sensor, value, unit, ts, ts:s, ts:ms, lon, lat, height, id, tags, tag:NAME, "
        + "sensor:NAME, - to leave it out. May be repeated."),
    CommandFlag("--device", "NAME", "Device of readings that name none."),
    CommandFlag("--resume", "FILE", "Keep there how far the files have come, and go on from there."),
    CommandFlag("--timeout", "TIME", "Give up when Kafka has acknowledged nothing for so long; otherwise wait."),
    CommandFlag("--quiet", nil, "No progress."),
  ]

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let plan: ImportPlan
    let isQuiet: Bool
    do throws(SettingsError) {
      let arguments = try CommandArguments(arguments, flags: flags)
      plan = try Self.plan(settings, arguments)
      isQuiet = arguments.has("--quiet")
    } catch {
      throw .usage(error.message)
    }
    let screen = StatusLine()
    let log = Log(
      component: "import", level: max(settings.enumeration(.logLevel), .warning),
      format: settings.enumeration(.logFormat), output: { screen.say($0) })
    let service = Service(settings, log: log)
    let supervisor = service.supervisor
    let link = try service.link(topics: [settings.string(.kafkaTopic)])
    let importer: Importer
    do {
      importer = try Importer(
        plan, producer: ReadingProducer(link, topic: settings.string(.kafkaTopic)), supervisor: supervisor, log: log
      ) { screen.say(Array("\($0)\n".utf8)) }
    } catch let error as Importer.Failure {
      throw .failed(error.reason)
    } catch {
      throw .failed("\(error)")
    }
    let isComplete = Atomic(false)
    supervisor.start("import", mayEnd: true) {
      defer {
        link.close(timeout: .seconds(1))
        supervisor.requestStop()
      }
      do throws(Importer.Failure) {
        isComplete.store(try importer.run(), ordering: .relaxed)
      } catch {
        screen.say(Array("sluice import: \(error.reason)\n".utf8))
      }
    }
    if !isQuiet { supervisor.start("progress") { show(importer, supervisor, screen) } }
    let code = supervisor.runUntilSignal(timeout: settings.duration(.shutdownTimeout))
    screen.clear()
    let progress = importer.progress
    print("accepted=\(progress.accepted) rejected=\(progress.rejected)")
    return isComplete.load(ordering: .relaxed) ? code : 1
  }

  private static func plan(_ settings: Settings, _ arguments: CommandArguments) throws(SettingsError) -> ImportPlan {
    let files = arguments.words
    guard !files.isEmpty else { throw SettingsError("say which files: sluice import FILE…; - is standard input") }
    for (index, file) in files.enumerated() {
      if files[..<index].contains(file) { throw SettingsError("\(file) is named twice") }
      if file.utf8.contains(0x0a) { throw SettingsError("a file's name with a line end is not accepted") }
      if file != "-", access(file, R_OK) != 0 { throw SettingsError("\(file): \(SystemError(code: errno))") }
    }
    let device = arguments.string("--device")
    let dialect = try arguments.word("--dialect", as: RecordDialect.self)
    let pairs = arguments.strings("--map")
    if !pairs.isEmpty, let dialect, dialect != .csv {
      throw SettingsError("--map means nothing with --dialect \(dialect.rawValue)")
    }
    let mapping: CSVMapping
    do {
      mapping = try CSVMapping(pairs, device: device)
    } catch {
      throw SettingsError("--map \(error)")
    }
    var plan = ImportPlan(
      files: files, mapping: mapping, bounds: Service.bounds(settings),
      stopTimeout: settings.duration(.shutdownTimeout) * 3 / 4)
    plan.dialect = dialect
    plan.device = device
    plan.stateFile = arguments.string("--resume")
    plan.timeout = try arguments.duration("--timeout")
    return plan
  }

  /// Once a second: a line that is written over on a terminal, one after the other elsewhere.
  private static func show(_ importer: Importer, _ supervisor: Supervisor, _ screen: StatusLine) {
    let start = Clock.monotonic()
    var last: (time: Duration, accepted: Int)?
    var first: Int?
    while !supervisor.waitForStop(timeout: .seconds(1)) {
      let now = Clock.monotonic()
      var progress = importer.progress
      let since = last ?? (start, progress.accepted)
      progress.rate = Double(progress.accepted - since.accepted) / ((now - since.time) / .seconds(1))
      // What an earlier import had read is passed over in no time.
      if let first { progress.byteRate = Double(progress.bytes - first) / ((now - start) / .seconds(1)) }
      first = first ?? progress.bytes
      last = (now, progress.accepted)
      screen.show(progress.text(width: screen.isTerminal ? 20 : 0))
    }
  }
}

/// Standard error with a last line that is written over, where it is a terminal.
private final class StatusLine: Sendable {
  let isTerminal = isatty(STDERR_FILENO) == 1
  private let isShown = Mutex(false)

  /// Shows how far it is.
  func show(_ text: String) {
    isShown.withLock { isShown in
      Log.standardError(Array(isTerminal ? "\r\(text)\u{1b}[K".utf8 : "\(text)\n".utf8))
      isShown = isTerminal
    }
  }

  /// Writes a line that stays.
  func say(_ line: [UInt8]) {
    isShown.withLock { isShown in
      Log.standardError((isShown ? Array("\r\u{1b}[K".utf8) : []) + line)
      isShown = false
    }
  }

  func clear() { say([]) }
}
