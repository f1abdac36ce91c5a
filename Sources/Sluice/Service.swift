import Dialects
import HTTP
import Kafka
import MongoDB
import Operations
import Publishing
import Readings
import Sink

/// What every long-running role has: a log, health, metrics, supervised threads, and the management address.
struct Service {
  let settings: Settings
  let log: Log
  let health: Health
  let metrics: Metrics
  let supervisor: Supervisor
  /// What Kafka keeps only so much of; nil when it keeps everything.
  var backlog: Backlog?
  /// Added to Kafka's offsets in what is stored; zero unless Kafka counts from zero again when it is started.
  var offsetBase: Int64 = 0
  /// What is broken on purpose.
  let breakage = Breakage.chosen
  /// The producer that roles of one process share.
  private var sharedLink: KafkaLink?

  /// To be made first, on the main thread: it blocks the signals that the process waits for, and threads inherit that.
  /// - Parameter log: the one that the settings ask for, unless given.
  init(_ settings: Settings, log: Log? = nil) {
    self.settings = settings
    self.log = log ?? settings.log(component: settings.role.rawValue)
    health = Health()
    metrics = Metrics()
    Signals.blockTermination()
    supervisor = Supervisor(log: self.log)
    metrics.addProcessMetrics()
    metrics.gauge("sluice_ready", "1: every part can work; 0: /readyz says which cannot, and why.") { [health] in
      health.isReady ? 1 : 0
    }
    if let breakage { self.log.warning("broken on purpose, for a test", ["what": .string(breakage.rawValue)]) }
  }

  private init(part name: String, of whole: Service, settings: Settings, link: KafkaLink) {
    self.settings = settings
    log = whole.log.component(name)
    health = whole.health
    metrics = whole.metrics
    supervisor = Supervisor(log: log)
    backlog = whole.backlog
    offsetBase = whole.offsetBase
    sharedLink = link
  }

  /// One of several roles in this process: with threads of its own, so that it can be stopped by itself, and the same
  /// producer, health and metrics as the others, so that Kafka is asked and counted once.
  func part(_ name: String, settings: Settings, link: KafkaLink) -> Service {
    Service(part: name, of: self, settings: settings, link: link)
  }

  /// Opens the management address, then waits for the end.
  /// - Parameter stop: what to do once all threads were asked to end, before they are waited for.
  /// - Returns: the exit code.
  func run() throws(CommandError) -> Int32 {
    let management = try listen(.managementListen, name: "management") { configuration in
      // Scrapers and probes: few, and each short.
      configuration.connectionLimit = 64
    } handler: {
      ManagementHandler(health: health, metrics: metrics)
    }
    defer { management.stop(timeout: .seconds(1)) }
    FilePages.release(onceReady: health, under: supervisor)
    log.info("started", ["management": .string("\(place(.managementListen, of: management))")])
    return supervisor.runUntilSignal(timeout: settings.duration(.shutdownTimeout))
  }

  /// Opens a listening server.
  func listen(
    _ setting: Setting, name: String, _ configure: (inout HTTPServer.Configuration) -> Void,
    handler: () -> any RequestHandler
  ) throws(CommandError) -> HTTPServer {
    let address = settings.listenAddress(setting)
    var configuration = HTTPServer.Configuration(listen: HTTP.ListenAddress(host: address.host, port: address.port))
    configuration.name = name
    let log = log.component(name)
    configuration.log = { log.debug($0) }
    configure(&configuration)
    do {
      return try HTTPServer(configuration, handler: handler())
    } catch {
      throw .failed("\(setting.name): \(error)")
    }
  }

  /// Where a server listens, with the port that the system chose if it was to.
  func place(_ setting: Setting, of server: HTTPServer) -> Operations.ListenAddress {
    Operations.ListenAddress(host: settings.listenAddress(setting).host, port: server.port)
  }

  /// The settings of a Kafka client.
  static func kafka(_ settings: Settings) -> KafkaConfiguration {
    var kafka = KafkaConfiguration(brokers: settings.string(.kafkaBrokers))
    kafka.set("client.id", "sluice-\(settings.role.rawValue)")
    for (key, value) in settings.keyValues(.kafkaConfig) { kafka.set(key, value) }
    return kafka
  }

