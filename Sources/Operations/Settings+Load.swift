import Glibc

extension Settings {
  /// Reads a file's bytes.
  package typealias FileReader = (_ path: String) throws(SystemError) -> [UInt8]

  /// Variables that tests of Sluice use; they are no settings and no mistake.
  private static let testPrefix = "SLUICE_TEST_"

  /// The environment of this process. A name that comes twice has its first value, as for getenv(3).
  package static var processEnvironment: [String: String] {
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        let name = String(text[..<equals])
        if variables[name] == nil { variables[name] = String(text[text.index(after: equals)...]) }
      }
      next += 1
    }
    return variables
  }

  /// Whether the arguments ask for help, which is given whatever else is wrong.
  package static func wantsHelp(_ arguments: [String]) -> Bool {
    arguments.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
  }

  /// Reads and checks the settings of a process.
  ///
  /// A flag goes before the environment, the environment before the file that `--config` or `SLUICE_CONFIG` names, and
  /// that before the default. Settings of other roles are accepted, except as flags, and not checked.
  /// - Parameters:
  ///   - arguments: those behind the subcommand.
  ///   - commandFlags: flags of the subcommand's own.
  ///   - readFile: reads the configuration file and the files with secrets.
  /// - Returns: the settings, and the arguments that are none: words, and the subcommand's own flags, as `--flag=value`
  ///   if they take one; `--` stays in front of words that look like flags.
  /// - Throws: what is wrong first.
  package static func load(
    role: Role, arguments: [String], environment: [String: String] = processEnvironment,
    commandFlags: [CommandFlag] = [], reading readFile: FileReader = SystemFile.read
  ) throws(SettingsError) -> (settings: Settings, rest: [String]) {
    try load(
      table: Setting.all, role: role, arguments: arguments, environment: environment, commandFlags: commandFlags,
      reading: readFile)
  }

  static func load(
    table: [Setting], role: Role, arguments: [String], environment: [String: String], commandFlags: [CommandFlag] = [],
    reading readFile: FileReader
  ) throws(SettingsError) -> (settings: Settings, rest: [String]) {
    let names = SettingNames(table: table, role: role, commandFlags: commandFlags)
    let (flags, rest) = try names.flags(in: arguments)
    var variables = SettingLayer(origin: .environment)
    // Sorted, so that the same mistakes give the same message.
    for name in environment.keys.sorted() where name.hasPrefix("SLUICE_") && !name.hasPrefix(testPrefix) {
      try variables.add(names.variable(name, place: name, text: environment[name]!))
    }
    let file = try configurationFile(flags, variables, names, readFile)
    let layers = [flags, variables, file]

    var entries: [String: Entry] = [:]
    for setting in table {
      let assigned = layers.lazy.compactMap { layer in layer.assigned[setting.name].map { (layer.origin, $0) } }.first
      do throws(SettingsError) {
        if let (origin, assigned) = assigned {
          entries[setting.name] = try entry(assigned, origin, readFile)
          continue
        }
      } catch {
        // A value of another role's is not this one's to judge.
        if setting.roles.contains(role) { throw error }
      }
      entries[setting.name] = try defaultEntry(setting, role: role, entries)
    }
    let settings = Settings(role: role, entries: entries)
    try settings.checkTogether()
    return (settings, rest)
  }

  private static func configurationFile(
    _ flags: SettingLayer, _ variables: SettingLayer, _ names: SettingNames, _ readFile: FileReader
  ) throws(SettingsError) -> SettingLayer {
    var layer = SettingLayer(origin: .file)
    let name = Setting.config.name
    guard let path = (flags.assigned[name] ?? variables.assigned[name])?.text, !path.isEmpty else { return layer }
    let bytes: [UInt8]
    do { bytes = try readFile(path) } catch {
      throw SettingsError("\(name): \(quoted(path)) cannot be read: \(error)")
    }
    let assignments: [EnvironmentFile.Assignment]
    do { assignments = try EnvironmentFile.parse(bytes) } catch {
      throw SettingsError("\(path), line \(error.line): it \(error.reason); write NAME=value, or # before a comment")
    }
    for assignment in assignments {
      let place = "\(assignment.name) (\(path), line \(assignment.line))"
      if assignment.name == name {
        throw SettingsError("\(place): a file does not name another; set it in the environment or with --config")
      }
      try layer.add(names.variable(assignment.name, place: place, text: assignment.value))
    }
    return layer
  }

  private static func entry(
    _ assigned: SettingLayer.Assigned, _ origin: Origin, _ readFile: FileReader
  ) throws(SettingsError) -> Entry {
    let setting = assigned.setting
    let text = assigned.isFile ? try secret(assigned, readFile) : assigned.text
    guard let value = setting.kind.parse(text) else {
      // The text of a secret is for nobody's eyes, even if it is wrong.
      let what = assigned.isFile ? "what \(quoted(assigned.text)) holds" : setting.isSecret ? "the value" : quoted(text)
      throw SettingsError(
        "\(assigned.place): \(what) is not accepted: it must be \(setting.kind.accepted)"
          + (text.isEmpty ? "; leave it out for the default" : ""))
    }
    return Entry(
      setting: setting, text: text, value: value, origin: origin, secretFile: assigned.isFile ? assigned.text : nil)
  }

  private static func secret(
    _ assigned: SettingLayer.Assigned, _ readFile: FileReader
  ) throws(SettingsError) -> String {
    do { return try secret(inFile: assigned.text, reading: readFile) } catch {
      throw SettingsError("\(assigned.place): \(error.message)")
    }
  }

  /// The secret that a file holds.
  /// - Throws: a file that cannot be read, or is no text.
  package static func secret(
    inFile path: String, reading readFile: FileReader = SystemFile.read
  ) throws(SettingsError) -> String {
    var bytes: [UInt8]
    do { bytes = try readFile(path) } catch {
      throw SettingsError("\(quoted(path)) cannot be read: \(error)")
    }
    // Editors and `echo` end a file with a newline that is not part of the secret.
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw SettingsError("\(quoted(path)) is not UTF-8 text")
    }
    return text
  }

  private static func defaultEntry(
    _ setting: Setting, role: Role, _ entries: [String: Entry]
  ) throws(SettingsError) -> Entry {
    let text: String
    if case .derived(let name, let suffix) = setting.fallback {
      text = (entries[name]?.text ?? "") + suffix
    } else {
      text = setting.defaultText(for: role)
    }
    guard let value = setting.kind.parse(text) else {
      throw SettingsError("\(setting.name): its default \(quoted(text)) will not do; set one: \(setting.kind.accepted)")
    }
    return Entry(setting: setting, text: text, value: value, origin: .default)
  }

  /// What no setting can know by itself.
  private func checkTogether() throws(SettingsError) {
    func text(_ setting: Setting) -> String? {
      setting.roles.contains(role) ? entries[setting.name]?.text : nil
    }
    if let certificate = text(.tlsCertificate), let key = text(.tlsKey), certificate.isEmpty != key.isEmpty {
      let missing = certificate.isEmpty ? Setting.tlsCertificate : Setting.tlsKey
      throw SettingsError("\(missing.name) is missing: TLS needs a certificate and its key; set both or neither")
    }
    if let authorities = text(.tlsClientCA), !authorities.isEmpty, text(.tlsCertificate)?.isEmpty == true {
      throw SettingsError("\(Setting.tlsClientCA.name) needs TLS: set \(Setting.tlsCertificate.name) too")
    }
    if let dead = text(.kafkaDeadLetterTopic), dead == text(.kafkaTopic) {
      throw SettingsError(
        "\(Setting.kafkaDeadLetterTopic.name) is the topic of the readings, \(Self.quoted(dead)): name another")
    }
    if let linger = text(.kafkaLinger), let timeout = text(.kafkaDeliveryTimeout),
      duration(.kafkaLinger) >= duration(.kafkaDeliveryTimeout)
    {
      throw SettingsError(
        "\(Setting.kafkaLinger.name) (\(linger)) is not less than \(Setting.kafkaDeliveryTimeout.name) (\(timeout)): "
          + "a message would be given up before it is sent")
    }
    if let body = text(.httpBodyLimit), let memory = text(.httpMemoryLimit),
      int(.httpBodyLimit) > int(.httpMemoryLimit)
    {
      throw SettingsError(
        "\(Setting.httpMemoryLimit.name) (\(memory)) is less than \(Setting.httpBodyLimit.name) (\(body)): "
          + "no body of that size would ever fit")
    }
  }

  /// A text as an error's one line can hold it.
  static func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    QuotedText.append(text.count > 200 ? text.prefix(200) + "…" : text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
