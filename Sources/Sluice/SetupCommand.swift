import Glibc
import Kafka
import MongoDB
import Operations
import Sink

/// `sluice setup`
enum SetupCommand: Command {
  static let flags = [
    CommandFlag(
      "--users", "FOLDER",
      "Also makes the database's users, or gives them a new password: sluice-sink, sluice-grafana, sluice-setup, each "
        + "of which FOLDER has a file with the password. Needs an administrator's \(Setting.mongodbURI.name)."
    )
  ]

  /// How long the servers may take for one step.
  private static let timeout: Duration = .seconds(15)

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let parsed: CommandArguments
    do { parsed = try CommandArguments(arguments, flags: flags) } catch { throw .usage(error.message) }
    try takeNothing(parsed.words)
    let passwords = try parsed.string("--users").map(Self.passwords) ?? []
    try prepareKafka(settings) { print($0) }
    try prepareDatabase(settings, users: passwords) { print($0) }
    return 0
  }

  /// The users of which a folder has the password. Other files in it are nobody's business here.
  private static func passwords(
    in folder: String
  ) throws(CommandError) -> [(user: DatabaseUser, password: String)] {
    var found: [(user: DatabaseUser, password: String)] = []
    for user in DatabaseUser.allCases {
      let path = "\(folder)/\(user.rawValue)"
      guard access(path, F_OK) == 0 else { continue }
      do throws(SettingsError) {
        let password = try Settings.secret(inFile: path)
        if password.isEmpty { throw SettingsError("\(QuotedText.quoted(path)) is empty") }
        found.append((user, password))
      } catch {
        throw .usage("--users: \(error.message)")
      }
    }
    if found.isEmpty {
      let names = DatabaseUser.allCases.map(\.rawValue).joined(separator: ", ")
      throw .usage("--users: \(QuotedText.quoted(folder)) has none of these files: \(names)")
    }
    return found
  }

  /// Makes topics that are not there yet.
  static func prepareKafka(_ settings: Settings, _ report: (String) -> Void) throws(CommandError) {
    let kafka = Service.kafka(settings)
    do throws(KafkaError) {
      let admin = try Admin(kafka)
      defer { admin.close() }
      let brokers = try admin.describeCluster(timeout: timeout).brokers.count
      let replication = Service.replication(settings, brokers: brokers)
      var shared: [String: String] = [:]
      // An acknowledged message is on two brokers, and one may be away.
      if replication >= 3 { shared["min.insync.replicas"] = "2" }
      // A dead letter is a message with more headers: one that just fitted still has to.
      let deadLetters = shared.merging(["max.message.bytes": "\(2 << 20)"]) { $1 }
      for (topic, configuration) in [
        (settings.string(.kafkaTopic), shared), (settings.string(.kafkaDeadLetterTopic), deadLetters),
      ] {
        let isNew = try admin.createTopic(
          topic, partitions: settings.int(.kafkaPartitions), replication: replication, configuration: configuration,
          timeout: timeout)
        report("topic \(topic): \(isNew ? "created" : "there already")")
      }
    } catch {
      if error.isMisconfiguration { throw .kafka(error) }
      throw .failed("SLUICE_KAFKA_BROKERS (\(settings.string(.kafkaBrokers))): \(error)")
    }
  }

  /// Makes collections and indexes that are not there yet, and users.
  static func prepareDatabase(
    _ settings: Settings, users: [(user: DatabaseUser, password: String)] = [], _ report: (String) -> Void
  ) throws(CommandError) {
    let schema = Service.schema(settings)
    let pool = try Service.pool(settings, size: 1)
    defer { pool.close() }
    do {
      let made = try pool.withClient { (client) throws(MongoError) in try schema.create(client) }
      report(
        "database \(settings.string(.mongodbDatabase)): \(made.isEmpty ? "there already" : made.joined(separator: ", "))"
      )
      for (user, password) in users {
        let isNew = try pool.withClient { (client) throws(MongoError) in
          try schema.create(user, password: password, client)
        }
        report("user \(user.rawValue): \(isNew ? "created" : "there already, with these rights and this password now")")
      }
    } catch {
      throw .failed("SLUICE_MONGODB_URI (\(pool.servers)): \(error)")
    }
  }
}
