extension Settings {
  /// A setting as it is in effect, fit to be shown.
  package struct Effective: Sendable, Equatable {
    package let name: String
    /// Secrets are masked.
    package let value: String
    package let origin: Origin
    /// The file that a secret was read from.
    package let secretFile: String?
  }

  /// The settings that the role uses, in the order of the table.
  package var effective: [Effective] {
    Setting.all.filter { $0.roles.contains(role) }.compactMap { entries[$0.name] }.map { entry in
      Effective(
        name: entry.setting.name, value: Self.masked(entry.text, entry.setting), origin: entry.origin,
        secretFile: entry.secretFile)
    }
  }

  private static func masked(_ text: String, _ setting: Setting) -> String {
    if case .uri = setting.kind { return maskingPasswords(in: text) }
    if setting.isSecret { return text.isEmpty ? "" : "***" }
    return maskingPasswords(in: text)
  }

  /// A text in which nothing of a URI's user, password, or options that hold secrets is left.
  ///
  /// Rather too much is masked than too little: passwords with unescaped `@`, `/` or `?` are common mistakes, so all up
  /// to the last `@` goes.
  package static func maskingPasswords(in text: String) -> String {
    let bytes = Array(text.utf8)
    let mark = Array("://".utf8)
    guard let scheme = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) else { return text }
    var rest = bytes[(scheme + mark.count)...]
    var masked = bytes[..<(scheme + mark.count)]
    if let at = rest.lastIndex(of: UInt8(ascii: "@")) {
      masked.append(contentsOf: "***@".utf8)
      rest = rest[(at + 1)...]
    }
    guard let question = rest.firstIndex(of: UInt8(ascii: "?")) else { return decode(masked + rest) }
    masked += rest[...question]
    let options = rest[(question + 1)...].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
      .map { option -> [UInt8] in
        let key = option.prefix { $0 != UInt8(ascii: "=") }
        return isSecretOption(decode(key).lowercased()) ? Array(key + "=***".utf8) : Array(option)
      }
    return decode(masked + options.joined(separator: [UInt8(ascii: "&")]))
  }

  /// MongoDB's `authMechanismProperties` (AWS_SESSION_TOKEN), `tlsCertificateKeyFilePassword` and their like.
  private static func isSecretOption(_ key: String) -> Bool {
    ["password", "secret", "token", "authmechanismproperties"].contains { key.contains($0) }
  }

  private static func decode(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }
}
