// The one table of settings: names, defaults, limits and meanings. Help and README are made from it.

private let everyone = Set(Role.allCases)
private let kafkaClients: Set<Role> = [.ingest, .bridge, .sink, .dev, .setup, .check, .dlq, .import]
private let producers: Set<Role> = [.ingest, .bridge, .sink, .dev, .check, .import]
private let databaseClients: Set<Role> = [.sink, .dev, .setup, .check]
private let sinks: Set<Role> = [.sink, .dev, .check]
private let bridges: Set<Role> = [.bridge, .dev, .check]
private let ingests: Set<Role> = [.ingest, .dev, .check]
private let services: Set<Role> = [.ingest, .bridge, .sink, .dev, .check]

extension Setting {
  /// All settings, in the order in which help lists them.
  package static let all: [Setting] = [
    kafkaBrokers, kafkaTopic, kafkaDeadLetterTopic, kafkaConfig, kafkaGroup, kafkaPartitions, kafkaReplication,
    kafkaDeliveryTimeout, kafkaLinger, kafkaQueueMessages, kafkaQueueBytes,
    mongodbURI, mongodbDatabase, mongodbLayout, mongodbTimeout,
    retention, futureTolerance, deduplicationWindow, batchReadings, batchDelay, summariesInterval,
    mqttURL, mqttClientID, mqttKeepAlive, mqttShare, mqttDeduplication, mqttDialects, mqttZigbeeBase,
    httpListen, httpThreads, httpConnections, httpConnectionsPerAddress, httpBodyLimit, httpReadingsLimit,
    httpBodyTimeout, httpIdleTimeout, httpMemoryLimit, httpRatePerAddress, httpRatePerAddressBurst,
    streamConnections, streamInFlight, streamPingInterval, streamIdleTimeout,
    jobsDirectory, jobsKept, jobsConcurrent, jobsSilence, jobsPatience, jobsFetchAllow,
    auth, keysFile, httpCORSOrigins, tlsCertificate, tlsKey, tlsClientCA,
    boxesFile, influxdbDeviceTags,
    managementListen, logLevel, logFormat, shutdownTimeout, config,
  ]

  // MARK: Kafka

  package static let kafkaBrokers = Setting(
    "SLUICE_KAFKA_BROKERS", .brokers, .text("127.0.0.1:9092"), roles: kafkaClients,
    "Kafka brokers to begin with; they name the others.")
  package static let kafkaTopic = Setting(
    "SLUICE_KAFKA_TOPIC", .topic, .text("sensor-data"), roles: kafkaClients, "Topic of the readings.")
  package static let kafkaDeadLetterTopic = Setting(
    "SLUICE_KAFKA_DEAD_LETTER_TOPIC", .topic, .derived(from: "SLUICE_KAFKA_TOPIC", suffix: ".dlq"),
    roles: [.bridge, .sink, .dev, .setup, .check, .dlq], "Topic of the messages that cannot be stored.")
  package static let kafkaConfig = Setting(
    "SLUICE_KAFKA_CONFIG", .keyValues, .text(""), roles: kafkaClients, secret: true,
    "Properties of librdkafka, such as security.protocol=sasl_ssl;sasl.username=…")
  package static let kafkaGroup = Setting(
    "SLUICE_KAFKA_GROUP", .text(maximum: 255), .text("sluice-sink"), roles: sinks,
    "Consumer group; all sinks of one database share it.")
  package static let kafkaPartitions = Setting(
    "SLUICE_KAFKA_PARTITIONS", .integer(1...10_000), .byRole([.dev: "16"], otherwise: "4"),
    roles: [.setup, .dev, .check],
    "Partitions of a topic when it is created; no more sinks than that can work at once.")
  package static let kafkaReplication = Setting(
    "SLUICE_KAFKA_REPLICATION", .integer(0...100), .text("0"), roles: [.setup, .dev, .check],
    "Copies of each partition when a topic is created; 3 survives the loss of a broker; 0: one per broker, at most 3.")
  package static let kafkaDeliveryTimeout = Setting(
    "SLUICE_KAFKA_DELIVERY_TIMEOUT", .duration(.milliseconds(100) ... .seconds(3_600)), .text("10s"),
    roles: producers, "How long Kafka may take to acknowledge a message before its sender is told to repeat it.")
  package static let kafkaLinger = Setting(
    "SLUICE_KAFKA_LINGER", .duration(.zero ... .seconds(60)), .text("2ms"), roles: producers,
    "How long a message may wait for others to be sent with it.")
  package static let kafkaQueueMessages = Setting(
    "SLUICE_KAFKA_QUEUE_MESSAGES", .integer(1...10_000_000), .text("100000"), roles: producers,
    "Messages that may wait for Kafka; further ones are refused.")
  package static let kafkaQueueBytes = Setting(
    "SLUICE_KAFKA_QUEUE_BYTES", .bytes(1 << 20...1 << 40), .text("64MiB"), roles: producers,
    "Bytes of messages that may wait for Kafka; further ones are refused.")

