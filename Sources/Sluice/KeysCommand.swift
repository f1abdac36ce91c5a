import Crypto
import Keys
import Operations
import Timestamps

/// `sluice keys create|list|revoke|rotate`
enum KeysCommand: Command {
  static let flags = [
    CommandFlag("--name", "NAME", "create: who the key is for."),
    CommandFlag("--device", "DEVICE", "create: a device that it may write; may be repeated."),
    CommandFlag("--device-prefix", "TEXT", "create: it may write all devices that begin so; may be repeated."),
    CommandFlag("--all-devices", nil, "create: it may write all devices."),
    CommandFlag("--dialect", "NAME", "create: a dialect that it may use; may be repeated (all)."),
    CommandFlag("--rate", "NUMBER", "create: readings per second in the long run (no limit)."),
    CommandFlag("--burst", "NUMBER", "create: readings at once, after a silence (those of ten seconds)."),
    CommandFlag(
      "--certificate", "SHA256", "create: fingerprint of a client certificate that stands for the key; may be repeated."
    ),
    CommandFlag("--expires", "TIME", "create: how long it is valid, such as 90d (for ever)."),
    CommandFlag("--grace", "TIME", "rotate: how long the old secret stays valid (24h)."),
    CommandFlag("--json", nil, "list: as JSON."),
  ]

