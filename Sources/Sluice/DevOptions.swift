import Operations

/// What `sluice dev` is asked for.
struct DevOptions {
  static let flags = [
    CommandFlag("--kafka", "HOSTS", "Uses this Kafka instead of the embedded one; the same as --kafka-brokers."),
    CommandFlag("--mongodb", "URI", "Uses this MongoDB instead of the embedded one; the same as --mongodb-uri."),
    CommandFlag("--mqtt", "URL", "Uses this broker instead of the embedded one; the same as --mqtt-url."),
    CommandFlag("--data", "DIR", "Where the embedded servers keep their data (.sluice-dev)."),
    CommandFlag("--mqtt-port", "PORT", "Where the embedded MQTT broker listens (1883)."),
    CommandFlag("--mongodb-port", "PORT", "Where the embedded MongoDB listens (27017)."),
    CommandFlag("--secantusd", "PATH", "The embedded MongoDB's program (.venv/bin/secantusd-py)."),
  ]

  private(set) var settings: Settings
  private(set) var dataFolder = ".sluice-dev"
  private(set) var secantusd: String?
  /// nil: another broker is used.
  private(set) var mqttPort: UInt16? = 1883
  /// nil: another database is used.
  private(set) var mongodbPort: UInt16? = 27017

  /// Whether Kafka is in this process. A server that is named, wherever that was, is used.
  var isKafkaEmbedded: Bool { settings.origin(.kafkaBrokers) == .default }

  /// - Parameter arguments: the flags above, each followed by its value.
  init(_ settings: Settings, _ arguments: [String]) throws(CommandError) {
    self.settings = settings
    var arguments = arguments[...]
    while let flag = arguments.popFirst() {
      guard let value = arguments.popFirst(), Self.flags.contains(where: { $0.name == flag }) else {
        throw .usage("unexpected argument '\(flag)'")
      }
      guard !value.isEmpty else { throw .usage("\(flag) needs a value") }
      switch flag {
      case "--kafka": self.settings = try replacing(.kafkaBrokers, with: value, in: self.settings, from: flag)
      case "--mongodb": self.settings = try replacing(.mongodbURI, with: value, in: self.settings, from: flag)
      case "--mqtt": self.settings = try replacing(.mqttURL, with: value, in: self.settings, from: flag)
      case "--data": dataFolder = value
      case "--secantusd": secantusd = value
      case "--mqtt-port": mqttPort = try Self.port(value, flag)
      default: mongodbPort = try Self.port(value, flag)
      }
    }
    if self.settings.origin(.mqttURL) != .default { mqttPort = nil }
    if self.settings.origin(.mongodbURI) != .default { mongodbPort = nil }
  }

  /// Settings with another value for one.
  func replacing(
    _ setting: Setting, with text: String, in settings: Settings, from place: String? = nil
  ) throws(CommandError) -> Settings {
    do {
      return try settings.replacing(setting, with: text, from: place ?? setting.name)
    } catch {
      throw .usage(error.message)
    }
  }

  private static func port(_ text: String, _ flag: String) throws(CommandError) -> UInt16 {
    guard let port = UInt16(text), port > 0 else {
      throw .usage("\(flag): '\(text)' is no port: it must be a number from 1 to 65535")
    }
    return port
  }
}
