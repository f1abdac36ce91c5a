extension Settings {
  /// What `sluice ROLE --help` prints, made from the table.
  package static func helpText(for role: Role, commandFlags: [CommandFlag] = []) -> String {
    var text = "sluice \(role): \(role.summary)\n\nusage: sluice \(role) [--flag value …]\n"
    if !commandFlags.isEmpty { text += "\n" }
    for flag in commandFlags {
      text += "  \(flag.name)\(flag.placeholder.map { " \($0)" } ?? "")\n      \(flag.help)\n"
    }
    text += """

      Every flag below is also an environment variable: \(Setting.config.flag) is \(Setting.config.name). A flag goes
      before the environment, and that before the file. Secrets can be read from files: --…-file, SLUICE_…_FILE.


      """
    for setting in Setting.all where setting.roles.contains(role) {
      let fallback = setting.defaultText(for: role)
      text += "  \(setting.flag) \(setting.kind.placeholder)"
      text += fallback.isEmpty ? "\n" : "  (\(fallback))\n"
      text += "      \(setting.help)\(setting.isSecret ? " Also \(Setting.flag(for: setting.fileName))." : "")\n"
    }
    return text
  }

  /// The table for the README.
  package static func markdownTable() -> String {
    var text = "| setting | default | for | used by |\n|---|---|---|---|\n"
    for setting in Setting.all {
      let fallback = setting.defaultText(for: nil)
      let roles = Role.allCases.filter { setting.roles.contains($0) }
      let cells = [
        "`\(setting.name)`" + (setting.isSecret ? ", `…_FILE`" : ""),
        fallback.isEmpty ? "–" : "`\(fallback)`",
        setting.help,
        roles.count == Role.allCases.count ? "all" : roles.map(\.rawValue).joined(separator: ", "),
      ]
      text += "| " + cells.map(escaped).joined(separator: " | ") + " |\n"
    }
    return text
  }

  /// A cell must not end early.
  private static func escaped(_ cell: String) -> String {
    cell.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}

/// What `sluice ROLE --help` prints.
package func helpText(for role: Role) -> String { Settings.helpText(for: role) }
