import Bridge
import Kafka
import MQTT
import Operations
import Publishing

/// `sluice bridge`
enum BridgeCommand: Command {
  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    try takeNothing(arguments)
    let service = Service(settings)
    try start(in: service)
    return try service.run()
  }

  /// Starts MQTT → Kafka in a process.
  static func start(in service: Service) throws(CommandError) {
    let settings = service.settings
    let topic = settings.string(.kafkaTopic)
    let deadLetterTopic = settings.string(.kafkaDeadLetterTopic)
    let share = settings.string(.mqttShare)
    let timeout = settings.duration(.shutdownTimeout)
    let address: MQTTAddress
    do {
      address = try MQTTAddress(parsing: settings.string(.mqttURL))
    } catch {
      throw .usage("SLUICE_MQTT_URL: \(error.message)")
    }
    let link = try service.link(topics: [topic, deadLetterTopic])
    do {
      let bridge = try BridgeService(
        BridgeService.Configuration(
          mqtt: MQTTConfiguration(
            address: address, clientID: settings.string(.mqttClientID), keepAlive: settings.duration(.mqttKeepAlive)),
          group: share.isEmpty ? nil : share, usualGroup: Setting.mqttShare.defaultText(for: .bridge),
          dialects: Service.mqttDialects(settings), zigbeeBase: settings.string(.mqttZigbeeBase),
          bounds: Service.bounds(settings),
          deliveryTimeout: settings.duration(.kafkaDeliveryTimeout), stopTimeout: timeout / 2,
          deduplicates: settings.bool(.mqttDeduplication)),
        readings: try ReadingProducer(link, topic: topic, acknowledgesEarly: service.breakage == .earlyAcknowledgement),
        deadLetters: try DeadLetterProducer(link, topic: deadLetterTopic),
        log: service.log, health: service.health, metrics: service.metrics)
      bridge.start(under: service.supervisor) { link.close(timeout: timeout / 8) }
    } catch {
      throw .failed("\(error)")
    }
  }
}