  // MARK: MongoDB

  package static let mongodbURI = Setting(
    "SLUICE_MONGODB_URI", .uri(["mongodb", "mongodb+srv"]), .text("mongodb://127.0.0.1:27017"),
    roles: databaseClients, secret: true, "MongoDB's connection string, with its user and password.")
  package static let mongodbDatabase = Setting(
    "SLUICE_MONGODB_DATABASE", .text(forbidden: "/\\. \"$*<>:|?", maximum: 63), .text("sluice"),
    roles: databaseClients, "Database of the readings.")
  package static let mongodbLayout = Setting(
    "SLUICE_MONGODB_LAYOUT", .oneOf(["timeseries", "documents"]), .text("timeseries"), roles: databaseClients,
    "A time-series collection, or a plain one for servers without and for deletes and updates.")
  // A sink that is told to stop may wait for an answer, and as long again to take leave of a server that hangs: twice this
  // is to be less than `shutdownTimeout`.
  package static let mongodbTimeout = Setting(
    "SLUICE_MONGODB_TIMEOUT", .duration(.milliseconds(100) ... .seconds(3_600)), .text("8s"),
    roles: databaseClients, "How long the database may take to answer.")

  // MARK: Readings

  package static let retention = Setting(
    "SLUICE_RETENTION", .duration(.seconds(1) ... .seconds(2_147_483_647)), .text("90d"),
    roles: [.ingest, .bridge, .sink, .dev, .setup, .check, .dlq, .import],
    "How long readings are kept, from the time they were measured; older ones are refused.")
  package static let futureTolerance = Setting(
    "SLUICE_FUTURE_TOLERANCE", .duration(.zero ... .seconds(365 * 86_400)), .text("5m"),
    roles: services.union([.dlq, .import]), "How far ahead of this machine's clock a reading may be.")
  package static let deduplicationWindow = Setting(
    "SLUICE_DEDUPLICATION_WINDOW", .duration(.seconds(1) ... .seconds(2_147_483_647)), .text("24h"),
    roles: databaseClients, "How long a sender's id is remembered.")
  package static let batchReadings = Setting(
    // The embedded database is slow: a batch must not take it longer than it may take to answer.
    "SLUICE_BATCH_READINGS", .integer(1...100_000), .byRole([.dev: "1000"], otherwise: "5000"), roles: sinks,
    "Readings that are written to MongoDB at once, at most.")
  package static let batchDelay = Setting(
    "SLUICE_BATCH_DELAY", .duration(.zero ... .seconds(60)), .text("5ms"), roles: sinks,
    "How long a reading waits for others to be written with it, while nothing else is being written.")

  package static let summariesInterval = Setting(
    "SLUICE_SUMMARIES_INTERVAL", .duration(.zero ... .seconds(86_400)), .byRole([.dev: "0s"], otherwise: "10m"),
    roles: sinks, "How often hours and days that changed are summarised for dashboards, by one sink of all; 0s: never.")

  // MARK: MQTT

  package static let mqttURL = Setting(
    "SLUICE_MQTT_URL", .uri(["mqtt", "mqtts"]), .text("mqtt://127.0.0.1:1883"),
    roles: [.bridge, .dev, .check, .simulate], secret: true,
    "MQTT broker, with user and password where it wants them: mqtt://user:password@host:1883, mqtts:// for TLS.")
  package static let mqttClientID = Setting(
    "SLUICE_MQTT_CLIENT_ID", .text(maximum: 65_535), .text("sluice-bridge"), roles: bridges,
    "Client id, another for each bridge and always the same: the broker keeps its messages under it.")
  package static let mqttKeepAlive = Setting(
    "SLUICE_MQTT_KEEP_ALIVE", .seconds(5...65_535), .text("60s"), roles: bridges,
    "Silence after which broker and bridge take each other for gone.")
  package static let mqttShare = Setting(
    "SLUICE_MQTT_SHARE", .text(forbidden: "/+#", maximum: 1_024, mayBeEmpty: true),
    // With one bridge there is nothing to split, and brokers forget shared subscriptions when they are restarted.
    .byRole([.dev: ""], otherwise: "sluice"), roles: bridges,
    "Group of the shared subscription that bridges split; empty: each bridge gets everything.")
  package static let mqttDeduplication = Setting(
    "SLUICE_MQTT_DEDUPLICATION", .boolean, .text("on"), roles: bridges,
    "Whether a reading with ts and no id is stored once when the broker redelivers it; costs the sink an insert each.")