  /// The settings of a producer.
  static func producer(_ settings: Settings) -> KafkaLink.Configuration {
    KafkaLink.Configuration(
      kafka: kafka(settings), topics: [], deliveryTimeout: settings.duration(.kafkaDeliveryTimeout),
      queueMessages: settings.int(.kafkaQueueMessages), queueBytes: settings.bytes(.kafkaQueueBytes),
      linger: settings.duration(.kafkaLinger))
  }

  /// A producer for these topics, its threads started. The role closes it.
  func link(topics: [String]) throws(CommandError) -> KafkaLink {
    if let sharedLink { return sharedLink.share() }
    do {
      var configuration = Self.producer(settings)
      configuration.topics = topics
      configuration.backlog = backlog
      let link = try KafkaLink(configuration, log: log, health: health, metrics: metrics)
      link.start(under: supervisor)
      return link
    } catch {
      throw .kafka(error)
    }
  }

  /// On how many brokers each partition is to be.
  static func replication(_ settings: Settings, brokers: Int) -> Int {
    let asked = settings.int(.kafkaReplication)
    return asked > 0 ? asked : min(max(brokers, 1), 3)
  }

  /// When readings may have been measured.
  static func bounds(_ settings: Settings) -> TimeBounds {
    TimeBounds(
      futureTolerance: settings.milliseconds(.futureTolerance), retention: settings.milliseconds(.retention))
  }

  /// What MQTT messages are written in.
  static func mqttDialects(_ settings: Settings) -> MQTTDialects {
    MQTTDialects(
      settings.words(.mqttDialects).compactMap { MQTTDialects.Dialect(rawValue: $0) },
      zigbeeBase: settings.string(.mqttZigbeeBase))
  }

  /// The collections of the database.
  static func schema(_ settings: Settings) -> DatabaseSchema {
    DatabaseSchema(
      database: settings.string(.mongodbDatabase), layout: settings.enumeration(.mongodbLayout),
      retention: settings.duration(.retention), deduplicationWindow: settings.duration(.deduplicationWindow))
  }

  /// Connections to the database.
  /// - Parameter timeout: for an answer; the setting's unless given.
  static func pool(_ settings: Settings, size: Int, timeout: Duration? = nil) throws(CommandError) -> MongoPool {
    let log = settings.log(component: "mongodb")
    MongoPool.installLogHandler { _, message in log.debug(message) }
    do {
      return try MongoPool(
        uri: settings.string(.mongodbURI), applicationName: "sluice-\(settings.role.rawValue)", maximumSize: size,
        timeout: timeout ?? settings.duration(.mongodbTimeout))
    } catch {
      throw .usage("SLUICE_MONGODB_URI: \(error.message)")
    }
  }
}

extension CommandError {
  /// A Kafka client that cannot be made, or something that it could not do.
  static func kafka(_ error: KafkaError) -> CommandError {
    error.isMisconfiguration
      ? .usage("\(Setting.kafkaConfig.name): \(error.message)") : .failed("Kafka: \(error)")
  }
}

/// `/healthz`, `/readyz` and `/metrics`.
final class ManagementHandler: RequestHandler {
  private let router: Router

  init(health: Health, metrics: Metrics) {
    var router = Router()
    // A process that answers is alive; one whose thread died ends by itself.
    let alive = Response(status: 200, headers: [("Content-Type", "text/plain")], body: .constant("ok\n")).prepared()
    router.on(.get, "/healthz") { _, _ in .respond(alive) }
    router.on(.get, "/readyz") { _, _ in .respond(.json(health.isReady ? 200 : 503, health.report())) }
    router.on(.get, "/metrics") { _, _ in
      .respond(Response(status: 200, headers: [("Content-Type", Metrics.contentType)], body: .bytes(metrics.render())))
    }
    self.router = router
  }

  func begin(_ head: borrowing RequestHead) -> Disposition { router.dispatch(head) }
}
