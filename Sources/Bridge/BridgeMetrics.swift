import Operations

/// What the bridge counts. What became of the readings is counted where they are produced.
struct BridgeMetrics {
  /// Messages from the broker, repeated ones as often as they came.
  let received: Counter
  /// Messages that the broker was told to forget, for Kafka has what they held.
  let acknowledged: Counter
  /// Messages kept by the broker from before, which are not stored.
  let retained: Counter
  /// Messages with nothing to store, and nothing wrong with them.
  let empty: Counter
  /// Dead letters that Kafka took, by reason.
  let dead: MetricFamily<Counter>
  /// Messages that Kafka took neither whole nor in part.
  let discarded: Counter
  /// Connections given up, by whose fault it was.
  let outages: MetricFamily<Counter>
  let batchSizes: Histogram
  let batchDuration: Histogram

  init(_ metrics: Metrics) {
    received = metrics.counter("sluice_mqtt_received_total", "MQTT messages received, repeated ones included.")
    acknowledged = metrics.counter("sluice_mqtt_acknowledged_total", "MQTT messages acknowledged: Kafka has them.")
    retained = metrics.counter("sluice_mqtt_retained_total", "Retained MQTT messages, which are not stored.")
    empty = metrics.counter(
      "sluice_mqtt_empty_total", "MQTT messages that hold no reading by their nature, such as a bridge's own state.")
    dead = metrics.counters("sluice_mqtt_dead_total", "MQTT messages put on the dead-letter topic.", labels: ["reason"])
    discarded = metrics.counter("sluice_mqtt_discarded_total", "MQTT messages too large even as a dead letter.")
    outages = metrics.counters(
      "sluice_mqtt_outages_total", "Connections to the MQTT broker given up, by whose fault.", labels: ["cause"])
    batchSizes = metrics.histogram("sluice_mqtt_batch_messages", "MQTT messages per batch.", bounds: Histogram.sizes)
    batchDuration = metrics.histogram(
      "sluice_mqtt_batch_duration_seconds", "From a batch's receipt to its acknowledgement.")
  }
}
