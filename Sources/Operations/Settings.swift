/// The settings of a process: read once at its start, checked, and then only looked at.
package struct Settings: Sendable {
  /// Where a value came from; the first of these that has one wins.
  package enum Origin: String, Sendable, CaseIterable {
    case flag, environment, file, `default`
  }

  struct Entry: Sendable {
    let setting: Setting
    let text: String
    let value: SettingValue
    let origin: Origin
    /// The file that the secret was read from.
    var secretFile: String?
  }

  /// Whose settings these are.
  package let role: Role
  let entries: [String: Entry]

  /// A setting as it was written, whatever its kind.
  package func string(_ setting: Setting) -> String { entry(setting).text }

  /// A whole number, or a size in bytes.
  package func int(_ setting: Setting) -> Int {
    guard case .integer(let number) = entry(setting).value else { wrongKind(setting) }
    return number
  }

  /// A size in bytes.
  package func bytes(_ setting: Setting) -> Int { int(setting) }

  /// A duration.
  package func duration(_ setting: Setting) -> Duration {
    guard case .duration(let duration) = entry(setting).value else { wrongKind(setting) }
    return duration
  }

  /// A duration in milliseconds.
  package func milliseconds(_ setting: Setting) -> Int64 { Int64(duration(setting) / .milliseconds(1)) }

  /// Whether something is on.
  package func bool(_ setting: Setting) -> Bool {
    guard case .boolean(let flag) = entry(setting).value else { wrongKind(setting) }
    return flag
  }

  /// An address to listen on.
  package func listenAddress(_ setting: Setting) -> ListenAddress {
    guard case .listen(let address) = entry(setting).value else { wrongKind(setting) }
    return address
  }

  /// The entries of a list `key=value;…`, in order.
  package func keyValues(_ setting: Setting) -> [(key: String, value: String)] {
    guard case .keyValues(let entries) = entry(setting).value else { wrongKind(setting) }
    return entries.map { ($0.key, $0.value) }
  }

  /// One of the words that a setting accepts, as the enumeration whose raw values they are.
  package func enumeration<Word: RawRepresentable<String>>(_ setting: Setting, as type: Word.Type = Word.self) -> Word {
    guard let word = Word(rawValue: entry(setting).text) else { wrongKind(setting) }
    return word
  }

  /// The words of a list that is separated by commas.
  package func words(_ setting: Setting) -> [String] { entry(setting).text.split(separator: ",").map(String.init) }

  /// Where a setting's value came from.
  package func origin(_ setting: Setting) -> Origin { entry(setting).origin }

  /// A log as the settings want it.
  package func log(component: String) -> Log {
    Log(component: component, level: enumeration(.logLevel), format: enumeration(.logFormat))
  }

  private func entry(_ setting: Setting) -> Entry {
    // Every load fills in the whole table.
    entries[setting.name]!
  }

  /// The code asks for a kind that the table does not say; no input leads here.
  private func wrongKind(_ setting: Setting, function: StaticString = #function) -> Never {
    preconditionFailure("\(setting.name) is not read with \(function)")
  }
}
