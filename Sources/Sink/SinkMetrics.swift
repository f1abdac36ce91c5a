import Operations

/// What the sink counts.
struct SinkMetrics: Sendable {
  /// Upper bounds in seconds: what is to be a few milliseconds when nothing is wrong, and hours after an outage.
  private static let ages: [Double] = [
    0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600,
  ]

  let consumed: Counter
  let written: Counter
  let recovered: Counter
  let surplus: Counter
  let repeated: Counter
  let dead: MetricFamily<Counter>
  let unknownMembers: Counter
  let batchSizes: Histogram
  let writeDurations: Histogram
  let ages: Histogram
  let flushDurations: Histogram
  let waitingDevices: Gauge
  let lag: MetricFamily<Gauge>
  let lastWrite: Gauge

  init(_ metrics: Metrics) {
    consumed = metrics.counter("sluice_sink_consumed_total", "Messages read from the topic.")
    written = metrics.counter("sluice_sink_written_total", "Readings stored in MongoDB.")
    recovered = metrics.counter(
      "sluice_sink_recovered_total", "Readings that an earlier owner had stored, found so and not stored again.")
    surplus = metrics.counter(
      "sluice_sink_late_copies_total", "Copies of readings that landed late and were removed.")
    repeated = metrics.counter(
      "sluice_sink_repeated_total", "Readings whose number or sender's id was stored before, and which were left out.")
    dead = metrics.counters(
      "sluice_sink_dead_letters_total", "Messages that could not be stored, by reason.", labels: ["reason"])
    unknownMembers = metrics.counter(
      "sluice_sink_unknown_members_total", "Members that the contract does not know, left out of what is stored.")
    batchSizes = metrics.histogram("sluice_sink_batch_readings", "Readings of a batch.", bounds: Histogram.sizes)
    writeDurations = metrics.histogram("sluice_sink_write_duration_seconds", "From a batch's hand-over to its end.")
    ages = metrics.histogram(
      "sluice_sink_age_seconds", "From a reading's arrival at Sluice until it is stored.", bounds: Self.ages)
    flushDurations = metrics.histogram(
      "sluice_sink_flush_duration_seconds", "From when device states are to be written until they are.")
    waitingDevices = metrics.gauge(
      "sluice_sink_waiting_devices", "Devices whose state is behind what is stored of them.")
    lag = metrics.gauges(
      "sluice_sink_lag", "Messages of the topic that are not written yet, by partition.", labels: ["partition"])
    let lastWrite = metrics.gauge(
      "sluice_sink_last_write_timestamp_seconds", "When the last batch was written, in seconds since 1970.")
    self.lastWrite = lastWrite
    metrics.gauge("sluice_sink_last_write_age_seconds", "Seconds since the last batch was written.") {
      lastWrite.value == 0 ? nil : Double(Clock.nowMilliseconds()) / 1_000 - lastWrite.value
    }
  }
}
