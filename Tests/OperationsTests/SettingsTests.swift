import Glibc
import Testing

@testable import Operations

/// Loads settings, with files given as text.
func load(
  _ role: Role = .ingest, _ arguments: [String] = [], environment: [String: String] = [:],
  files: [String: String] = [:], commandFlags: [CommandFlag] = []
) throws(SettingsError) -> (settings: Settings, rest: [String]) {
  try Settings.load(
    role: role, arguments: arguments, environment: environment, commandFlags: commandFlags
  ) { path throws(SystemError) in
    guard let text = files[path] else { throw SystemError(code: 2) }
    return Array(text.utf8)
  }
}

/// The message that settings are refused with.
func refusal(
  _ role: Role = .ingest, _ arguments: [String] = [], environment: [String: String] = [:],
  files: [String: String] = [:], commandFlags: [CommandFlag] = []
) -> String? {
  do {
    _ = try load(role, arguments, environment: environment, files: files, commandFlags: commandFlags)
    return nil
  } catch {
    return error.message
  }
}

@Suite struct SettingsTests {
  // MARK: The table

  @Test func tableIsSound() {
    #expect(Set(Setting.all.map(\.name)).count == Setting.all.count)
    for setting in Setting.all {
      #expect(setting.name.hasPrefix("SLUICE_") && setting.name == setting.name.uppercased())
      #expect(!setting.roles.isEmpty && setting.help.hasSuffix(".") != setting.help.hasSuffix("…"))
      #expect(!setting.help.contains("\n") && setting.help.count < 120)
      // A secret's file variable must not be another setting.
      if setting.isSecret { #expect(!Setting.all.contains { $0.name == setting.fileName }) }
    }
  }

  /// The names and defaults that operators rely on.
  @Test(arguments: [
    ("SLUICE_KAFKA_BROKERS", "127.0.0.1:9092"), ("SLUICE_KAFKA_TOPIC", "sensor-data"),
    ("SLUICE_KAFKA_DEAD_LETTER_TOPIC", "sensor-data.dlq"), ("SLUICE_KAFKA_CONFIG", ""),
    ("SLUICE_KAFKA_GROUP", "sluice-sink"), ("SLUICE_KAFKA_PARTITIONS", "16"), ("SLUICE_KAFKA_REPLICATION", "0"),
    ("SLUICE_KAFKA_DELIVERY_TIMEOUT", "10s"), ("SLUICE_KAFKA_LINGER", "2ms"),
    ("SLUICE_KAFKA_QUEUE_MESSAGES", "100000"), ("SLUICE_KAFKA_QUEUE_BYTES", "64MiB"),
    ("SLUICE_MONGODB_URI", "mongodb://127.0.0.1:27017"), ("SLUICE_MONGODB_DATABASE", "sluice"),
    ("SLUICE_MONGODB_LAYOUT", "timeseries"), ("SLUICE_MONGODB_TIMEOUT", "8s"), ("SLUICE_RETENTION", "90d"),
    ("SLUICE_FUTURE_TOLERANCE", "5m"), ("SLUICE_DEDUPLICATION_WINDOW", "24h"), ("SLUICE_BATCH_READINGS", "1000"),
    ("SLUICE_BATCH_DELAY", "5ms"), ("SLUICE_MQTT_URL", "mqtt://127.0.0.1:1883"),
    ("SLUICE_MQTT_CLIENT_ID", "sluice-bridge"), ("SLUICE_MQTT_KEEP_ALIVE", "60s"), ("SLUICE_MQTT_SHARE", ""),
    ("SLUICE_HTTP_LISTEN", "127.0.0.1:8080"), ("SLUICE_HTTP_THREADS", "1"), ("SLUICE_HTTP_CONNECTIONS", "10000"),
    ("SLUICE_HTTP_CONNECTIONS_PER_ADDRESS", "0"), ("SLUICE_HTTP_BODY_LIMIT", "8MiB"),
    ("SLUICE_HTTP_READINGS_LIMIT", "10000"), ("SLUICE_HTTP_BODY_TIMEOUT", "30s"), ("SLUICE_HTTP_IDLE_TIMEOUT", "60s"),
    ("SLUICE_HTTP_MEMORY_LIMIT", "256MiB"), ("SLUICE_TLS_CERTIFICATE", ""),
    ("SLUICE_TLS_KEY", ""), ("SLUICE_MANAGEMENT_LISTEN", "127.0.0.1:9090"), ("SLUICE_LOG_LEVEL", "info"),
    ("SLUICE_LOG_FORMAT", "text"), ("SLUICE_SHUTDOWN_TIMEOUT", "20s"), ("SLUICE_CONFIG", ""),
  ])
  func defaults(name: String, value: String) throws {
    let settings = try load(.dev).settings
    let setting = try #require(Setting.all.first { $0.name == name })
    #expect(settings.string(setting) == value)
    #expect(settings.origin(setting) == .default)
  }

  @Test(arguments: Role.allCases) func everyRoleStartsWithoutSettings(role: Role) throws {
    let (settings, rest) = try load(role)
    #expect(rest.isEmpty && settings.role == role)
    #expect(settings.effective.map(\.name) == Setting.all.filter { $0.roles.contains(role) }.map(\.name))
    #expect(settings.effective.allSatisfy { $0.origin == .default })
  }

  @Test func managementAddressDependsOnTheRole() throws {
    func address(_ role: Role) throws -> String { try load(role).settings.string(.managementListen) }
    #expect(try address(.ingest) == "127.0.0.1:9090")
    #expect(try address(.bridge) == "127.0.0.1:9091")
    #expect(try address(.sink) == "127.0.0.1:9095")
    #expect(try address(.dev) == "127.0.0.1:9090")
  }

  @Test func deadLetterTopicFollowsTheTopic() throws {
    let settings = try load(.sink, environment: ["SLUICE_KAFKA_TOPIC": "t"]).settings
    #expect(settings.string(.kafkaDeadLetterTopic) == "t.dlq")
    #expect(try load(.sink, ["--kafka-dead-letter-topic=d"]).settings.string(.kafkaDeadLetterTopic) == "d")
    let long = String(repeating: "t", count: 249)
    #expect(refusal(.sink, ["--kafka-topic", long])?.hasPrefix("SLUICE_KAFKA_DEAD_LETTER_TOPIC: its default") == true)
  }

  @Test func typedAccess() throws {
    let settings = try load(
      .dev, ["--kafka-config", "a=1;b=2", "--http-listen", "[::1]:0", "--batch-delay=1500ms"]
    ).settings
    #expect(settings.int(.kafkaPartitions) == 16)
    #expect(try load(.setup, []).settings.int(.kafkaPartitions) == 4)
    #expect(settings.bytes(.httpBodyLimit) == 8 << 20)
    #expect(settings.duration(.retention) == .seconds(90 * 86_400))
    #expect(settings.milliseconds(.batchDelay) == 1_500)
    #expect(settings.listenAddress(.httpListen) == ListenAddress(host: "::1", port: 0))
    #expect(settings.keyValues(.kafkaConfig).map(\.key) == ["a", "b"])
    #expect(settings.keyValues(.kafkaConfig).map(\.value) == ["1", "2"])
    #expect(settings.enumeration(.logLevel, as: Log.Level.self) == .info)
    let format: Log.Format = settings.enumeration(.logFormat)
    #expect(format == .text)
    #expect(!settings.log(component: "x").isEnabled(.debug))
  }

  @Test func switches() throws {
    let table = [Setting("SLUICE_X", .boolean, .text("off"), roles: [.dev], "X.")]
    for (text, value) in [("on", true), ("TRUE", true), ("off", false), ("false", false)] {
      let (settings, _) = try Settings.load(
        table: table, role: .dev, arguments: ["--x", text], environment: [:], reading: SystemFile.read)
      #expect(settings.bool(table[0]) == value)
    }
    #expect(throws: SettingsError.self) {
      try Settings.load(table: table, role: .dev, arguments: ["--x=1"], environment: [:], reading: SystemFile.read)
    }
  }

