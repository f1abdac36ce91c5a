import Testing

@testable import Kafka

@Suite struct ConfigurationTests {
  @Test func theLastValueCounts() {
    var configuration = KafkaConfiguration(brokers: "a:1")
    for value in ["7", "8"] { configuration.set("linger.ms", value) }
    #expect(configuration.settings.map(\.key) == ["bootstrap.servers", "linger.ms"])
    #expect(configuration.value("linger.ms") == "8")
  }

  @Test func defaultsGiveWay() {
    var configuration = KafkaConfiguration(brokers: "a:1")
    configuration.set("linger.ms", "7")
    configuration.set("max.in.flight", "3")
    configuration.setDefaults(["linger.ms": "1", "max.in.flight.requests.per.connection": "5", "client.id": "c"])
    #expect(configuration.value("linger.ms") == "7" && configuration.value("client.id") == "c")
    // The other name of the same property: the last that librdkafka is told counts.
    let names = configuration.settings.map(\.key)
    #expect(names.firstIndex(of: "max.in.flight.requests.per.connection")! < names.firstIndex(of: "max.in.flight")!)
  }

  @Test(arguments: [
    ("no.such.key", "no such property"), ("security.protocol", "must be plaintext, ssl, sasl_plaintext, sasl_ssl"),
    ("linger.ms", "must be 0 .. 900000"), ("enable.idempotence", "must be true, false"),
    ("sasl.mechanism", "cannot be what it is set to"), ("log.queue", "must be true here"),
  ])
  func aWrongValueIsNotShown(key: String, wanted: String) {
    var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
    configuration.set(key, "PLAIN,hunter2")
    let error = #expect(throws: KafkaError.self) { try Producer(configuration) }
    #expect(error?.code == .invalidArgument && error?.message == "\(key): \(wanted)")
  }

  @Test(arguments: [
    ("partition.assignment.strategy", "Unsupported partition.assignment.strategy: …"),
    ("ssl.providers", "Failed to load OpenSSL provider \"…"),
  ])
  func aValueThatFitsNoClientIsNotShown(key: String, message: String) {
    var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
    configuration.set("security.protocol", "ssl")
    configuration.set(key, String(repeating: "hunter2 ", count: 100))
    let error = #expect(throws: KafkaError.self) { try Producer(configuration) }
    #expect(error?.code == .invalidArgument && error?.message == message)
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
