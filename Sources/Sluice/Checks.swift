import Glibc
import HTTP
import Ingest
import Kafka
import Keys
import MQTT
import MongoDB
import Operations
import Publishing
import Sink
import Synchronization

/// What one look at a setting, or at the server behind it, found.
struct Finding: Sendable {
  let setting: String
  /// What is there; or what is wrong and what to do about it.
  let text: String
  let isProblem: Bool

  static func ok(_ setting: Setting, _ text: String) -> Finding {
    Finding(setting: setting.name, text: text, isProblem: false)
  }

  static func problem(_ setting: Setting, _ text: String) -> Finding {
    Finding(setting: setting.name, text: text, isProblem: true)
  }
}

/// What `sluice check` looks at, one group after the other.
struct Checks: Sendable {
  /// How long a server may take to answer one question.
  private static let patience: Duration = .seconds(3)

  let settings: Settings

  // MARK: Kafka

  func kafka() -> [Finding] {
    let brokers = settings.string(.kafkaBrokers)
    let observer = LastWords()
    let description: ClusterDescription
    do throws(KafkaError) {
      try makeClients()
      let admin = try Admin(Service.kafka(settings), observer: observer)
      defer { admin.close() }
      description = try admin.describeCluster(timeout: Self.patience)
    } catch {
      if error.isMisconfiguration { return [.problem(.kafkaConfig, "\(error.message); correct it")] }
      return [
        .problem(
          .kafkaBrokers,
          "\(brokers): \(observer.words ?? "\(error)"); start Kafka, or name brokers that can be reached from here")
      ]
    }
    return [.ok(.kafkaBrokers, "\(brokers): \(Self.count(description.brokers.count, "broker"))")]
      + [Setting.kafkaTopic, .kafkaDeadLetterTopic].map { topic($0, in: description) }
  }

  /// Makes the clients of the roles, for each has demands of its own on the properties.
  /// - Throws: what is wrong with them.
  private func makeClients() throws(KafkaError) {
    // What they say of the brokers comes later, in one line.
    let log = Log(component: "check") { _ in }
    try KafkaLink(Service.producer(settings), log: log, health: Health(), metrics: Metrics()).close(timeout: .zero)
    try Consumer(SinkService.kafka(Service.kafka(settings))).close()
  }

  private func topic(_ setting: Setting, in cluster: ClusterDescription) -> Finding {
    let name = settings.string(setting)
    guard let topic = cluster.topics.first(where: { $0.name == name }) else {
      return .problem(setting, "the topic \(name) does not exist, or is hidden from this user: sluice setup creates it")
    }
    let text = "\(name): \(Self.count(topic.partitions, "partition")), replication \(topic.replication)"
    if topic.leaderless > 0 {
      return .problem(setting, "\(text), \(topic.leaderless) without a leader: start the brokers that are missing")
    }
    let replication = Service.replication(settings, brokers: cluster.brokers.count)
    if topic.replication < replication {
      return .problem(
        setting,
        "\(text), while \(Setting.kafkaReplication.name) asks for \(replication): raise it with "
          + "Kafka's kafka-reassign-partitions")
    }
    return .ok(setting, text)
  }

  // MARK: MongoDB

  func mongodb() -> [Finding] {
    let schema = Service.schema(settings)
    let pool: MongoPool
    do {
      pool = try Service.pool(settings, size: 1, timeout: Self.patience)
    } catch {
      return [.problem(.mongodbURI, "\(error.message); correct it")]
    }
    defer { pool.close() }
    var findings: [Finding] = []
    do {
      try pool.withClient { (client) throws(MongoError) in
        // The first question to which a user needs to be known.
        let problem = try schema.problem(client)
        findings.append(.ok(.mongodbURI, "\(pool.servers): MongoDB \(try client.serverVersion())"))
        if let problem {
          findings.append(.problem(.mongodbLayout, problem))
          return
        }
        findings.append(.ok(.mongodbLayout, "\(schema.database).\(DatabaseSchema.readings): \(schema.layout.rawValue)"))
        let missing = try schema.missingIndexes(client)
        findings.append(
          missing.isEmpty
            ? .ok(.mongodbDatabase, "the indexes are there")
            : .problem(
              .mongodbDatabase, "indexes missing: \(missing.joined(separator: ", ")); sluice setup creates them"))
      }
    } catch {
      let advice =
        error.isAuthentication
        ? "correct user, password and authSource, or what the user may do"
        : "start MongoDB, or name a server that can be reached from here"
      findings.append(.problem(.mongodbURI, "\(pool.servers): \(error.message); \(advice)"))
    }
    return findings
  }

  // MARK: MQTT

  func mqtt() -> [Finding] {
    do throws(MQTTError) {
      let address = try MQTTAddress(parsing: settings.string(.mqttURL))
      let place = "\(address.host):\(address.port)"
      do throws(MQTTError) {
        // Not the bridge's client id: the broker would put out a bridge that is connected.
        let client = try MQTTPublisher(MQTTConfiguration(address: address, clientID: "sluice-check"))
        try client.connect(timeout: Self.patience)
        client.disconnect()
        return [.ok(.mqttURL, "\(place): connected")]
      } catch {
        return [.problem(.mqttURL, "\(place): \(error.message); \(Self.advice(error))")]
      }
    } catch {
      return [.problem(.mqttURL, "\(error.message); correct it")]
    }
  }

