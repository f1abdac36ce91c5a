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
  let dataFolder: String
  let secantusd: String?
  /// nil: another broker is used.
  let mqttPort: UInt16?
  /// nil: another database is used.
  let mongodbPort: UInt16?

  /// Whether Kafka is in this process. A server that is named, wherever that was, is used.
  var isKafkaEmbedded: Bool { settings.origin(.kafkaBrokers) == .default }

  /// - Parameter arguments: the flags above.
  init(_ settings: Settings, _ arguments: [String]) throws(CommandError) {
    self.settings = settings
    do throws(SettingsError) {
      let arguments = try CommandArguments(arguments, flags: Self.flags)
      if let word = arguments.words.first { throw SettingsError("unexpected argument '\(word)'") }
      for (flag, setting) in [("--kafka", Setting.kafkaBrokers), ("--mongodb", .mongodbURI), ("--mqtt", .mqttURL)] {
        if let value = arguments.string(flag) {
          self.settings = try self.settings.replacing(setting, with: value, from: flag)
        }
      }
      dataFolder = arguments.string("--data") ?? ".sluice-dev"
      guard !dataFolder.isEmpty else { throw SettingsError("--data needs a value: --data DIR") }
      secantusd = arguments.string("--secantusd")
      let ports = 1...Int(UInt16.max)
      let mqtt = try arguments.int("--mqtt-port", in: ports) ?? 1883
      let mongodb = try arguments.int("--mongodb-port", in: ports) ?? 27017
      mqttPort = self.settings.origin(.mqttURL) == .default ? UInt16(mqtt) : nil
      mongodbPort = self.settings.origin(.mongodbURI) == .default ? UInt16(mongodb) : nil
    } catch {
      throw .usage(error.message)
    }
  }

  /// Settings with another value for one.
  func replacing(
    _ setting: Setting, with text: String, in settings: Settings
  ) throws(CommandError) -> Settings {
    do {
      return try settings.replacing(setting, with: text, from: setting.name)
    } catch {
      throw .usage(error.message)
    }
  }
}
