extension Settings {
  /// The same settings with another value for one of them, checked as if it had been given as `place` (a flag, say).
  ///
  /// For subcommands that know better than the table, such as where the servers are that they started themselves.
  /// - Throws: an error that names `place` when the setting does not accept the text.
  package func replacing(_ setting: Setting, with text: String, from place: String) throws(SettingsError) -> Settings {
    guard let value = setting.kind.parse(text) else {
      throw SettingsError(
        "\(place): \(setting.isSecret ? "the value" : Self.quoted(text)) is not accepted: it must be \(setting.kind.accepted)"
      )
    }
    var entries = entries
    entries[setting.name] = Entry(setting: setting, text: text, value: value, origin: .flag)
    return Settings(role: role, entries: entries)
  }
}
