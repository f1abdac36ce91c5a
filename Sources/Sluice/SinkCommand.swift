import Kafka
import MongoDB
import Operations
import Publishing
import Sink

/// `sluice sink`
enum SinkCommand: Command {
  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    try takeNothing(arguments)
    let service = Service(settings)
    try start(in: service)
    return try service.run()
  }

  /// Starts Kafka → MongoDB in a process.
  static func start(in service: Service) throws(CommandError) {
    let settings = service.settings
    let deadLetterTopic = settings.string(.kafkaDeadLetterTopic)
    let link = try service.link(topics: [settings.string(.kafkaTopic), deadLetterTopic])
    let pool = try Service.pool(settings, size: 3)
    let recoveryPool = try Service.pool(settings, size: 1, timeout: settings.duration(.mongodbTimeout) * 6)
    let interval = settings.duration(.summariesInterval)
    do {
      let sink = SinkService(
        SinkService.Configuration(
          kafka: Service.kafka(settings), topic: settings.string(.kafkaTopic), group: settings.string(.kafkaGroup),
          schema: Service.schema(settings), bounds: Service.bounds(settings),
          batchReadings: settings.int(.batchReadings), batchDelay: settings.duration(.batchDelay),
          backlog: service.backlog, offsetBase: service.offsetBase, keepsLedger: service.breakage != .noLedger,
          marksHours: interval > .zero),
        pool: pool, recoveryPool: recoveryPool, deadLetters: try DeadLetterProducer(link, topic: deadLetterTopic),
        log: service.log,
        health: service.health, metrics: service.metrics)
      try sink.start(under: service.supervisor) {
        link.close(timeout: .seconds(5))
        pool.close()
        recoveryPool.close()
      }
      if interval > .zero {
        // Twice this, for an answer and for taking leave of a server that hangs, is less than the process may take to stop.
        let pool = try Service.pool(settings, size: 2, timeout: settings.duration(.shutdownTimeout) * 3 / 8)
        Summarizer(
          Service.schema(settings), pool: pool, interval: interval, supervisor: service.supervisor, log: service.log
        ).start()
      }
    } catch let error as CommandError {
      throw error
    } catch let error as KafkaError {
      throw .kafka(error)
    } catch {
      throw .failed("\(error)")
    }
  }
}
