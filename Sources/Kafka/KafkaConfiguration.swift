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

  /// A message of the library's up to where it repeats a value: one may be secret, or have a secret in it by mistake.
  func withoutValues(_ message: String) -> String {
    var message = message
    // The shorter ones are numbers, and words such as true. Of a long one the message may have only the beginning.
    for (_, value) in settings where value.utf8.count > 4 {
      if let place = message.firstRange(of: value.prefix(32)) { message = message[..<place.lowerBound] + "…" }
    }
    return message
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.settings.count == right.settings.count && zip(left.settings, right.settings).allSatisfy { $0 == $1 }
  }
}
