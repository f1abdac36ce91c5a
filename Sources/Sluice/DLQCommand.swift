import DeadLetters
import Glibc
import Kafka
import Operations

/// `sluice dlq list`, `sluice dlq show`, `sluice dlq redrive`
enum DLQCommand: Command {
  /// What to do, by the word behind `dlq`.
  private enum Word: String, CaseIterable { case list, show, redrive }

  static let flags = [
    CommandFlag("--json", nil, "list: one JSON object in place of tables."),
    CommandFlag("--reason", "R", "show, redrive: letters of this reason."),
    CommandFlag("--device", "D", "show, redrive: letters of this device: the key, or else the payload's member."),
    CommandFlag("--source", "S", "show, redrive: letters of this source: sink or bridge."),
    CommandFlag("--since", "TIME", "show, redrive: given up since then: 2026-11-21T02:00:00Z, or how long ago, 2h."),
    CommandFlag("--offset", "P:O", "show, redrive: the letter at this partition and offset."),
    CommandFlag("--limit", "N", "show: letters, at most (10; 0: all). redrive: letters to put back, at most (0: all)."),
    CommandFlag("--raw", nil, "show: the payload's bytes and nothing else; the filters must leave a single letter."),
    CommandFlag("--dry-run", nil, "redrive: say what would be put back and what not, and do nothing."),
    CommandFlag("--rate", "N", "redrive: letters per second (1000; 0: as fast as can be)."),
    CommandFlag("--max-redrives", "N", "redrive: leave a letter that was put back so often (3)."),
  ]

