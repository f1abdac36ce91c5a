import Testing

@testable import MQTT

@Suite struct MQTTAddressTests {
  @Test func readsEveryPart() throws {
    let plain = try MQTTAddress(parsing: "mqtt://broker.example")
    #expect(plain == MQTTAddress(host: "broker.example", port: 1883))
    #expect(try MQTTAddress(parsing: "MQTTS://broker/").port == 8883)

    let full = try MQTTAddress(
      parsing: "mqtts://fleet%40north:p%3Aa%2Fs%25s@host:8884?cafile=/etc/ca%20dir/ca.pem&certfile=c.pem&keyfile=k.pem")
    #expect(full.username == "fleet@north")
    #expect(full.password == "p:a/s%s")
    #expect(full.host == "host")
    #expect(full.port == 8884)
    #expect(full.usesTLS)
    #expect(full.caFile == "/etc/ca dir/ca.pem")
    #expect(full.certificateFile == "c.pem")
    #expect(full.keyFile == "k.pem")
    #expect("\(full)" == "mqtts://host:8884", "no secrets in what is logged")
  }

  @Test func readsUsersWithoutPasswordAndPasswordsWithSigns() throws {
    let user = try MQTTAddress(parsing: "mqtt://user@host")
    #expect(user.username == "user")
    #expect(user.password == nil)
    let empty = try MQTTAddress(parsing: "mqtt://user:@host")
    #expect(empty.password == "")
    let signs = try MQTTAddress(parsing: "mqtt://user:a@b:c@host:99")
    #expect(signs.password == "a@b:c")
    #expect(signs.port == 99)
  }

  @Test func readsIPv6Addresses() throws {
    let address = try MQTTAddress(parsing: "mqtt://u@[::1]:1884")
    #expect(address.host == "::1")
    #expect(address.port == 1884)
    #expect("\(address)" == "mqtt://[::1]:1884")
    #expect(try MQTTAddress(parsing: "mqtt://[fe80::1]").port == 1883)
  }

  @Test(arguments: [
    "", "broker", "http://broker", "mqtt:/broker", "mqtt://", "mqtt://user@", "mqtt://host:", "mqtt://host:0",
    "mqtt://host:65536", "mqtt://host:x", "mqtt://host:1:2", "mqtt://host/path", "mqtt://[::1", "mqtt://[::1]x",
    "mqtt://host?cafile=x", "mqtts://host?cafile", "mqtts://host?cafile=", "mqtts://host?color=red", "mqtts://host?=x",
    "mqtt://us%er@host", "mqtt://us%0@host", "mqtt://us%+1@host", "mqtt://us%00@host", "mqtt://us%ff@host",
    "mqtt://host#x",
  ])
  func refuses(_ url: String) {
    #expect {
      try MQTTAddress(parsing: url)
    } throws: {
      ($0 as? MQTTError)?.kind == .usage && ($0 as? MQTTError)?.isRetriable == false
    }
  }

  @Test func errorsDoNotRepeatThePassword() {
    do throws(MQTTError) {
      _ = try MQTTAddress(parsing: "mqtt://user:hunter2%zz@host")
      Issue.record("not refused")
    } catch {
      #expect(!"\(error)".contains("hunter2"))
    }
  }
}

@Suite struct MQTTConfigurationTests {
  @Test func refusesWhatTheLibraryWouldMisread() {
    let good = MQTTConfiguration(address: MQTTAddress(host: "h"), clientID: "c")
    #expect(throws: Never.self) { try good.validate() }
    let changes: [(inout MQTTConfiguration) -> Void] = [
      { $0.keepAlive = .seconds(4) }, { $0.keepAlive = .zero }, { $0.keepAlive = .milliseconds(5_500) },
      { $0.keepAlive = .seconds(65_536) }, { $0.clientID = "" }, { $0.clientID = "a\0b" }, { $0.password = "p" },
      {
        $0.username = "u\0"
        $0.password = "p"
      }, { $0.certificateFile = "c.pem" }, { $0.keyFile = "k.pem" },
      { $0.maximumInflight = 0 }, { $0.maximumInflight = 65_536 }, { $0.maximumBatchBytes = 0 },
    ]
    for (index, change) in changes.enumerated() {
      var configuration = good
      change(&configuration)
      #expect(throws: MQTTError.self, "change \(index)") { try MQTTSubscriber(configuration) }
      #expect(throws: MQTTError.self, "change \(index)") { try MQTTPublisher(configuration) }
    }
  }
}

@Suite struct PacketIdentifiersTests {
  @Test func keepsTheOrderAcrossTheWrap() {
    var identifiers = PacketIdentifiers()
    #expect(identifiers.ordered.isEmpty)
    for identifier in [65_533, 65_534, 65_535, 1, 2, 64] { identifiers.insert(identifier) }
    #expect(identifiers.ordered == [65_533, 65_534, 65_535, 1, 2, 64])
    identifiers.remove(65_534)
    identifiers.remove(65_534)
    identifiers.insert(64)
    #expect(identifiers.count == 5)
    #expect(identifiers.ordered == [65_533, 65_535, 1, 2, 64])
  }

  @Test func agreesWithASet() {
    var identifiers = PacketIdentifiers()
    var model: Set<Int> = []
    var generator = SystemRandomNumberGenerator()
    for identifier in 1...65_535 {
      identifiers.insert(identifier)
      model.insert(identifier)
      if Bool.random(using: &generator) {
        let gone = Int.random(in: 1...identifier, using: &generator)
        identifiers.remove(gone)
        model.remove(gone)
      }
    }
    #expect(identifiers.count == model.count)
    #expect(identifiers.ordered == model.sorted())
  }
}
