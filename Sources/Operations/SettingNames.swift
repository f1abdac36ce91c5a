/// Which names settings have on the command line and in the environment, for one role.
struct SettingNames {
  private struct Target {
    let setting: Setting
    /// Whether the value is the name of a file that holds the setting's.
    let isFile: Bool
  }

  private let role: Role
  private let commandFlags: [CommandFlag]
  private let variables: [String: Target]
  private let flags: [String: Target]
  private let variableNames: [String]
  private let flagNames: [String]

  init(table: [Setting], role: Role, commandFlags: [CommandFlag]) {
    var variables: [String: Target] = [:]
    var flags: [String: Target] = [:]
    var variableNames: [String] = []
    var flagNames = commandFlags.map(\.name) + ["--help"]
    for setting in table {
      for isFile in setting.isSecret ? [false, true] : [false] {
        let name = isFile ? setting.fileName : setting.name
        let flag = Setting.flag(for: name)
        variables[name] = Target(setting: setting, isFile: isFile)
        flags[flag] = variables[name]
        variableNames.append(name)
        if setting.roles.contains(role) { flagNames.append(flag) }
      }
    }
    self.role = role
    self.commandFlags = commandFlags
    self.variables = variables
    self.flags = flags
    self.variableNames = variableNames
    self.flagNames = flagNames
  }

  /// The value that a variable gives to a setting.
  /// - Parameter place: where it stands, for messages.
  func variable(_ name: String, place: String, text: String) throws(SettingsError) -> SettingLayer.Assigned {
    if let target = variables[name] {
      return .init(setting: target.setting, isFile: target.isFile, place: place, text: text)
    }
    if name.hasSuffix("_FILE"), let target = variables[String(name.dropLast(5))], !target.isFile {
      throw SettingsError(
        "\(place): only secrets are read from files, and \(target.setting.name) is none; set it itself")
    }
    throw SettingsError("\(place) is no setting\(meant(name, variableNames)); correct or remove it")
  }

  /// Parts the arguments into flags that are settings, and the rest.
  func flags(in arguments: [String]) throws(SettingsError) -> (SettingLayer, rest: [String]) {
    var layer = SettingLayer(origin: .flag)
    var rest: [String] = []
    var words = arguments[...]
    while let word = words.popFirst() {
      if word == "--" {
        // What follows are words for whoever reads the rest, too.
        if !words.isEmpty { rest += [word] + words }
        break
      }
      guard word.hasPrefix("-"), word != "-" else {
        rest.append(word)
        continue
      }
      let equals = word.firstIndex(of: "=")
      let name = String(word[..<(equals ?? word.endIndex)])
      var value = equals.map { String(word[word.index(after: $0)...]) }
      let own = commandFlags.first { $0.name == name }
      let target = flags[name]
      if own == nil { try checkUsed(name, target) }
      if own?.placeholder != nil || target != nil && own == nil {
        // A value that begins with dashes is more likely a forgotten one; `--flag=--value` says that it is meant.
        if value == nil, let next = words.first, !next.hasPrefix("--") { value = words.popFirst() }
        guard value != nil else { throw SettingsError("\(name) needs a value: \(name) VALUE") }
      } else if value != nil {
        throw SettingsError("\(name) takes no value: leave out everything from the = on")
      }
      if own == nil, let target {
        try layer.add(.init(setting: target.setting, isFile: target.isFile, place: name, text: value!))
      } else {
        // In one: a value that looks like a flag is still one.
        rest.append(value.map { "\(name)=\($0)" } ?? name)
      }
    }
    return (layer, rest)
  }

  private func checkUsed(_ name: String, _ target: Target?) throws(SettingsError) {
    guard let target else {
      throw SettingsError("\(name) is no flag of \"sluice \(role)\"\(meant(name, flagNames)); --help lists all")
    }
    guard target.setting.roles.contains(role) else {
      let others = Role.allCases.filter { target.setting.roles.contains($0) }.map(\.rawValue)
      throw SettingsError(
        "\(name) is not used by \"sluice \(role)\", only by \(others.joined(separator: ", ")); leave it out")
    }
  }

  private func meant(_ name: String, _ candidates: [String]) -> String {
    NearestName.nearest(to: name, among: candidates).map { "; the nearest is \($0)" } ?? ""
  }
}

/// What one place, such as the environment, says about settings.
struct SettingLayer {
  struct Assigned {
    let setting: Setting
    /// Whether `text` is the name of a file that holds the value.
    let isFile: Bool
    /// Where it stands, for messages.
    let place: String
    let text: String
  }

  let origin: Settings.Origin
  /// By the setting's name.
  private(set) var assigned: [String: Assigned] = [:]

  init(origin: Settings.Origin) { self.origin = origin }

  /// Adds a value. The last of several wins, but a value and a file with the value contradict each other.
  mutating func add(_ value: Assigned) throws(SettingsError) {
    if let known = assigned[value.setting.name], known.isFile != value.isFile {
      throw SettingsError("\(known.place) and \(value.place) are both set: leave one of them out")
    }
    assigned[value.setting.name] = value
  }
}
