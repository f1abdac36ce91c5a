import Operations

/// What the sink counts.
struct SinkMetrics: Sendable {
  let consumed: Counter
  let written: Counter
  let recovered: Counter
  let surplus: Counter
  let repeated: Counter
  let dead: MetricFamily<Counter>
  let unknownMembers: Counter
  let batchSizes: Histogram
  let writeDurations: Histogram
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
