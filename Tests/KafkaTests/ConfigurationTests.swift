import Testing

@testable import Kafka

@Suite struct ConfigurationTests {
  @Test func mergesText() throws {
    var configuration = KafkaConfiguration(brokers: "a:1")
    try configuration.merge(" acks = all ;; sasl.password=p\\;w=\\x ; linger.ms=7;linger.ms=8; ")
    #expect(configuration.value("acks") == "all")
    #expect(configuration.value("sasl.password") == "p;w=\\x")
    #expect(configuration.value("linger.ms") == "8")
    #expect(configuration.value("bootstrap.servers") == "a:1")
  }

  @Test func defaultsGiveWay() throws {
    var configuration = KafkaConfiguration(brokers: "a:1")
    try configuration.merge("linger.ms=7; max.in.flight=3")
    configuration.setDefaults(["linger.ms": "1", "max.in.flight.requests.per.connection": "5", "client.id": "c"])
    #expect(configuration.value("linger.ms") == "7" && configuration.value("client.id") == "c")
    // The other name of the same property: the last that librdkafka is told counts.
    let names = configuration.settings.map(\.key)
    #expect(names.firstIndex(of: "max.in.flight.requests.per.connection")! < names.firstIndex(of: "max.in.flight")!)
  }

  @Test(arguments: ["\\\\", "a\\", "\\;", "a\\;b\\;c", "C:\\keys\\a.pem"])
  func backslashes(value: String) throws {
    var configuration = KafkaConfiguration(brokers: "a:1")
    try configuration.merge("sasl.password=\(value)")
    #expect(configuration.value("sasl.password") == value.replacing("\\;", with: ";"))
  }

  @Test(arguments: [
    ("no.such.key=1", "no.such.key"), ("acks=all;linger.ms=soon", "linger.ms"), ("acks", "acks"), ("=3", ""),
  ])
  func mergeRefuses(text: String, key: String) throws {
    var configuration = KafkaConfiguration(brokers: "a:1")
    let before = configuration
    let error = #expect(throws: KafkaError.self) { try configuration.merge(text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains(key) == true)
    #expect(configuration == before)
  }

  @Test(arguments: [("no.such.key", "1"), ("compression.type", "tar"), ("log.queue", "false")])
  func producerNamesTheKey(key: String, value: String) {
    var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
    configuration.set(key, value)
    let error = #expect(throws: KafkaError.self) { try Producer(configuration) }
    #expect(error?.message.hasPrefix("\(key): ") == true)
  }

  @Test func contradictionIsRefused() {
    var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
    configuration.set("acks", "1")
    let error = #expect(throws: KafkaError.self) { try Producer(configuration) }
    #expect(error?.message.contains("acks") == true)
  }

  @Test func consumerKeepsCommitsToItself() {
    var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
    configuration.set("enable.auto.commit", "true")
    let error = #expect(throws: KafkaError.self) { try Consumer(configuration) }
    #expect(error?.message.contains("enable.auto.commit") == true)
  }

  @Test func errorsAreClassified() {
    #expect(KafkaError(.queueFull).isBackpressure && KafkaError(.queueFull).isRetriable)
    #expect(KafkaError(.queueFull).code.rawValue == -184 && KafkaError(.messageTimedOut).code.rawValue == -192)
    #expect(KafkaError(.transport).isRetriable && !KafkaError(.transport).isBackpressure)
    #expect(!KafkaError(.messageTooLarge).isRetriable && !KafkaError(.topicAuthorizationFailed).isRetriable)
    #expect(KafkaError(.fatal).isFatal && !KafkaError(.fatal).isRetriable)
    #expect(KafkaError(.queueFull).description == "Local: Queue full [_QUEUE_FULL]")
    #expect(KafkaError(.init(rawValue: 31_000)).message.contains("31000"))
    #expect(KafkaError(.transport, message: "x") != KafkaError(.transport))
  }
}
