from .panel import dashboard, graph, prometheus, stat

RATE = "[$__rate_interval]"


def quantiles(metric, by=""):
    grouping = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        prometheus(f"histogram_quantile({share}, sum by ({grouping}) (rate({metric}_bucket{RATE})))", f"p{int(share * 100)}{legend}", ref)
        for share, ref in ((0.5, "A"), (0.99, "B"))
    ]


SLUICE = dashboard(
    "sluice-itself", "Sluice itself", "The processes of Sluice, by what they tell Prometheus.",
    [],
    [
        stat("Running", "Processes that Prometheus reaches, by role.", [prometheus("sum by (job) (up{job=~\"sluice-.*\"})", "{{job}}", instant=True)], size=(8, 6)),
        stat("Behind", "Messages on the topic that are not in MongoDB yet.", [prometheus("sum(sluice_sink_lag)", "messages", instant=True)], size=(8, 6)),
        stat("Last write", "How long ago a sink last wrote something.",
             [prometheus("min(sluice_sink_last_write_age_seconds)", "ago", instant=True)], size=(8, 6), unit="s"),
        "Rates",
        graph("From the topic to the database", "Messages read from the topic, and readings stored, per second.",
              [prometheus("sluice:consumed:rate", "read"), prometheus("sluice:written:rate", "stored", "B")], unit="ops"),
        graph("Into Kafka", "Messages handed to Kafka, acknowledged by it, and failed, per second.",
              [
                  prometheus(f"sum(rate(sluice_kafka_produced_total{RATE}))", "handed over"),
                  prometheus(f"sum(rate(sluice_kafka_acknowledged_total{RATE}))", "acknowledged", "B"),
                  prometheus(f"sum(rate(sluice_kafka_failed_total{RATE}))", "failed", "C"),
              ], unit="ops"),
        graph("HTTP requests", "Requests per second, by status.",
              [prometheus(f"sum by (status) (rate(sluice_http_requests_total{RATE}))", "{{status}}")], unit="reqps", stacked=True),
        graph("MQTT messages", "Messages received, and acknowledged because Kafka has them, per second.",
              [
                  prometheus(f"sum(rate(sluice_mqtt_received_total{RATE}))", "received"),
                  prometheus(f"sum(rate(sluice_mqtt_acknowledged_total{RATE}))", "acknowledged", "B"),
              ], unit="ops"),
        graph("Streams", "Messages of WebSocket streams per second, by what was answered.",
              [prometheus(f"sum by (result) (rate(sluice_stream_answers_total{RATE}))", "{{result}}")], unit="ops", stacked=True),
        graph("Refused for their key", "Requests, and items of requests, that their key does not allow, by reason; and streams that ended, by cause.",
              [
                  prometheus(f"sum by (reason) (increase(sluice_auth_refused_total{RATE}))", "{{reason}}"),
                  prometheus(f"sum by (cause) (increase(sluice_stream_closed_total{RATE}))", "stream: {{cause}}", "B"),
              ], bars=True),
        "Latencies",
        graph("HTTP", "From a request's head to the end of its answer, which waits for Kafka.",
              quantiles("sluice_http_request_duration_seconds", "route"), unit="s"),
        graph("MQTT batches", "From a batch's receipt to its acknowledgement.", quantiles("sluice_mqtt_batch_duration_seconds"), unit="s"),
        graph("Writes", "From a batch's hand-over to the writer until it is stored.", quantiles("sluice_sink_write_duration_seconds"), unit="s"),
        graph("Until stored", "From a reading's arrival at Sluice until it is in MongoDB.", quantiles("sluice_sink_age_seconds"), unit="s"),
        graph("Device states", "From when the states of devices are to be written until they are.", quantiles("sluice_sink_flush_duration_seconds"), unit="s"),
        graph("Size of batches", "Readings written to MongoDB at once, and MQTT messages handed to Kafka at once: the median.",
              [
                  prometheus(f"histogram_quantile(0.5, sum by (le) (rate(sluice_sink_batch_readings_bucket{RATE})))", "sink"),
                  prometheus(f"histogram_quantile(0.5, sum by (le) (rate(sluice_mqtt_batch_messages_bucket{RATE})))", "bridge", "B"),
              ]),
        "Lag and errors",
        graph("Lag", "Messages of each partition that are not in MongoDB yet.", [prometheus("max by (partition) (sluice_sink_lag)", "{{partition}}")]),
        graph("Device states that wait", "Devices whose state is behind what is stored of them.", [prometheus("sum by (job) (sluice_sink_waiting_devices)", "{{job}}")]),
        graph("Waiting for Kafka", "Messages that wait for Kafka's acknowledgement, and bytes of request bodies held meanwhile.",
              [prometheus("sum by (job) (sluice_kafka_queue_messages)", "{{job}}"), prometheus("sum(sluice_http_body_bytes)", "bytes of bodies", "B")]),
        graph("Errors", "What failed: messages Kafka did not take, producers replaced, connections to the MQTT broker given up, answers 5xx.",
              [
                  prometheus(f"sum(increase(sluice_kafka_failed_total{RATE}))", "not taken by Kafka"),
                  prometheus(f"sum(increase(sluice_kafka_producers_replaced_total{RATE}))", "producers replaced", "B"),
                  prometheus(f"sum by (cause) (increase(sluice_mqtt_outages_total{RATE}))", "MQTT: {{cause}}", "C"),
                  prometheus(f'sum(increase(sluice_http_requests_total{{status=~"5.."}}{RATE}))', "HTTP 5xx", "D"),
                  prometheus(f"sum(increase(sluice_mqtt_discarded_total{RATE}))", "MQTT: too large", "E"),
              ], bars=True, stacked=True),
        graph("Recovered", "After a crash or a takeover: readings found stored and not stored again, and late copies removed.",
              [
                  prometheus(f"sum(increase(sluice_sink_recovered_total{RATE}))", "found stored"),
                  prometheus(f"sum(increase(sluice_sink_late_copies_total{RATE}))", "late copies removed", "B"),
              ], bars=True),
        "Processes",
        graph("Memory", "Resident memory of each process.",
              [prometheus('process_resident_memory_bytes{job=~"sluice-.*"}', "{{job}} {{instance}}")], unit="bytes"),
        graph("Processor", "Processor time of each process: 1 is one core.",
              [prometheus(f'rate(process_cpu_seconds_total{{job=~"sluice-.*"}}{RATE})', "{{job}} {{instance}}")]),
        graph("Connections", "Open HTTP connections and streams, and open files of each process.",
              [prometheus("sum(sluice_http_connections)", "HTTP"), prometheus("sum(sluice_stream_connections)", "streams", "C"), prometheus('process_open_fds{job=~"sluice-.*"}', "files of {{job}} {{instance}}", "B")]),
    ],
    since="now-3h", refresh="30s",
)
