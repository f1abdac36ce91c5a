import Testing

@testable import Operations

@Suite struct SettingsSecretsTests {
  private let secret = "mongodb://user:pa55@db:27017"

  @Test func secretsAreReadFromFiles() throws {
    let files = ["/s": secret + "\n", "/c": "SLUICE_MONGODB_URI_FILE=/s"]
    let ways: [(arguments: [String], environment: [String: String], origin: Settings.Origin)] = [
      (["--mongodb-uri-file", "/s"], [:], .flag), (["--mongodb-uri-file=/s"], [:], .flag),
      ([], ["SLUICE_MONGODB_URI_FILE": "/s"], .environment), (["--config=/c"], [:], .file),
    ]
    for way in ways {
      let settings = try load(.sink, way.arguments, environment: way.environment, files: files).settings
      #expect(settings.string(.mongodbURI) == secret)
      #expect(settings.origin(.mongodbURI) == way.origin)
      let shown = try #require(settings.effective.first { $0.name == "SLUICE_MONGODB_URI" })
      #expect(shown.value == "mongodb://***@db:27017" && shown.secretFile == "/s" && shown.origin == way.origin)
    }
  }

  @Test(arguments: [("x=1\n", "x=1"), ("x=1\r\n", "x=1"), ("x=1\n\n", "x=1\n"), ("x=1", "x=1"), ("", ""), ("\n", "")])
  func oneNewlineIsCut(content: String, text: String) throws {
    let settings = try load(.sink, ["--kafka-config-file=/s"], files: ["/s": content]).settings
    #expect(settings.string(.kafkaConfig) == text)
  }

  @Test func valueAndFileContradict() {
    let files = ["/s": secret, "/c": "SLUICE_MONGODB_URI=mongodb://a\nSLUICE_MONGODB_URI_FILE=/s"]
    #expect(
      refusal(.sink, environment: ["SLUICE_MONGODB_URI": "mongodb://a", "SLUICE_MONGODB_URI_FILE": "/s"], files: files)
        == "SLUICE_MONGODB_URI and SLUICE_MONGODB_URI_FILE are both set: leave one of them out")
    #expect(
      refusal(.sink, ["--mongodb-uri-file=/s", "--mongodb-uri=mongodb://a"], files: files)
        == "--mongodb-uri-file and --mongodb-uri are both set: leave one of them out")
    #expect(refusal(.sink, ["--config=/c"], files: files)?.contains("are both set") == true)
  }

  @Test func betweenPlacesTheFirstWins() throws {
    let settings = try load(
      .sink, ["--mongodb-uri=mongodb://flag"], environment: ["SLUICE_MONGODB_URI_FILE": "/missing"]
    ).settings
    #expect(settings.string(.mongodbURI) == "mongodb://flag")
  }

  @Test func onlySecretsAreReadFromFiles() throws {
    #expect(
      refusal(environment: ["SLUICE_KAFKA_TOPIC_FILE": "/s"])
        == "SLUICE_KAFKA_TOPIC_FILE: only secrets are read from files, and SLUICE_KAFKA_TOPIC is none; set it itself")
    #expect(refusal(environment: ["SLUICE_KAFKA_CONFIG_FILE_FILE": "/s"])?.contains("is no setting") == true)
  }

  @Test func messagesHoldNoSecret() {
    let wrong = "http://user:pa55@db"
    let messages = [
      refusal(.sink, ["--mongodb-uri", wrong]), refusal(.sink, environment: ["SLUICE_MONGODB_URI": wrong]),
      refusal(.sink, ["--mongodb-uri-file=/s"], files: ["/s": wrong]),
      refusal(.sink, ["--config=/c"], files: ["/c": "SLUICE_MONGODB_URI=\(wrong)"]),
      refusal(.sink, ["--kafka-config", "pa55"]),
    ]
    for message in messages {
      #expect(message?.contains("it must be ") == true)
      #expect(message?.contains("pa55") == false)
    }
  }

  @Test func filesThatCannotBeRead() {
    #expect(
      refusal(.sink, ["--mongodb-uri-file=/s"])
        == "--mongodb-uri-file: \"/s\" cannot be read: No such file or directory")
    #expect(
      refusal(.sink, environment: ["SLUICE_CONFIG": "/c"])
        == "SLUICE_CONFIG: \"/c\" cannot be read: No such file or directory")
    do {
      _ = try Settings.load(role: .sink, arguments: ["--mongodb-uri-file=/s"], environment: [:]) {
        _ throws(SystemError) in [0xFF, 0xFE]
      }
      Issue.record("accepted")
    } catch {
      #expect(error.message == "--mongodb-uri-file: \"/s\" is not UTF-8 text")
    }
  }

  @Test(arguments: [
    ("mongodb://u:p@h:1/d", "mongodb://***@h:1/d"), ("mongodb://h", "mongodb://h"), ("mqtt://u@h", "mqtt://***@h"),
    ("mongodb://u:p/@w?@h/d", "mongodb://***@h/d"), ("no uri", "no uri"), ("a@b", "a@b"), ("", ""),
    ("mongodb://u:p@a,b,c/?replicaSet=r", "mongodb://***@a,b,c/?replicaSet=r"),
    (
      "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=x&authMechanismProperties=AWS_SESSION_TOKEN:y&w=1",
      "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=***&authMechanismProperties=***&w=1"
    ),
    ("mongodb://u:p@h/?password=a=b&", "mongodb://***@h/?password=***&"), ("x://", "x://"), ("x://@", "x://***@"),
  ])
  func masks(text: String, shown: String) {
    #expect(Settings.maskingPasswords(in: text) == shown)
  }

  @Test func effectiveSettings() throws {
    let settings = try load(
      .bridge, ["--kafka-topic=t", "--kafka-config", "sasl.password=pa55;x=y"],
      environment: ["SLUICE_MQTT_URL": "mqtt://u:pa55@h"]
    ).settings
    func shown(_ name: String) -> Settings.Effective? { settings.effective.first { $0.name == name } }
    #expect(shown("SLUICE_KAFKA_CONFIG")?.value == "***")
    #expect(shown("SLUICE_MQTT_URL")?.value == "mqtt://***@h")
    #expect(shown("SLUICE_MQTT_URL")?.origin == .environment)
    #expect(shown("SLUICE_KAFKA_TOPIC")?.value == "t")
    #expect(shown("SLUICE_KAFKA_TOPIC")?.origin == .flag)
    #expect(shown("SLUICE_MONGODB_URI") == nil)
    #expect(!settings.effective.contains { $0.value.contains("pa55") })
  }
}
