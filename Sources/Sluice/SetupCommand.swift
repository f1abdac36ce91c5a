import Kafka
import MongoDB
import Operations
import Sink

/// `sluice setup`
enum SetupCommand: Command {
  /// How long the servers may take for one step.
  private static let timeout: Duration = .seconds(15)

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    try takeNothing(arguments)
    try prepare(settings) { print($0) }
    return 0
  }

  /// Makes topics, collections and indexes that are not there yet.
  static func prepare(_ settings: Settings, _ report: (String) -> Void) throws(CommandError) {
    try prepareKafka(settings, report)
    try prepareDatabase(settings, report)
  }

  /// Makes topics that are not there yet.
  static func prepareKafka(_ settings: Settings, _ report: (String) -> Void) throws(CommandError) {
    let kafka = try Service.kafka(settings)
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
      throw .failed("SLUICE_KAFKA_BROKERS (\(settings.string(.kafkaBrokers))): \(error)")
    }
  }

  /// Makes collections and indexes that are not there yet.
  static func prepareDatabase(_ settings: Settings, _ report: (String) -> Void) throws(CommandError) {
    let schema = Service.schema(settings)
    let pool = try Service.pool(settings, size: 1)
    defer { pool.close() }
    do {
      let made = try pool.withClient { (client) throws(MongoError) in try schema.create(client) }
      report(
        "database \(settings.string(.mongodbDatabase)): \(made.isEmpty ? "there already" : made.joined(separator: ", "))"
      )
    } catch {
      throw .failed("SLUICE_MONGODB_URI (\(pool.servers)): \(error)")
    }
  }
}