  package static let mqttDialects = Setting(
    "SLUICE_MQTT_DIALECTS", .someOf(["sluice", "tasmota", "zigbee2mqtt", "ttn"]), .text("sluice"),
    roles: bridges.union([.dlq]), "What is subscribed to, and read.")
  package static let mqttZigbeeBase = Setting(
    "SLUICE_MQTT_ZIGBEE2MQTT_BASE", .text(forbidden: "+#", maximum: 1_024), .text("zigbee2mqtt"),
    roles: bridges.union([.dlq]), "Zigbee2MQTT's mqtt.base_topic.")

  // MARK: HTTP

  package static let httpListen = Setting(
    "SLUICE_HTTP_LISTEN", .listen, .text("127.0.0.1:8080"), roles: ingests, "Where readings are taken.")
  package static let httpThreads = Setting(
    "SLUICE_HTTP_THREADS", .integer(1...256), .text("1"), roles: ingests, "Threads that serve HTTP.")
  package static let httpConnections = Setting(
    "SLUICE_HTTP_CONNECTIONS", .integer(1...1_000_000), .text("10000"), roles: ingests,
    "Connections at once.")
  package static let httpConnectionsPerAddress = Setting(
    "SLUICE_HTTP_CONNECTIONS_PER_ADDRESS", .integer(0...1_000_000), .text("0"), roles: ingests,
    "Connections at once from one address; 0: no limit.")
  package static let httpBodyLimit = Setting(
    "SLUICE_HTTP_BODY_LIMIT", .bytes(1 << 10...1 << 30), .text("8MiB"), roles: ingests,
    "Largest body of a request, also after it was decompressed.")
  package static let httpReadingsLimit = Setting(
    "SLUICE_HTTP_READINGS_LIMIT", .integer(1...1_000_000), .text("10000"), roles: ingests,
    "Readings in one request.")
  package static let httpBodyTimeout = Setting(
    "SLUICE_HTTP_BODY_TIMEOUT", .duration(.seconds(1) ... .seconds(3_600)), .text("30s"), roles: ingests,
    "How long a client may take to send a request; of the body of a job see SLUICE_JOBS_SILENCE.")
  package static let httpIdleTimeout = Setting(
    "SLUICE_HTTP_IDLE_TIMEOUT", .duration(.seconds(1) ... .seconds(86_400)), .text("60s"), roles: ingests,
    "How long a connection may be silent.")
  package static let httpMemoryLimit = Setting(
    "SLUICE_HTTP_MEMORY_LIMIT", .bytes(1 << 20...1 << 40), .text("256MiB"), roles: ingests,
    "Bytes of bodies held at once; further requests are told to come later.")
  package static let httpRatePerAddress = Setting(
    "SLUICE_HTTP_RATE_PER_ADDRESS", .integer(0...1_000_000_000), .text("0"), roles: ingests,
    "Readings per second from one address, in the long run; 0: no limit.")
  package static let httpRatePerAddressBurst = Setting(
    "SLUICE_HTTP_RATE_PER_ADDRESS_BURST", .integer(0...1_000_000), .text("0"), roles: ingests,
    "Readings at once from one address, after a silence; 0: those of ten seconds.")
  package static let auth = Setting(
    "SLUICE_AUTH", .oneOf(["auto", "keys", "off", "off-anywhere"]), .text("auto"), roles: ingests,
    "Whether clients need a key; auto: where SLUICE_KEYS_FILE is set or other machines can connect.")
  package static let keysFile = Setting(
    "SLUICE_KEYS_FILE", .path, .text(""), roles: [.ingest, .dev, .check, .keys],
    "File of the keys, which sluice keys writes; it is reread when it changes.")
  package static let streamConnections = Setting(
    "SLUICE_STREAM_CONNECTIONS", .integer(1...1_000_000), .text("1000"), roles: ingests,
    "WebSockets at once, which count as connections too.")
  package static let streamInFlight = Setting(
    "SLUICE_STREAM_IN_FLIGHT", .integer(1...100_000), .text("1000"), roles: ingests,
    "Messages of one WebSocket that may wait for Kafka; until there are fewer, nothing more is read from it.")
  package static let streamPingInterval = Setting(
    "SLUICE_STREAM_PING_INTERVAL", .duration(.seconds(1) ... .seconds(3_600)), .text("20s"), roles: ingests,
    "Silence of a WebSocket after which it gets a ping; as much again, and it is cut off.")
  package static let streamIdleTimeout = Setting(
    "SLUICE_STREAM_IDLE_TIMEOUT", .duration(.seconds(1) ... .seconds(86_400)), .text("10m"), roles: ingests,
    "How long a WebSocket may be without a message.")
  package static let jobsDirectory = Setting(
    "SLUICE_JOBS_DIRECTORY", .path, .text(""), roles: ingests,
    "Folder of the records of jobs, another for each process; empty: in memory, and gone when the process ends.")
  package static let jobsKept = Setting(
    "SLUICE_JOBS_KEPT", .integer(1...10_000), .text("200"), roles: ingests,
    "Records of jobs that are kept; of the client that has most, the oldest goes first.")
  package static let jobsConcurrent = Setting(
    "SLUICE_JOBS_CONCURRENT", .integer(1...64), .text("4"), roles: ingests,
    "Jobs at once, each with a thread and up to 40 MiB; further ones are told to come later.")
  package static let jobsSilence = Setting(
    "SLUICE_JOBS_SILENCE", .duration(.seconds(1) ... .seconds(3_600)), .text("60s"), roles: ingests,
    "How long nothing may come from the client, or the server, of a job.")
  package static let jobsPatience = Setting(
    "SLUICE_JOBS_PATIENCE", .duration(.seconds(1) ... .seconds(86_400)), .text("5m"), roles: ingests,
    "How long a job waits for Kafka to acknowledge anything.")
  package static let jobsFetchAllow = Setting(
    "SLUICE_JOBS_FETCH_ALLOW", .text(mayBeEmpty: true), .text(""), roles: ingests,
    "From where jobs may fetch, such as https://data.example.org/exports/, separated by commas; empty: from nowhere.")
  package static let tlsCertificate = Setting(
    "SLUICE_TLS_CERTIFICATE", .path, .text(""), roles: ingests,
    "PEM file of the certificate and its chain; empty: HTTP without TLS.")
  package static let tlsKey = Setting(
    "SLUICE_TLS_KEY", .path, .text(""), roles: ingests, "PEM file of the certificate's private key.")
  package static let tlsClientCA = Setting(
    "SLUICE_TLS_CLIENT_CA", .path, .text(""), roles: ingests,
    "PEM file of those who vouch for clients' certificates; empty: none are asked for.")
  package static let httpCORSOrigins = Setting(
    "SLUICE_HTTP_CORS_ORIGINS", .text(mayBeEmpty: true), .text(""), roles: ingests,
    "Origins whose pages may send from a browser, separated by commas; * for all, empty for none.")

