/// How to connect to a broker, and how much may be under way.
package struct MQTTConfiguration: Sendable {
  /// What the broker publishes for a client whose connection ends without DISCONNECT.
  package struct Will: Sendable {
    package var topic: String
    package var payload: [UInt8]
    package var qos: Int
    package var isRetained: Bool

    package init(topic: String, payload: [UInt8], qos: Int = 1, isRetained: Bool = false) {
      self.topic = topic
      self.payload = payload
      self.qos = qos
      self.isRetained = isRetained
    }
  }

  package var address: MQTTAddress
  /// Names the session: the same at every start, and no other client's.
  package var clientID: String
  /// Whether the broker forgets subscriptions and messages when the connection ends. Publishers always ask for that.
  package var cleanSession: Bool
  /// 5 s (the library's minimum) to 65,535 s, whole seconds. Silence of the other side is noticed after 1.5 times this.
  package var keepAlive: Duration
  /// Instead of the address's.
  package var username: String?
  /// Instead of the address's.
  package var password: String?
  /// PEM file of the authorities to trust; the system's unless given here or in the address.
  package var caFile: String?
  /// PEM file of the client's certificate; needs `keyFile`.
  package var certificateFile: String?
  /// PEM file of the client's unencrypted key.
  package var keyFile: String?
  package var will: Will?
  /// Publisher: how many messages may be unacknowledged, 1 to 65,535.
  /// Subscriber: how many messages are kept while `subscribe` waits for its answer.
  package var maximumInflight: Int
  /// Subscriber: `receive` reads no further once the messages of one call reach this many bytes. A single message may
  /// be larger, up to MQTT's 256 MiB: what it may be is the broker's to limit (mosquitto.conf: `message_size_limit`).
  package var maximumBatchBytes: Int

  package init(
    address: MQTTAddress, clientID: String, cleanSession: Bool = false, keepAlive: Duration = .seconds(60),
    username: String? = nil, password: String? = nil, caFile: String? = nil, certificateFile: String? = nil,
    keyFile: String? = nil, will: Will? = nil, maximumInflight: Int = 1_000, maximumBatchBytes: Int = 16 << 20
  ) {
    self.address = address
    self.clientID = clientID
    self.cleanSession = cleanSession
    self.keepAlive = keepAlive
    self.username = username
    self.password = password
    self.caFile = caFile
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.will = will
    self.maximumInflight = maximumInflight
    self.maximumBatchBytes = maximumBatchBytes
  }

  /// Checks what the library would only find out, or cut short, when it connects.
  func validate() throws(MQTTError) {
    let (seconds, fraction) = keepAlive.components
    guard (5...65_535).contains(seconds), fraction == 0 else {
      throw .usage("the keep-alive is from 5 to 65535 whole seconds")
    }
    guard (1...65_535).contains(maximumInflight) else { throw .usage("maximumInflight is from 1 to 65535") }
    guard maximumBatchBytes > 0 else { throw .usage("maximumBatchBytes is above 0") }
    guard (1...65_535).contains(clientID.utf8.count) else { throw .usage("the client id has 1 to 65535 bytes") }
    let (user, secret) = credentials
    guard secret == nil || user != nil else { throw .usage("a password needs a user name") }
    let (_, certificate, key) = files
    guard (certificate == nil) == (key == nil) else { throw .usage("a certificate and its key come together") }
    for text in [address.host, clientID, user, secret, will?.topic].compactMap({ $0 }) where text.utf8.contains(0) {
      throw .usage("a zero byte in the MQTT configuration")
    }
  }

  var credentials: (username: String?, password: String?) {
    (username ?? address.username, password ?? address.password)
  }

  var files: (ca: String?, certificate: String?, key: String?) {
    (caFile ?? address.caFile, certificateFile ?? address.certificateFile, keyFile ?? address.keyFile)
  }
}