  private static func advice(_ error: MQTTError) -> String {
    switch error.kind {
    case .refused(reason: .badCredentials), .refused(reason: .notAuthorised): "correct user and password"
    case .tls: "correct the certificates, or whether the address begins with mqtts://"
    default: "start the broker, or name one that can be reached from here"
    }
  }

  // MARK: This machine

  func keys() -> [Finding] {
    do {
      guard case .keys(let path) = try Access(settings) else {
        return [.ok(.auth, "off: everybody who can reach \(settings.listenAddress(.httpListen)) may send everything")]
      }
      let keys = try KeyFile.read(path).keys
      let now = Clock.nowMilliseconds()
      let valid = keys.count { $0.state(at: now) == .valid }
      if valid == 0 { return [.problem(.keysFile, "\(path): no valid key: sluice keys create makes one")] }
      let week: Int64 = 7 * 86_400_000
      let soon = keys.filter { $0.state(at: now) == .valid && $0.state(at: now + week) == .expired }.map(\.name)
      let ending = soon.isEmpty ? "" : "; these expire within a week: \(soon.joined(separator: ", "))"
      return [.ok(.keysFile, "\(path): \(Self.count(valid, "valid key")) of \(keys.count)\(ending)")]
    } catch let error as CommandError {
      return [.problem(.auth, error.message)]
    } catch {
      return [.problem(.keysFile, "\(settings.string(.keysFile)): \(error); correct it")]
    }
  }

  func files() -> [Finding] {
    let names = [Setting.tlsCertificate, .tlsKey, .tlsClientCA].filter { !settings.string($0).isEmpty }
    let findings = names.map { setting -> Finding in
      let path = settings.string(setting)
      do {
        return .ok(setting, "\(path): \(try SystemFile.read(path).count) bytes")
      } catch {
        return .problem(setting, "\(path) cannot be read: \(error); correct the path or its permissions")
      }
    }
    guard !names.isEmpty, !findings.contains(where: \.isProblem) else { return findings }
    // Whether they are what they should be, and fit together, is best known by who will use them.
    var configuration = HTTPServer.Configuration(listen: HTTP.ListenAddress(host: "127.0.0.1", port: 0))
    configuration.tls = Access.tlsFiles(settings)
    do throws(HTTPServerError) {
      let handler = ManagementHandler(health: Health(), metrics: Metrics())
      try HTTPServer(configuration, handler: handler).stop(timeout: .zero)
      return findings
    } catch {
      return findings + [.problem(.tlsCertificate, "\(error.message); name a certificate and its key, both in PEM")]
    }
  }

  func boxes() -> [Finding] {
    let path = settings.string(.boxesFile)
    guard !path.isEmpty else { return [] }
    do {
      let count = try BoxDirectory().load(try SystemFile.read(path, limit: Boxes.limit))
      return [.ok(.boxesFile, "\(path): \(count) box\(count == 1 ? "" : "es")")]
    } catch {
      return [.problem(.boxesFile, "\(path): \(error); correct the path, its permissions, or the file")]
    }
  }

  func jobs() -> [Finding] {
    var findings: [Finding] = []
    do {
      _ = try FetchAllowance(settings.string(.jobsFetchAllow))
    } catch {
      findings.append(.problem(.jobsFetchAllow, "\(error); correct it"))
    }
    let path = settings.string(.jobsDirectory)
    if path.isEmpty { return findings }
    // It is made where there is none, but not by who only looks.
    let isThere = access(path, F_OK) == 0
    let above = (path.hasPrefix("/") ? "/" : "./") + path.split(separator: "/").dropLast().joined(separator: "/")
    let folder = isThere ? path : above
    if access("\(folder)/", R_OK | W_OK | X_OK) != 0 {
      let reason = "\(SystemError(code: errno))"
      findings.append(.problem(.jobsDirectory, "\(folder): \(reason); correct the path or its permissions"))
    } else {
      findings.append(.ok(.jobsDirectory, "\(path)\(isThere ? "" : ": to be made")"))
    }
    return findings
  }

  func addresses() -> [Finding] {
    var addresses = [(Setting.httpListen, settings.listenAddress(.httpListen))]
    if settings.origin(.managementListen) == .default {
      // Each role has its own, so that all can run on one machine.
      let roles: [Role] = [.ingest, .bridge, .sink]
      addresses += roles.compactMap { Operations.ListenAddress(Setting.managementListen.defaultText(for: $0)) }
        .map { (.managementListen, $0) }
    } else {
      addresses.append((.managementListen, settings.listenAddress(.managementListen)))
    }
    return addresses.map { setting, address in
      do throws(HTTPServerError) {
        try HTTP.ListenAddress(host: address.host, port: address.port).checkAvailable()
        return .ok(setting, "\(address): free")
      } catch {
        return .problem(setting, "\(error.message); end that process, if it is not Sluice itself, or choose another")
      }
    }
  }

  private static func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
}

/// Keeps the last line in which a Kafka client said why something failed.
private final class LastWords: ClientObserver {
  private let line = Mutex<String?>(nil)

  var words: String? { line.withLock { $0 } }

  func clientLogged(level: Int, facility: String, message: String) {
    guard level <= 4 else { return }
    // In front of it stands the name of the library's thread, behind it how often that was.
    var text = message.hasPrefix("[thrd:") ? message.drop { $0 != "]" }.dropFirst(3) : message[...]
    if let end = text.firstRange(of: " (after ") { text = text[..<end.lowerBound] }
    line.withLock { $0 = String(text) }
  }

  func clientFailed(_ error: KafkaError) { line.withLock { $0 = "\(error)" } }
}