  // MARK: Precedence

  /// All ways in which flag, environment and file may hold a value, the file named by the environment or by a flag.
  @Test(arguments: 0..<8) func precedence(places: Int) throws {
    let hasFlag = places & 1 != 0
    let hasVariable = places & 2 != 0
    let hasFile = places & 4 != 0
    for isNamedByFlag in [false, true] {
      var environment = hasVariable ? ["SLUICE_KAFKA_TOPIC": "variable"] : [:]
      if !isNamedByFlag { environment["SLUICE_CONFIG"] = "/c" }
      let settings = try load(
        .sink, (hasFlag ? ["--kafka-topic", "flag"] : []) + (isNamedByFlag ? ["--config", "/c"] : []),
        environment: environment, files: ["/c": hasFile ? "SLUICE_KAFKA_TOPIC=file" : ""]
      ).settings
      let expected: (String, Settings.Origin) =
        hasFlag
        ? ("flag", .flag)
        : hasVariable ? ("variable", .environment) : hasFile ? ("file", .file) : ("sensor-data", .default)
      #expect(settings.string(.kafkaTopic) == expected.0)
      #expect(settings.origin(.kafkaTopic) == expected.1)
    }
  }

  @Test func flagsOnTheCommandLine() throws {
    #expect(try load(.sink, ["--kafka-topic", "a"]).settings.string(.kafkaTopic) == "a")
    #expect(try load(.sink, ["--kafka-topic=a"]).settings.string(.kafkaTopic) == "a")
    #expect(try load(.sink, ["--kafka-topic", "a", "--kafka-topic=b"]).settings.string(.kafkaTopic) == "b")
    #expect(try load(.bridge, ["--mqtt-share="]).settings.string(.mqttShare) == "")
    #expect(try load(.bridge, ["--mqtt-share", ""]).settings.string(.mqttShare) == "")
    #expect(try load(.bridge, ["--mqtt-client-id=--x=y"]).settings.string(.mqttClientID) == "--x=y")
    #expect(try load(.sink, ["a", "--kafka-topic", "b", "c", "-", "--", "--d"]).rest == ["a", "c", "-", "--", "--d"])
    #expect(try load(.sink, ["--"]).rest.isEmpty)
    #expect(refusal(.sink, ["--kafka-topic"]) == "--kafka-topic needs a value: --kafka-topic VALUE")
    #expect(refusal(.sink, ["--kafka-topic", "--log-level", "info"])?.hasPrefix("--kafka-topic needs a value") == true)
  }

