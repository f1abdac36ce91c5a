import Dialects
import HTTP
import Ingest
import Kafka
import Operations
import Publishing

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
      memory: settings.bytes(.httpMemoryLimit), bounds: Service.bounds(settings))
    let boxes = try Boxes.directory(in: service)
    let dialects = DialectSettings(
      lineProtocol: .init(deviceTags: settings.words(.influxdbDeviceTags)), boxes: boxes)
    let server = try service.listen(.httpListen, name: "http") { configuration in
      configuration.threads = settings.int(.httpThreads)
      configuration.connectionLimit = settings.int(.httpConnections)
      let perAddress = settings.int(.httpConnectionsPerAddress)
      configuration.perAddressLimit = perAddress == 0 ? nil : perAddress
      configuration.idleTimeout = settings.duration(.httpIdleTimeout)
      configuration.bodyTimeout = settings.duration(.httpBodyTimeout)
      if !settings.string(.tlsCertificate).isEmpty {
        configuration.tls = HTTPServer.TLSFiles(
          certificate: settings.string(.tlsCertificate), key: settings.string(.tlsKey))
      }
    } handler: {
      IngestService(publisher: publisher, limits: limits, metrics: service.metrics, dialects: dialects)
    }
    service.metrics.gauge("sluice_http_connections", "Open connections.") { Double(server.connectionCount) }
    service.log.info("listening", ["address": .string("\(settings.listenAddress(.httpListen).host):\(server.port)")])
    let timeout = settings.duration(.shutdownTimeout)
    // Actions run in the reverse order of their adding: first the server, which finishes what is in flight and so needs
    // the producer, then the producer.
    service.supervisor.onStop("producer") { link.close(timeout: timeout / 2) }
    service.supervisor.onStop("http") { server.stop(timeout: timeout / 2) }
  }
}
