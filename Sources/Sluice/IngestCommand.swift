import Dialects
import HTTP
import Ingest
import Kafka
import Operations
import Publishing
import WebSocket

/// `sluice ingest`
enum IngestCommand: Command {
  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    try takeNothing(arguments)
    let service = Service(settings)
    try start(in: service)
    return try service.run()
  }

  /// Starts the HTTP API in a process.
  static func start(in service: Service) throws(CommandError) {
    let settings = service.settings
    let access = try Access(settings)
    let authenticator = try access.authenticator(in: service)
    let topic = settings.string(.kafkaTopic)
    let link = try service.link(topics: [topic])
    let publisher: ReadingProducer
    do {
      publisher = try ReadingProducer(link, topic: topic, acknowledgesEarly: service.breakage == .earlyAcknowledgement)
    } catch {
      throw .failed("SLUICE_KAFKA_TOPIC: \(error)")
    }
    let limits = IngestLimits(
      body: settings.bytes(.httpBodyLimit), readings: settings.int(.httpReadingsLimit),
      memory: settings.bytes(.httpMemoryLimit), waiting: settings.int(.kafkaQueueMessages),
      bounds: Service.bounds(settings))
    let boxes = try Boxes.directory(in: service)
    let dialects = DialectSettings(
      lineProtocol: .init(deviceTags: settings.words(.influxdbDeviceTags)), boxes: boxes)
    let streams = try streams(settings)
    let jobs = try jobs(in: service)
    let server = try service.listen(.httpListen, name: "http") { configuration in
      configuration.threads = settings.int(.httpThreads)
      configuration.connectionLimit = settings.int(.httpConnections)
      let perAddress = settings.int(.httpConnectionsPerAddress)
      configuration.perAddressLimit = perAddress == 0 ? nil : perAddress
      configuration.idleTimeout = settings.duration(.httpIdleTimeout)
      configuration.bodyTimeout = settings.duration(.httpBodyTimeout)
      configuration.tls = Access.tlsFiles(settings)
      configuration.crossOrigin = access.crossOrigin(settings)
    } handler: {
      IngestService(
        publisher: publisher, limits: limits, metrics: service.metrics, authenticator: authenticator, streams: streams,
        jobs: jobs, log: service.log.component("stream"), dialects: dialects)
    }
    for (index, loop) in streams.loops.enumerated() {
      service.supervisor.start("stream-\(index)") { loop.run() }
    }
    for index in 0..<jobs.threadCount { service.supervisor.start("job-\(index)") { jobs.work() } }
    service.metrics.gauge("sluice_http_connections", "Open connections.") { Double(server.connectionCount) }
    service.log.info("listening", ["address": .string("\(service.place(.httpListen, of: server))")])
    if Access.tlsFiles(settings) != nil { watchTLS(of: server, in: service) }
    let timeout = settings.duration(.shutdownTimeout)
    // Actions run in the reverse order of their adding: first the server, which finishes what is in flight and so needs
    // the producer, then the producer.
    service.supervisor.onStop("producer") { link.close(timeout: timeout / 2) }
    service.supervisor.onStop("http") {
      let deadline = Clock.monotonic() + timeout / 2
      // No new connections; jobs, streams and requests then finish side by side.
      server.quiesce()
      jobs.stop(timeout: timeout / 4)
      streams.stop(timeout: max(deadline - Clock.monotonic(), .zero))
      server.stop(timeout: max(deadline - Clock.monotonic(), .zero))
    }
  }

  private static func jobs(in service: Service) throws(CommandError) -> JobService {
    let settings = service.settings
    let allowance: FetchAllowance
    do {
      allowance = try FetchAllowance(settings.string(.jobsFetchAllow))
    } catch {
      throw .usage("\(Setting.jobsFetchAllow.name): \(error)")
    }
    var jobs = JobSettings(allowance: allowance)
    let directory = settings.string(.jobsDirectory)
    jobs.directory = directory.isEmpty ? nil : directory
    jobs.kept = settings.int(.jobsKept)
    jobs.concurrent = settings.int(.jobsConcurrent)
    jobs.silence = settings.duration(.jobsSilence)
    jobs.patience = settings.duration(.jobsPatience)
    do {
      return try JobService(jobs, log: service.log.component("jobs"), metrics: service.metrics)
    } catch {
      throw .failed("\(Setting.jobsDirectory.name) (\(directory)): \(error)")
    }
  }

  private static func streams(_ settings: Settings) throws(CommandError) -> WebSocketServer {
    var configuration = WebSocketServer.Configuration()
    configuration.threads = settings.int(.httpThreads)
    configuration.connectionLimit = settings.int(.streamConnections)
    configuration.messageLimit = settings.bytes(.httpBodyLimit)
    configuration.inFlightLimit = settings.int(.streamInFlight)
    configuration.pingInterval = settings.duration(.streamPingInterval)
    configuration.idleTimeout = settings.duration(.streamIdleTimeout)
    configuration.messageTimeout = settings.duration(.httpBodyTimeout)
    do {
      return try WebSocketServer(configuration)
    } catch {
      throw .failed("WebSocket: \(error)")
    }
  }

  /// Rereads the certificate and its key when they change: a renewed one is used without a restart.
  private static func watchTLS(of server: HTTPServer, in service: Service) {
    let log = service.log.component("tls")
    let files = StateLog("TLS files", log: log)
    let isWhole = service.metrics.gauge(
      "sluice_tls_files_ok", "1: TLS uses what is in its files; 0: they are broken, and the last good ones are used.")
    isWhole.set(1)
    service.supervisor.start("tls") { [supervisor = service.supervisor] in
      while !supervisor.waitForStop(timeout: .seconds(2)) {
        do throws(HTTPServerError) {
          if try server.reloadTLS() { log.info("TLS files reread; new connections use them") }
          files.ok()
          isWhole.set(1)
        } catch {
          files.failing("\(error.message); the last good ones are used")
          isWhole.set(0)
        }
      }
    }
  }
}
