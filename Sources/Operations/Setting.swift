/// One row of the table of settings (`Setting.all`).
package struct Setting: Sendable {
  /// What a setting is when nobody sets it.
  enum Default: Sendable {
    case text(String)
    /// Another text for some roles.
    case byRole([Role: String], otherwise: String)
    /// The value of another setting and a suffix.
    case derived(from: String, suffix: String)
  }

  /// The environment variable, beginning with `SLUICE_`.
  package let name: String
  let kind: SettingKind
  let fallback: Default
  /// What it is for, in one line.
  package let help: String
  /// Whether it may hold a password: it is never shown, and can be read from a file.
  package let isSecret: Bool
  /// Who uses it.
  package let roles: Set<Role>

  init(
    _ name: String, _ kind: SettingKind, _ fallback: Default, roles: Set<Role>, secret isSecret: Bool = false,
    _ help: String
  ) {
    self.name = name
    self.kind = kind
    self.fallback = fallback
    self.roles = roles
    self.isSecret = isSecret
    self.help = help
  }

  /// The command line's flag, such as `--kafka-brokers`.
  package var flag: String { Self.flag(for: name) }

  /// The variable that names a file with the value, for a secret.
  package var fileName: String { name + "_FILE" }

  /// The default as help shows it.
  package func defaultText(for role: Role?) -> String {
    switch fallback {
    case .text(let text):
      return text
    case .byRole(let texts, let otherwise):
      if let role { return texts[role] ?? otherwise }
      return Role.allCases.filter { roles.contains($0) && $0 != .check }
        .map { role in
          let text = texts[role] ?? otherwise
          return "\(role): \(text.isEmpty ? "empty" : text)"
        }.joined(separator: ", ")
    case .derived(let name, let suffix):
      return "\(name) + \(suffix)"
    }
  }

  static func flag(for name: String) -> String {
    let bytes = name.utf8.dropFirst("SLUICE_".utf8.count).map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
      case UInt8(ascii: "_"): UInt8(ascii: "-")
      default: byte
      }
    }
    return "--" + String(decoding: bytes, as: UTF8.self)
  }
}
