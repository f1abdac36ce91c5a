import CRdKafka

/// The settings of a client, by librdkafka's names.
package struct KafkaConfiguration: Sendable, Equatable {
  private(set) var settings: [(key: String, value: String)] = []

  /// - Parameter brokers: where to find the cluster, `host:port,host:port`.
  package init(brokers: String) { set("bootstrap.servers", brokers) }

  /// Sets a property; a later value replaces an earlier one. Unknown keys and values are refused when a client is made.
  package mutating func set(_ key: String, _ value: String) {
    settings.removeAll { $0.key == key }
    settings.append((key, value))
  }

  /// Sets properties that are not set here, by whichever of a property's names: what is there overrides these.
  package mutating func setDefaults(_ defaults: KeyValuePairs<String, String>) {
    settings.insert(contentsOf: defaults.filter { value($0.key) == nil }.map { ($0.key, $0.value) }, at: 0)
  }

  /// What a property is set to here.
  package func value(_ key: String) -> String? { settings.last { $0.key == key }?.value }

  /// Sets the properties of a text `key=value;key=value`. A semicolon within a value is written `\;`.
  /// - Throws: an error that names the property that is unknown or has a value it cannot have; nothing is set then.
  package mutating func merge(_ text: String) throws(KafkaError) {
    var merged = self
    let trial = ConfigurationObject()
    for entry in Self.entries(of: text) {
      guard let equals = entry.firstIndex(of: "=") else {
        throw KafkaError(.invalidArgument, message: "\(entry): expected key=value")
      }
      let key = String(trimmed(entry[..<equals]))
      let value = String(trimmed(entry[entry.index(after: equals)...]))
      try trial.set(key, value)
      merged.set(key, value)
    }
    self = merged
  }

  private static func entries(of text: String) -> [Substring] {
    var entries: [String] = [""]
    var escaped = false
    for character in text {
      switch (character, escaped) {
      case ("\\", false):
        escaped = true
        continue
      case (";", true): entries[entries.count - 1].append(";")
      case (";", false): entries.append("")
      default:
        // Only a semicolon needs escaping: any other backslash is the value's own.
        if escaped { entries[entries.count - 1].append("\\") }
        if character == "\\" { continue }
        entries[entries.count - 1].append(character)
      }
      escaped = false
    }
    if escaped { entries[entries.count - 1].append("\\") }
    return entries.map { trimmed($0[...]) }.filter { !$0.isEmpty }
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.settings.count == right.settings.count && zip(left.settings, right.settings).allSatisfy { $0 == $1 }
  }
}

private func trimmed(_ text: Substring) -> Substring {
  var text = text.drop { $0.isWhitespace }
  while text.last?.isWhitespace == true { text.removeLast() }
  return text
}
