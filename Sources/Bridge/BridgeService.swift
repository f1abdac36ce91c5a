package import Dialects
package import MQTT
package import Operations
package import Publishing
package import Readings

/// MQTT → Kafka: one thread takes what the broker has, puts it on Kafka, and acknowledges it when Kafka has all of it.
///
/// What is not acknowledged stays with the broker, under the client id, and comes again: after a failure of Kafka, of
/// the connection, or of this process. So nothing is lost, and what Kafka had of a batch that failed is there twice:
/// the sink leaves a repeat out that has an id, its sender's or one of `RedeliveryID`. That holds for messages
/// published at QoS 1 and 2; those at QoS 0 are not kept by anyone. While Kafka is away there is no connection, and the
/// broker keeps everything.
///
/// Retained messages that come with a subscription are not stored: see `Forwarder.forward`.
///
/// A broker that limits unacknowledged messages limits the batches too. mosquitto 2.0.11 begins with its
/// `max_inflight_messages` (20), but sends as many more for each acknowledgement: batches soon grow with the load.
package final class BridgeService: Sendable {
  /// What to read, and what of it to take.
  package struct Configuration: Sendable {
    /// The session is always a lasting one, whatever `cleanSession` says.
    package var mqtt: MQTTConfiguration
    /// Group of the shared subscription, for several bridges to split the load; nil to get everything.
    package var group: String?
    /// The group that a bridge under this client id may have had before, unless it was told another.
    package var usualGroup: String?
    /// What is read of what there is.
    package var dialects: MQTTDialects
    /// Base topic of Zigbee2MQTT, also where it is not read any more.
    package var zigbeeBase: String
    package var bounds: TimeBounds
    /// What the producer was given. A keep-alive below twice this and 8 s gives a batch up sooner.
    package var deliveryTimeout: Duration
    /// How long the batch in hand may take once a stop is asked for.
    package var stopTimeout: Duration
    /// Messages of a batch, at most.
    package var batchMessages: Int
    /// Bytes of a payload; larger ones are dead letters.
    package var payloadLimit: Int
    /// Readings of one message; one with more is a dead letter.
    package var readingsLimit: Int
    /// Whether readings with their sender's time and without an id get one, by which a redelivered one is recognised.
    package var deduplicates: Bool

    package init(
      mqtt: MQTTConfiguration, group: String?, usualGroup: String? = nil, dialects: MQTTDialects = MQTTDialects(),
      zigbeeBase: String = Zigbee2MQTT.defaultBase, bounds: TimeBounds, deliveryTimeout: Duration,
      stopTimeout: Duration, batchMessages: Int = 5_000, payloadLimit: Int = 256 << 10, readingsLimit: Int = 1_000,
      deduplicates: Bool = true
    ) {
      self.mqtt = mqtt
      self.group = group
      self.usualGroup = usualGroup
      self.dialects = dialects
      self.zigbeeBase = zigbeeBase
      self.bounds = bounds
      self.deliveryTimeout = deliveryTimeout
      self.stopTimeout = stopTimeout
      self.batchMessages = batchMessages
      self.payloadLimit = payloadLimit
      self.readingsLimit = readingsLimit
      self.deduplicates = deduplicates
    }
  }

  /// Bytes of a batch: what bounds the memory when messages are large.
  static let batchBytes = 4 << 20

  let configuration: Configuration
  let subscriber: MQTTSubscriber
  let readings: ReadingProducer
  let metrics: BridgeMetrics
  let health: HealthComponent
  let state: StateLog
  private let deadLetters: DeadLetterProducer
  private let log: Log

  /// Makes the bridge; nothing connects yet.
  /// - Throws: when the MQTT configuration cannot work.
  package init(
    _ configuration: Configuration, readings: ReadingProducer, deadLetters: DeadLetterProducer, log: Log,
    health: Health, metrics: Metrics
  ) throws(MQTTError) {
    var configuration = configuration
    configuration.mqtt.cleanSession = false
    configuration.mqtt.maximumBatchBytes = Self.batchBytes
    // What comes before the answer to SUBSCRIBE is part of the first batch, which has to keep to its limit.
    configuration.mqtt.maximumInflight = 1
    self.configuration = configuration
    subscriber = try MQTTSubscriber(configuration.mqtt)
    self.readings = readings
    self.deadLetters = deadLetters
    self.log = log.component("mqtt")
    self.metrics = BridgeMetrics(metrics)
    self.health = health.component("mqtt")
    state = StateLog("mqtt", log: self.log, health: self.health)
  }

  /// Starts its thread.
  ///
  /// When a stop is asked for, it finishes the batch in hand, or leaves it to the next start when Kafka takes too long, then
  /// says good-bye to the broker, which keeps the session.
  /// - Parameter ended: called when the thread has ended: to close the producer that it used.
  package func start(under supervisor: Supervisor, ended: @escaping @Sendable () -> Void) {
    supervisor.start("mqtt-bridge") { [self] in
      let forwarder = Forwarder(
        readings: readings, deadLetters: deadLetters,
        translation: Translation(
          bounds: configuration.bounds, payloadLimit: configuration.payloadLimit,
          readingsLimit: configuration.readingsLimit, dialects: configuration.dialects,
          deduplicates: configuration.deduplicates),
        metrics: metrics, log: log)
      BridgeLoop(self, forwarder, supervisor).run()
      ended()
    }
    supervisor.onStop("mqtt") { [subscriber] in subscriber.wake() }
  }

  var subscriptions: Subscriptions {
    let known = [configuration.zigbeeBase, Zigbee2MQTT.defaultBase].flatMap { base in
      MQTTDialects(MQTTDialects.Dialect.allCases, zigbeeBase: base).filters
    }
    return Subscriptions(
      to: configuration.dialects.filters, known: known, group: configuration.group,
      usualGroup: configuration.usualGroup)
  }
}