  /// What may be said for `--dialect`.
  private static let dialects = [
    "sluice", "opensensemap", "sensor-community", "senml", "csv", "sensorthings", "ttn", "influxdb",
  ]
  private static let usage = "say what to do: sluice keys create --name NAME …, list, revoke ID|NAME, rotate ID|NAME"

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let parsed: CommandArguments
    do { parsed = try CommandArguments(arguments, flags: flags) } catch { throw .usage(error.message) }
    if let word = parsed.words.first {
      for flag in flags where parsed.has(flag.name) && !isUsed(flag.name, by: word) {
        throw .usage("\(flag.name) is not used by \"sluice keys \(word)\"; leave it out")
      }
    }
    let file = settings.string(.keysFile)
    guard !file.isEmpty else {
      throw .usage(
        "\(Setting.keysFile.name) is missing: name the file of the keys, which create makes if there is none")
    }
    do {
      switch (parsed.words.first, parsed.words.count) {
      case ("create", 1): try create(file, parsed)
      case ("list", 1): try list(file, asJSON: parsed.has("--json"))
      case ("revoke", 2): try revoke(file, parsed.words[1])
      case ("rotate", 2): try rotate(file, parsed.words[1], parsed)
      default: throw CommandError.usage(usage)
      }
      return 0
    } catch let error as CommandError {
      throw error
    } catch let error as SettingsError {
      throw .usage(error.message)
    } catch {
      throw .failed("\(Setting.keysFile.name) (\(file)): \(error)")
    }
  }

  /// Whether a flag means anything there: one that was ignored would have been meant to change something.
  private static func isUsed(_ flag: String, by word: String) -> Bool {
    switch word {
    case "list": flag == "--json"
    case "rotate": flag == "--grace"
    case "revoke": false
    default: flag != "--json" && flag != "--grace"
    }
  }

  private static func create(_ file: String, _ arguments: CommandArguments) throws {
    guard let name = arguments.string("--name") else { throw CommandError.usage("--name is missing: who is it for?") }
    let devices = arguments.strings("--device")
    let prefixes = arguments.strings("--device-prefix")
    guard arguments.has("--all-devices") != !(devices.isEmpty && prefixes.isEmpty) else {
      throw CommandError.usage("say which devices it may write: --device, --device-prefix, or --all-devices alone")
    }
    // A variable that is not set, more likely than what it would mean.
    if prefixes.contains("") {
      throw CommandError.usage("--device-prefix: all devices begin with nothing; say --all-devices if they are meant")
    }
    for dialect in arguments.strings("--dialect") where !dialects.contains(dialect) {
      throw CommandError.usage("--dialect: it must be one of \(dialects.joined(separator: ", "))")
    }
    let rate = try arguments.number("--rate", in: RatePolicy.rates)
    let burst = try arguments.int("--burst", in: RatePolicy.bursts)
    let expires = try arguments.duration("--expires")
    // As openssl x509 -fingerprint -sha256 writes it, or without the colons.
    let certificates = try arguments.strings("--certificate").map { text in
      guard let digest = Digest(text.filter { $0 != ":" }) else {
        throw CommandError.usage("--certificate: it must be 64 hexadecimal digits, with or without colons")
      }
      return digest
    }
    let now = Clock.nowMilliseconds()
    let made = try KeyFile.update(file) { (file) throws(KeyFile.Problem) in
      try file.create(name: name, at: now) { key in
        key.devices = devices
        key.prefixes = arguments.has("--all-devices") ? [""] : prefixes
        key.dialects = arguments.strings("--dialect")
        key.rate = rate
        key.burst = burst
        key.certificates = certificates
        key.expires = expires.map { now + Int64($0 / .milliseconds(1)) }
      }
    }
    show(made.secret, "the key \(made.key.id) (\(name)); it is shown only now")
  }

  private static func revoke(_ file: String, _ word: String) throws {
    let now = Clock.nowMilliseconds()
    let key = try KeyFile.update(file) { (file) throws(KeyFile.Problem) in try file.revoke(word, at: now) }
    print("the key \(key.id) (\(key.name)) is revoked")
  }

  private static func rotate(_ file: String, _ word: String, _ arguments: CommandArguments) throws {
    let grace = Int64((try arguments.duration("--grace") ?? .seconds(86_400)) / .milliseconds(1))
    let now = Clock.nowMilliseconds()
    let made = try KeyFile.update(file) { (file) throws(KeyFile.Problem) in
      try file.rotate(word, grace: grace, at: now)
    }
    let old = grace > 0 ? "the old one is valid until \(Timestamp.text(now + grace))" : "the old one is no longer valid"
    show(made.secret, "the new secret of the key \(made.key.id) (\(made.key.name)); it is shown only now; \(old)")
  }

  /// The secret alone goes to standard output, so that it can be taken from there.
  private static func show(_ secret: String, _ explanation: String) {
    printError(explanation)
    print(secret)
  }

  // MARK: list

  private static func list(_ file: String, asJSON: Bool) throws {
    let keys = try KeyFile.read(file).keys
    let used = LastUses.read(LastUses.path(for: file))
    let now = Clock.nowMilliseconds()
    if asJSON {
      let objects = keys.map { json($0, used: used[$0.id], at: now) }
      print(objects.isEmpty ? "[]" : "[\n  \(objects.joined(separator: ",\n  "))\n]")
    } else {
      printTable(keys.map { row($0, used: used[$0.id], at: now) })
    }
  }

  private static func row(_ key: Key, used: Int64?, at now: Int64) -> [String] {
    let devices = key.prefixes.contains("") ? ["all"] : key.devices + key.prefixes.map { "\($0)…" }
    return [
      key.id, key.name, key.state(at: now).rawValue, devices.isEmpty ? "none" : devices.joined(separator: ","),
      key.dialects.isEmpty ? "all" : key.dialects.joined(separator: ","),
      key.policy.map { "\(number(key.rate ?? 0))/s, \($0.burst) at once" } ?? "no limit",
      key.expires.map { Timestamp.text($0) } ?? "never", used.map { Timestamp.text($0) } ?? "not yet",
    ]
  }

  private static func printTable(_ rows: [[String]]) {
    let all = [["ID", "NAME", "STATE", "DEVICES", "DIALECTS", "RATE", "EXPIRES", "LAST USED"]] + rows
    let widths = all[0].indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    for row in all {
      let cells = zip(row, widths).map { $0.padded(to: $1 + 2) }
      print(cells.dropLast().joined() + (row.last ?? ""))
    }
  }

  private static func json(_ key: Key, used: Int64?, at now: Int64) -> String {
    func strings(_ list: [String]) -> String { "[" + list.map(QuotedText.quoted).joined(separator: ", ") + "]" }
    func time(_ time: Int64?) -> String { time.map { "\"\(Timestamp.text($0))\"" } ?? "null" }
    let members = [
      ("id", QuotedText.quoted(key.id)), ("name", QuotedText.quoted(key.name)),
      ("state", "\"\(key.state(at: now).rawValue)\""), ("created", time(key.created)), ("expires", time(key.expires)),
      ("revoked", time(key.revoked)), ("last_used", time(used)), ("devices", strings(key.devices)),
      ("prefixes", strings(key.prefixes)), ("dialects", strings(key.dialects)),
      ("rate", key.rate.map(number) ?? "null"), ("burst", key.policy.map { "\($0.burst)" } ?? "null"),
    ]
    return "{" + members.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}"
  }

  private static func number(_ number: Double) -> String { Int(exactly: number).map { "\($0)" } ?? "\(number)" }
}
