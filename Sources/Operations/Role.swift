/// What a process of Sluice is: its subcommand.
package enum Role: String, Sendable, CaseIterable {
  case ingest, bridge, sink, dev, setup, check, keys, dlq, `import`, simulate

  /// What it does, in one line.
  package var summary: String {
    switch self {
    case .ingest: "takes readings over HTTP and puts them on the Kafka topic"
    case .bridge: "takes readings from MQTT and puts them on the Kafka topic"
    case .sink: "writes the readings on the Kafka topic to MongoDB"
    case .dev: "runs everything in one process, with embedded servers"
    case .setup: "creates topics, collections and indexes; may be repeated"
    case .check: "says what is wrong with the settings and the servers"
    case .keys: "creates, lists, rotates and revokes the keys of those who send over HTTP"
    case .dlq: "lists, shows and puts back what could not be stored: dlq list, dlq show, dlq redrive"
    case .import: "puts the readings of files on the Kafka topic: NDJSON, CSV, line protocol, SenML"
    case .simulate: "plays a fleet of sensors, over HTTP or MQTT"
    }
  }
}
