package import MQTT

/// What is to be played.
package struct SimulationPlan: Sendable {
  /// Readings over HTTP.
  package struct HTTP: Sendable {
    /// Where the API is, without `/v1/readings`: `http://127.0.0.1:8080`.
    package var address: String
    /// Requests at once.
    package var connections = 8
    /// Readings per request, at most: a slow fleet does not wait longer than a second for a batch to fill. 1: each is sent
    /// by itself as `application/json`.
    package var batch = 50
    /// Whether bodies are compressed.
    package var usesGzip = false

    package init(address: String) { self.address = address }
  }

  /// Readings over MQTT.
  package struct MQTT: Sendable {
    package var address: MQTTAddress
    package var connections = 4
    /// 1 or 2: at 0 nobody would know what was accepted.
    package var qos = 1
    /// Unacknowledged messages of a connection.
    package var window = 1_000

    package init(address: MQTTAddress) { self.address = address }
  }

  package var fleet = Fleet.climate
  package var devices = 100
  /// What devices' names begin with; their numbers follow.
  package var prefix = "sim-"
  package var seed: UInt64 = 1
  /// Tells this run's readings from all others': letters and digits.
  package var run: String
  /// Readings per second, all together; 0: as many as can be.
  package var rate: Double = 1_000
  /// How long readings are sent; nil: until told to stop.
  package var duration: Duration?
  /// How many readings there are at most; nil: no limit.
  package var count: Int?
  package var http: HTTP?
  package var mqtt: MQTT?
  /// Whether readings have ids; what is not known to be accepted is then sent again.
  package var hasIDs = false
  /// How long a request, or the last acknowledgements, may take.
  package var answerTimeout: Duration = .seconds(15)
  /// For how long a reading with an id is tried.
  package var repeatFor: Duration = .seconds(120)
  /// Where to write what became of each reading.
  package var outcomeFile: String?

  /// With a random name for the run.
  package init() {
    let number = String(UInt64.random(in: .min ... .max), radix: 16)
    run = String(repeating: "0", count: 16 - number.utf8.count) + number
  }
}