  @Test func flagsOfTheCommandItself() throws {
    let own = [CommandFlag("--rate", "NUMBER", "R."), CommandFlag("--forever", nil, "F.")]
    let (settings, rest) = try load(
      .simulate, ["--rate", "10", "--log-level=debug", "x", "--forever", "--rate=20"], commandFlags: own)
    #expect(rest == ["--rate=10", "x", "--forever", "--rate=20"])
    #expect(settings.string(.logLevel) == "debug")
    #expect(refusal(.simulate, ["--rate"], commandFlags: own) == "--rate needs a value: --rate VALUE")
    #expect(refusal(.simulate, ["--forever=1"], commandFlags: own)?.hasPrefix("--forever takes no value") == true)
    #expect(refusal(.simulate, ["--rat=1"], commandFlags: own)?.contains("the nearest is --rate") == true)
  }

  // MARK: Mistakes

  @Test func unknownVariablesAreRefusedWithTheNearest() {
    #expect(
      refusal(environment: ["SLUICE_KAFKA_BROKER": "x"])
        == "SLUICE_KAFKA_BROKER is no setting; the nearest is SLUICE_KAFKA_BROKERS; correct or remove it")
    #expect(refusal(environment: ["SLUICE_MONGO_URI": "x"])?.contains("SLUICE_MONGODB_URI;") == true)
    #expect(refusal(environment: ["SLUICE_": "x"])?.contains("is no setting") == true)
    #expect(refusal(environment: ["SLUICEX": "x", "sluice_kafka": "y", "KAFKA_BROKERS": "", "": ""]) == nil)
    #expect(refusal(environment: ["SLUICE_TEST_SERVERS": "x"]) == nil)
    // The first by name, whatever the dictionary's order.
    #expect(refusal(environment: ["SLUICE_ZZ": "", "SLUICE_AA": "", "SLUICE_MM": ""])?.hasPrefix("SLUICE_AA ") == true)
  }

  @Test func unknownFlagsAreRefusedWithTheNearestOfTheRole() {
    #expect(
      refusal(.sink, ["--kafka-broker", "x"])
        == "--kafka-broker is no flag of \"sluice sink\"; the nearest is --kafka-brokers; --help lists all")
    #expect(refusal(.sink, ["--htp-listen=x"])?.contains("--http-listen") == false)
    #expect(refusal(.sink, ["-x"])?.contains("is no flag") == true)
    #expect(refusal(.sink, ["--"]) == nil)
    #expect(
      refusal(.sink, ["--http-listen", "0.0.0.0:80"])
        == "--http-listen is not used by \"sluice sink\", only by ingest, dev, check; leave it out")
    #expect(refusal(.ingest, ["--mongodb-uri-file=x"])?.contains("is not used by") == true)
  }

  @Test func otherRolesVariablesAreAcceptedAndNotChecked() throws {
    let environment = ["SLUICE_HTTP_LISTEN": "nonsense", "SLUICE_MONGODB_URI_FILE": "/missing", "SLUICE_TLS_KEY": "k"]
    let settings = try load(.bridge, environment: environment).settings
    #expect(settings.string(.httpListen) == "127.0.0.1:8080")
    #expect(refusal(.ingest, environment: environment)?.hasPrefix("SLUICE_HTTP_LISTEN: \"nonsense\"") == true)
    // Those that will do are there all the same.
    #expect(
      try load(.bridge, environment: ["SLUICE_MONGODB_DATABASE": "x"]).settings.string(.mongodbDatabase) == "x")
  }

  /// One accepted and one refused text at each edge of each kind.
  @Test(arguments: [
    ("SLUICE_HTTP_THREADS", ["1", "256", "007"], ["0", "257", "", "-1", "+1", "1.5", " 1", "1 ", "x", "٣"]),
    (
      "SLUICE_RETENTION", ["1s", "1000ms", "90d", "2w", "24855d"],
      [
        "999ms", "24856d", "90", "d", "", "1h30m", "1.5d",
        "90 d", "90D", "-1d", "99999999999999999999d", "9999999999999999999w",
      ]
    ),
    ("SLUICE_BATCH_DELAY", ["0s", "60s", "1m"], ["61s", "0"]),
    ("SLUICE_MQTT_KEEP_ALIVE", ["5s", "6000ms", "1m", "65535s"], ["4s", "5500ms", "65536s", "60", ""]),
    (
      "SLUICE_HTTP_BODY_LIMIT", ["1024", "1KiB", "8MiB", "512KB", "64M", "64m", "1gib", "1073741824", "2000b"],
      ["1023", "1025MiB", "", "8 MiB", "MiB", "8Mi", "8x", "-1", "99999999999999999999"]
    ),
    (
      "SLUICE_HTTP_LISTEN", ["127.0.0.1:8080", "localhost:0", "[::1]:65535", "0.0.0.0:1", "[fe80::1%eth0]:1"],
      [
        "", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "a:65536", "a:-1", "a:+1", "::1:80", "[::1]", "[]:1", "a:b:1",
        "[a]:1", "a b:1", "http://a:1", "a:1/",
      ]
    ),
    (
      "SLUICE_KAFKA_BROKERS", ["a", "a:1", "a:1,b:65535", "[::1]:9092,c"],
      [
        "", ",", "a,", "a:0", "a:65536", "a:x", "a b",
        "a:1;b:2", "plaintext://a:1",
      ]
    ),
    ("SLUICE_KAFKA_TOPIC", ["a", "A.b_c-9"], ["", ".", "..", "a b", "a/b", "ü", String(repeating: "a", count: 250)]),
    ("SLUICE_MONGODB_LAYOUT", ["timeseries", "documents"], ["", "Timeseries", "time"]),
    ("SLUICE_LOG_LEVEL", ["debug", "info", "warning", "error"], ["warn", "INFO", "trace"]),
    (
      "SLUICE_MONGODB_URI", ["mongodb://h", "mongodb+srv://u:p@h/d?x=y"],
      [
        "", "h:27017", "http://h", "mongodb://",
        "mongodb://h\nx", "mongodb://h\0",
      ]
    ),
    (
      "SLUICE_MONGODB_DATABASE", ["a", "sensors-2"],
      ["", "a.b", "a b", "a/b", "a$b", String(repeating: "a", count: 64)]
    ),
    ("SLUICE_MQTT_URL", ["mqtt://h", "mqtts://u:p@h:8883"], ["h:1883", "tcp://h", "mqtt://"]),
    ("SLUICE_MQTT_SHARE", ["", "group"], ["a/b", "+", "#"]),
    ("SLUICE_MQTT_CLIENT_ID", ["a", "ü b"], ["", "a\u{1}"]),
    ("SLUICE_KAFKA_CONFIG", ["", "a=b", "a=", "a=b;", ";;a=b\nc=d"], ["a", "=b", "a=b;c", "a=b;=d"]),
  ])
  func accepted(name: String, good: [String], bad: [String]) {
    for text in good {
      let environment = ["SLUICE_HTTP_MEMORY_LIMIT": "1TiB", name: text]
      #expect(refusal(.dev, environment: environment) == nil, "\(name)=\(text)")
    }
    for text in bad {
      let message = refusal(.dev, environment: [name: text])
      #expect(message?.hasPrefix("\(name): ") == true, "\(name)=\(text)")
      #expect(message?.contains("it must be ") == true)
      #expect(message?.utf8.allSatisfy { $0 >= 0x20 } == true, "one line")
      #expect(message?.utf8.count ?? 0 < 600)
    }
  }

  @Test func messagesSayWhatIsAccepted() {
    #expect(
      refusal(.dev, environment: ["SLUICE_RETENTION": "ninety"])
        == "SLUICE_RETENTION: \"ninety\" is not accepted: it must be a number and ms, s, m, h, d or w, such as 10s, "
        + "from 1s to 2147483647s")
    #expect(
      refusal(.dev, ["--http-body-limit=1"])
        == "--http-body-limit: \"1\" is not accepted: it must be a number of bytes, KB, MB, GB or KiB, MiB, GiB, "
        + "such as 8MiB, from 1KiB to 1GiB")
    #expect(
      refusal(.dev, environment: ["SLUICE_HTTP_THREADS": ""])
        == "SLUICE_HTTP_THREADS: \"\" is not accepted: it must be a whole number from 1 to 256; "
        + "leave it out for the default")
  }

  @Test func whatGoesTogether() {
    #expect(refusal(.ingest, ["--tls-certificate", "c"])?.hasPrefix("SLUICE_TLS_KEY is missing") == true)
    #expect(refusal(.ingest, ["--tls-key", "k"])?.hasPrefix("SLUICE_TLS_CERTIFICATE is missing") == true)
    #expect(refusal(.ingest, ["--tls-key", "k", "--tls-certificate", "c"]) == nil)
    #expect(refusal(.sink, ["--kafka-topic", "a", "--kafka-dead-letter-topic", "a"])?.contains("name another") == true)
    #expect(
      refusal(.bridge, ["--kafka-linger", "10s"])
        == "SLUICE_KAFKA_LINGER (10s) is not less than SLUICE_KAFKA_DELIVERY_TIMEOUT (10s): "
        + "a message would be given up before it is sent")
    #expect(refusal(.bridge, ["--kafka-linger", "10s", "--kafka-delivery-timeout", "11s"]) == nil)
    #expect(refusal(.setup, environment: ["SLUICE_KAFKA_LINGER": "60s"]) == nil)
    #expect(
      refusal(.ingest, ["--http-memory-limit", "1MiB"])
        == "SLUICE_HTTP_MEMORY_LIMIT (1MiB) is less than SLUICE_HTTP_BODY_LIMIT (8MiB): "
        + "no body of that size would ever fit")
  }

  @Test func helpIsAskedFor() {
    #expect(Settings.wantsHelp(["x", "--help"]) && Settings.wantsHelp(["-h"]))
    #expect(!Settings.wantsHelp(["--", "--help"]) && !Settings.wantsHelp(["help"]))
  }

  @Test func environmentOfTheProcess() throws {
    let environment = Settings.processEnvironment
    #expect(environment["PATH"] == String(cString: getenv("PATH")))
  }
}