  package static let boxesFile = Setting(
    "SLUICE_BOXES_FILE", .path, .text(""), roles: ingests,
    "JSON file of openSenseMap boxes, as its GET /boxes/{id} writes them, for names in place of ids; reread when changed."
  )
  package static let influxdbDeviceTags = Setting(
    "SLUICE_INFLUXDB_DEVICE_TAGS", .text(), .text("device,host"), roles: ingests,
    "Tags of line protocol that name the device: the first of them that a line has.")

  // MARK: The process

  package static let managementListen = Setting(
    "SLUICE_MANAGEMENT_LISTEN", .listen,
    .byRole([.bridge: "127.0.0.1:9091", .sink: "127.0.0.1:9095"], otherwise: "127.0.0.1:9090"), roles: services,
    "Where /healthz, /readyz and /metrics are.")
  package static let logLevel = Setting(
    "SLUICE_LOG_LEVEL", .oneOf(Log.Level.allCases.map(\.rawValue)), .text("info"), roles: everyone,
    "Events below this level are not written.")
  package static let logFormat = Setting(
    "SLUICE_LOG_FORMAT", .oneOf(Log.Format.allCases.map(\.rawValue)), .text("text"), roles: everyone,
    "Lines to read, or one JSON object a line.")
  package static let shutdownTimeout = Setting(
    "SLUICE_SHUTDOWN_TIMEOUT", .duration(.milliseconds(100) ... .seconds(3_600)), .text("20s"),
    roles: [.ingest, .bridge, .sink, .dev, .check, .dlq, .import, .simulate],
    "How long the process may take to finish its work when it is told to stop.")
  package static let config = Setting(
    "SLUICE_CONFIG", .path, .text(""), roles: everyone,
    "File of lines NAME=value, as systemd's EnvironmentFile; environment and flags go before it.")
}
