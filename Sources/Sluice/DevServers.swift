import Glibc
import HTTP
import Kafka
import Operations
import Synchronization

/// The servers that `sluice dev` brings along, where it is not told to use others.
///
/// `@unchecked Sendable`: started by one thread before any other knows of it; `end` is called once after that.
final class DevServers: @unchecked Sendable {
  /// librdkafka's mock cluster keeps 5 MiB of a partition and then drops the oldest batch (rdkafka_mock.c). A batch of
  /// which a part is stored stays whole, and has up to 1,000,000 bytes (`batch.size`).
  static let partitionBytes = 4 << 20

  /// How long a server may take to start, on a slow disk with old data.
  private static let startTimeout: Duration = .seconds(60)
  private static let mosquittoFolders = ["/usr/sbin", "/usr/local/sbin"]

  private(set) var kafka: MockCluster?
  private var children: [EmbeddedServer] = []

  /// Starts what is embedded.
  /// - Returns: the settings with the addresses of what was started.
  func start(_ options: DevOptions) throws(CommandError) -> Settings {
    var settings = options.settings
    try Self.checkAddresses(options)
    let folder = options.dataFolder
    try Self.makeFolder(folder)
    // First, for it takes the longest to start.
    let mongodb = options.mongodbPort == nil ? nil : try startMongoDB(options)
    let mosquitto = options.mqttPort == nil ? nil : try startMosquitto(options)
    if options.isKafkaEmbedded {
      do throws(KafkaError) {
        let cluster = try MockCluster()
        kafka = cluster
        for topic in [Setting.kafkaTopic, .kafkaDeadLetterTopic] {
          try cluster.createTopic(settings.string(topic), partitions: settings.int(.kafkaPartitions))
        }
      } catch {
        throw .failed("the embedded Kafka: \(error)")
      }
      settings = try options.replacing(.kafkaBrokers, with: kafka?.bootstrapServers ?? "", in: settings)
    }
    if let mosquitto, let port = options.mqttPort {
      try mosquitto.waitUntilAccepting(port: port, timeout: Self.startTimeout)
      settings = try options.replacing(.mqttURL, with: "mqtt://127.0.0.1:\(port)", in: settings)
    }
    if let mongodb, let port = options.mongodbPort {
      try mongodb.waitUntilAccepting(port: port, timeout: Self.startTimeout)
      settings = try options.replacing(
        .mongodbURI, with: "mongodb://127.0.0.1:\(port)/?directConnection=true", in: settings)
    }
    return settings
  }

  /// Watches the servers until the process stops.
  /// - Throws: when one of them has ended.
  func watch(_ supervisor: Supervisor) throws(CommandError) {
    while !supervisor.waitForStop(timeout: .milliseconds(200)) {
      for child in children {
        if let end = child.end { throw .failed("\(end) and nothing works without it") }
      }
    }
  }

  /// Ends them in the reverse order of their start. Returns when they are gone.
  func end(timeout: Duration) {
    kafka?.close()
    for child in children.reversed() { child.end(timeout: timeout) }
  }

  // MARK: One by one

  private func startMongoDB(_ options: DevOptions) throws(CommandError) -> EmbeddedServer {
    let name = "secantusd-py"
    guard let program = options.secantusd ?? ProgramSearch.find(name, in: ProgramSearch.virtualEnvironments) else {
      throw .failed(
        "--secantusd: \(name), the embedded MongoDB, is not installed: run \"make install-dependencies\", or use a "
          + "MongoDB of yours with --mongodb URI")
    }
    guard access(program, X_OK) == 0 else {
      throw .failed("--secantusd: \(program) is no program: \(SystemError(code: errno))")
    }
    let folder = "\(options.dataFolder)/mongodb"
    try Self.makeFolder(folder)
    // A file of its own, or it would look for one elsewhere.
    let configuration = "\(options.dataFolder)/mongodb.toml"
    try Self.write("", to: configuration)
    return try launch(
      "MongoDB (\(name))",
      [
        program, "--config", configuration, "--host", "127.0.0.1", "--port", "\(options.mongodbPort ?? 0)",
        "--storage-path", folder, "--cache-size", "256M", "--log-level", "WARNING",
      ], logFile: "\(options.dataFolder)/mongodb.log")
  }

  private func startMosquitto(_ options: DevOptions) throws(CommandError) -> EmbeddedServer {
    guard let program = ProgramSearch.find("mosquitto", in: Self.mosquittoFolders) else {
      throw .failed(
        "mosquitto, the embedded MQTT broker, is not installed: run \"make install-dependencies\", or use a broker of "
          + "yours with --mqtt URL")
    }
    let folder = "\(options.dataFolder)/mosquitto"
    try Self.makeFolder(folder)
    let configuration = "\(options.dataFolder)/mosquitto.conf"
    // No password is needed, and so it listens to this machine only. What the bridge has not taken yet is kept without
    // limit: the broker would otherwise drop messages that it has acknowledged.
    let lines = [
      "listener \(options.mqttPort ?? 0) 127.0.0.1", "allow_anonymous true", "persistence true",
      "persistence_location \(folder)/", "autosave_interval 1", "max_queued_messages 0", "max_inflight_messages 1000",
      "log_dest stderr",
      // It would else change to a user who cannot write here, and the kernel would forget to end it with this process.
      geteuid() == 0 ? "user root" : "",
    ]
    try Self.write(lines.joined(separator: "\n") + "\n", to: configuration)
    return try launch(
      "MQTT (mosquitto)", [program, "-c", configuration], logFile: "\(options.dataFolder)/mosquitto.log")
  }

  private func launch(_ name: String, _ arguments: [String], logFile: String) throws(CommandError) -> EmbeddedServer {
    let child = try EmbeddedServer(name, arguments, logFile: logFile)
    children.append(child)
    return child
  }

  /// Finds out before anything starts whether somebody else is where this process wants to listen.
  private static func checkAddresses(_ options: DevOptions) throws(CommandError) {
    var addresses = [Setting.httpListen, .managementListen].map { setting in
      let address = options.settings.listenAddress(setting)
      return (name: setting.flag, HTTP.ListenAddress(host: address.host, port: address.port))
    }
    if let port = options.mqttPort { addresses.append(("--mqtt-port", .init(host: "127.0.0.1", port: port))) }
    if let port = options.mongodbPort { addresses.append(("--mongodb-port", .init(host: "127.0.0.1", port: port))) }
    for (name, address) in addresses {
      do {
        try address.checkAvailable()
      } catch {
        throw .failed("\(name): \(error.message); end it, or choose another with \(name)")
      }
    }
  }

  private static func makeFolder(_ path: String) throws(CommandError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += "\(part)/"
      guard mkdir(made, 0o755) == 0 || errno == EEXIST else {
        throw .failed("--data: the folder \(made) cannot be made: \(SystemError(code: errno))")
      }
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw .failed("--data: the folder \(path) cannot be written to: \(SystemError(code: errno))")
    }
  }

  private static func write(_ text: String, to path: String) throws(CommandError) {
    guard let file = fopen(path, "we") else {
      throw .failed("--data: \(path) cannot be written: \(SystemError(code: errno))")
    }
    let isWritten = fputs(text, file) >= 0
    guard fclose(file) == 0, isWritten else {
      throw .failed("--data: \(path) cannot be written: \(SystemError(code: errno))")
    }
  }
}
