/// What a subcommand finds on its command line, besides settings: its own flags, and words.
package struct CommandArguments: Sendable, Equatable {
  /// The arguments that are no flags, in their order.
  package let words: [String]
  /// By the flag's name, in their order; "" for one that takes none.
  private let values: [String: [String]]

  /// Reads what `Settings.load` leaves over.
  ///
  /// `--flag value` and `--flag=value` are the same; of a flag that comes twice the last counts, but for `strings`; what
  /// follows `--` are words, whatever they look like.
  /// - Throws: a flag that is none of `flags`, with the nearest that is; a missing value, or one too many.
  package init(_ arguments: [String], flags: [CommandFlag]) throws(SettingsError) {
    var words: [String] = []
    var values: [String: [String]] = [:]
    var rest = arguments[...]
    while let word = rest.popFirst() {
      if word == "--" {
        words += rest
        break
      }
      guard word.hasPrefix("-"), word != "-" else {
        words.append(word)
        continue
      }
      let equals = word.firstIndex(of: "=")
      let name = String(word[..<(equals ?? word.endIndex)])
      var value = equals.map { String(word[word.index(after: $0)...]) }
      guard let flag = flags.first(where: { $0.name == name }) else {
        let nearest = NearestName.nearest(to: name, among: flags.map(\.name) + ["--help"])
        throw SettingsError("there is no flag \(name); the nearest is \(nearest ?? "--help")")
      }
      if let placeholder = flag.placeholder {
        // A value that begins with dashes is more likely a forgotten one; `--flag=--value` says that it is meant.
        if value == nil, let next = rest.first, !next.hasPrefix("--") { value = rest.popFirst() }
        guard value != nil else { throw SettingsError("\(name) needs a value: \(name) \(placeholder)") }
      } else if value != nil {
        throw SettingsError("\(name) takes no value: leave out everything from the = on")
      }
      values[name, default: []].append(value ?? "")
    }
    self.words = words
    self.values = values
  }

  /// Whether a flag is there.
  package func has(_ flag: String) -> Bool { values[flag] != nil }

  /// A flag's value as it was written.
  package func string(_ flag: String) -> String? { values[flag]?.last }

  /// The values of a flag that may come several times.
  package func strings(_ flag: String) -> [String] { values[flag] ?? [] }

  /// A time with its unit: `90d`, `10s`.
  /// - Throws: another text.
  package func duration(_ flag: String) throws(SettingsError) -> Duration? {
    guard let text = string(flag) else { return nil }
    guard let duration = SettingUnits.duration(text) else {
      throw wrong(flag, text, "a number and ms, s, m, h, d or w, such as 90d")
    }
    return duration
  }

  /// A whole number.
  /// - Throws: another text, or a number outside of `range`.
  package func int(_ flag: String, in range: ClosedRange<Int>) throws(SettingsError) -> Int? {
    guard let text = string(flag) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      let limits =
        range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
      throw wrong(flag, text, "a whole number, \(limits)")
    }
    return number
  }

  /// A number with or without a fraction.
  /// - Throws: another text, or a number outside of `range`.
  package func number(_ flag: String, in range: ClosedRange<Double>) throws(SettingsError) -> Double? {
    guard let text = string(flag) else { return nil }
    guard let number = Double(text), range.contains(number) else {
      throw wrong(flag, text, "a number, \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// One of an enumeration's words.
  /// - Throws: another text.
  package func word<Word: RawRepresentable<String> & CaseIterable>(
    _ flag: String, as type: Word.Type = Word.self
  ) throws(SettingsError) -> Word? {
    guard let text = string(flag) else { return nil }
    guard let word = Word(rawValue: text) else {
      throw wrong(flag, text, "one of " + Word.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return word
  }

  private func wrong(_ flag: String, _ text: String, _ accepted: String) -> SettingsError {
    SettingsError("\(flag): \(Settings.quoted(text)) is not accepted: it must be \(accepted)")
  }
}