  private static let filters = ["--reason", "--device", "--source", "--since", "--offset", "--limit"]

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let parsed: CommandArguments
    let word: Word
    do throws(SettingsError) {
      parsed = try CommandArguments(arguments, flags: flags)
      word = try Self.word(parsed)
    } catch {
      throw .usage(error.message)
    }
    do {
      switch word {
      case .list: return try list(settings, parsed)
      case .show: return try show(settings, parsed)
      case .redrive: return try redrive(settings, parsed)
      }
    } catch let error as SettingsError {
      throw .usage(error.message)
    } catch let error as CommandError {
      throw error
    } catch let error as DeadLettersError where error.isMisconfiguration {
      throw .usage("\(error)")
    } catch {
      throw .failed("\(error)")
    }
  }

  private static func word(_ arguments: CommandArguments) throws(SettingsError) -> Word {
    let choices = "sluice dlq list, sluice dlq show or sluice dlq redrive; sluice dlq --help says more"
    guard let first = arguments.words.first else { throw SettingsError("say what to do: \(choices)") }
    guard let word = Word(rawValue: first) else { throw SettingsError("there is no 'dlq \(first)': \(choices)") }
    if arguments.words.count > 1 { throw SettingsError("unexpected argument '\(arguments.words[1])'") }
    let used: [String] =
      switch word {
      case .list: ["--json"]
      case .show: filters + ["--raw"]
      case .redrive: filters + ["--dry-run", "--rate", "--max-redrives"]
      }
    for flag in flags where arguments.has(flag.name) && !used.contains(flag.name) {
      throw SettingsError("\(flag.name) is not used by \"sluice dlq \(word.rawValue)\"; leave it out")
    }
    return word
  }

  private static func filter(_ arguments: CommandArguments) throws(SettingsError) -> LetterFilter {
    var filter = LetterFilter()
    filter.reason = arguments.string("--reason")
    filter.device = arguments.string("--device")
    filter.source = arguments.string("--source")
    if let text = arguments.string("--since") {
      guard let moment = LetterFilter.moment(text, now: Clock.nowMilliseconds()) else {
        throw SettingsError(
          "--since: '\(text)' is not accepted: it must be a time with a zone, 2026-11-21T02:00:00Z, or how long ago, 2h"
        )
      }
      filter.since = moment
    }
    if let text = arguments.string("--offset") {
      guard let place = Letter.Place(text) else {
        throw SettingsError("--offset: '\(text)' is not accepted: it must be partition and offset, 2:17")
      }
      filter.place = place
    }
    return filter
  }

  /// How many letters; nil for all.
  private static func limit(_ arguments: CommandArguments, otherwise: Int) throws(SettingsError) -> Int? {
    let limit = try arguments.int("--limit", in: 0 ... .max) ?? otherwise
    return limit == 0 ? nil : limit
  }

  private static func topic(_ settings: Settings) throws -> DeadLetterTopic {
    try DeadLetterTopic(
      Service.kafka(settings), name: settings.string(.kafkaDeadLetterTopic), topic: settings.string(.kafkaTopic))
  }

  // MARK: list

  private static func list(_ settings: Settings, _ arguments: CommandArguments) throws -> Int32 {
    let topic = try topic(settings)
    defer { topic.close() }
    _ = try topic.look()
    var counts = LetterCounts()
    _ = try topic.letters { letter in
      counts.add(letter, isPutBack: topic.isPutBack(letter))
      return true
    }
    print(
      arguments.has("--json")
        ? counts.json(topic: topic.name) : counts.text(topic: topic.name, now: Clock.nowMilliseconds()),
      terminator: "")
    return 0
  }

  // MARK: show

  private static func show(_ settings: Settings, _ arguments: CommandArguments) throws -> Int32 {
    let filter = try filter(arguments)
    let isRaw = arguments.has("--raw")
    let limit = try limit(arguments, otherwise: 10)
    let topic = try topic(settings)
    defer { topic.close() }
    _ = try topic.look(only: filter.place?.partition)
    var shown = 0
    var single: Letter?
    var hasMore = false
    _ = try topic.letters(filter) { (letter) throws(DeadLettersError) in
      if isRaw {
        guard single == nil else {
          throw DeadLettersError("--raw: there is more than one such letter; choose one with --offset P:O")
        }
        single = letter
        return true
      }
      if let limit, shown == limit {
        hasMore = true
        return false
      }
      print((shown == 0 ? "" : "\n") + letter.text(isPutBack: topic.isPutBack(letter)), terminator: "")
      shown += 1
      return true
    }
    if isRaw {
      guard let single else { throw CommandError.failed("--raw: there is no such letter") }
      try write(single.value ?? [])
      return 0
    }
    if shown == 0 { printError("sluice dlq show: there is no such letter in \(topic.name)") }
    if hasMore { printError("sluice dlq show: there are more; --limit \((limit ?? 0) * 10) shows more, 0 all") }
    return 0
  }

  private static func write(_ bytes: [UInt8]) throws(CommandError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw .failed("--raw: the payload cannot be written: \(SystemError(code: errno))")
      }
      rest = rest.dropFirst(count)
    }
  }

  // MARK: redrive

  private static func redrive(_ settings: Settings, _ arguments: CommandArguments) throws -> Int32 {
    var configuration = Redriver.Configuration(
      kafka: Service.kafka(settings), deadLetterTopic: settings.string(.kafkaDeadLetterTopic),
      topic: settings.string(.kafkaTopic), bounds: Service.bounds(settings))
    configuration.dialects = Service.mqttDialects(settings)
    configuration.filter = try filter(arguments)
    configuration.limit = try limit(arguments, otherwise: 0)
    configuration.pace = RedrivePace(rate: try arguments.int("--rate", in: 0...1_000_000) ?? 1_000)
    configuration.maximumRedrives = try arguments.int("--max-redrives", in: 1...1_000_000) ?? 3
    configuration.isDryRun = arguments.has("--dry-run")
    let isDryRun = configuration.isDryRun

    Signals.blockTermination()
    let log = settings.quietLog(component: "dlq")
    let supervisor = Supervisor(log: log)
    let redriver = Redriver(configuration, supervisor: supervisor, warn: warn, told: tell)
    let outcome = BoundedQueue<Result<Bool, DeadLettersError>>(capacity: 1)
    supervisor.start("redrive", mayEnd: true) {
      do throws(DeadLettersError) {
        _ = outcome.put(.success(try redriver.run()))
      } catch {
        _ = outcome.put(.failure(error))
      }
      supervisor.requestStop()
    }
    supervisor.start("progress") {
      while !supervisor.waitForStop(timeout: Duration.seconds(1)) {
        warn(redriver.progress)
      }
    }
    let code = supervisor.runUntilSignal(timeout: settings.duration(.shutdownTimeout))
    let tally = redriver.tally
    for line in tally.reasons { print(line) }
    print(tally.summary(isDryRun: isDryRun))
    // Before what is said on standard error.
    fflush(nil)
    switch outcome.take(timeout: .zero) {
    case .success(true): return code
    case .success(false): throw CommandError.failed("ended before all letters were seen to; run it again to go on")
    case .failure(let error): throw error
    case nil: throw CommandError.failed("ended at once")
    }
  }

  private static func tell(_ place: Letter.Place, _ decision: RedriveDecision) {
    switch decision {
    case .putBack(let messages):
      print("\(place) would be put back\(messages.count == 1 ? "" : " as \(messages.count) readings")")
    case .skipped(let reason, let detail): print("\(place) skipped \(reason.rawValue): \(detail)")
    case .refused(let reason, let detail): print("\(place) refused \(reason.rawValue): \(detail)")
    }
  }

  private static func warn(_ text: String) { printError("sluice dlq redrive: \(text)") }
}
