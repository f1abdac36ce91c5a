package import Dialects
import HTTP

/// Which requests bring readings, and in which dialect.
struct IngestRoutes: Sendable {
  static let readings = "/v1/readings"

  private let readings: ReadingsRoute
  private let settings: DialectSettings

  init(_ readings: ReadingsRoute, _ settings: DialectSettings) {
    self.readings = readings
    self.settings = settings
  }

  /// Adds all of them.
  func add(to routes: inout APITable) {
    routes.on(.post, Self.readings, .readings) { head, _ in ownReadings(head) }
    addInflux(to: &routes)
    routes.on(.post, "/boxes/{box}/data", .boxData) { head, path in
      guard
        let format = OpenSenseMap.Format(
          contentType: head.header("Content-Type"), luftdaten: head.query("luftdaten")?.isEmpty == false,
          hackAIR: head.query("hackair")?.isEmpty == false)
      else { return .respond(OpenSenseMapDialect.unsupportedType) }
      return measurements(head, box: path["box"] ?? "", .several(format))
    }
    routes.on(.post, "/boxes/{box}/{sensor}", .boxSensor) { head, path in
      guard OpenSenseMap.Format(contentType: head.header("Content-Type")) == .json else {
        return .respond(OpenSenseMapDialect.unsupportedType)
      }
      return measurements(head, box: path["box"] ?? "", .single(sensor: path["sensor"] ?? ""))
    }
    // The API of Sensor.Community says what kind of sensor the values are of in the header only; there a path without the
    // last slash is another.
    for (path, name) in [
      ("/v1/push-sensor-data/", "pushSensorData"), ("/v1/push-sensor-data", "pushSensorDataWithoutSlash"),
    ] {
      let operation = Operation.sensorCommunity(name: name, summary: "One sensor per request", hasPin: true)
      routes.on(.post, path, operation) { head, _ in
        readings.begin(head, PlainDialect.sensorCommunity(sensor: head.header("X-Sensor"), pin: head.header("X-PIN")))
      }
    }
    // What the firmware calls its own API, by its default path; there the names of the values say it.
    let custom = Operation.sensorCommunity(
      name: "postDataPHP", summary: "What the firmware calls its own API", hasPin: false)
    routes.on(.post, "/data.php", custom) { head, _ in
      readings.begin(head, PlainDialect.sensorCommunity(sensor: head.header("X-Sensor"), pin: nil))
    }
    for (version, suffix) in [("/v1.1/", ""), ("/v1.0/", "10")] {
      let named = Operation.observations(name: "postObservations\(suffix)", stream: false)
      routes.on(.post, "\(version)Observations", named) { head, _ in
        readings.begin(head, SensorThingsDialect(stream: nil, root: version, id: readings.now()))
      }
      let inStream = Operation.observations(name: "postStreamObservations\(suffix)", stream: true)
      routes.on(.post, "\(version){stream}/Observations", inStream) { head, path in
        guard let stream = SensorThings.stream(inPath: "/\(path["stream"] ?? "")") else {
          return .respond(
            SensorThingsDialect(stream: nil, root: version, id: 0).told(
              .error(404, code: "not_found", message: "observations are of a data stream: Datastreams(1)/Observations"))
          )
        }
        return readings.begin(head, SensorThingsDialect(stream: stream, root: version, id: readings.now()))
      }
    }
    // The Things Stack adds a path of its own for each kind of message, if it is told to.
    for (path, name) in [("/v1/ttn", "postUplink"), ("/v1/ttn/{kind...}", "postUplinkOfKind")] {
      routes.on(.post, path, .uplink(name: name, hasKind: path != "/v1/ttn")) { head, _ in
        readings.begin(head, PlainDialect.theThingsNetwork)
      }
    }
  }

  // MARK: Sluice's own

  /// JSON when the client does not say, as many small ones do not.
  private func ownReadings(_ head: borrowing RequestHead) -> Disposition {
    var format: MediaType.Format? = .readings(.json)
    head.lendHeader("Content-Type") { format = MediaType.format($0) }
    switch format {
    case .readings(let framing): return readings.begin(head, PlainDialect.readings(framing))
    case .senML: return readings.begin(head, PlainDialect.senML(device: head.query("device")))
    case .csv:
      do throws(CSVMapping.Failure) {
        let pairs = (head.query("map") ?? "").split(separator: ",").map(String.init)
        return readings.begin(head, PlainDialect.csv(try CSVMapping(pairs, device: head.query("device"))))
      } catch {
        return .respond(.error(400, code: "invalid_map", message: "map: \(error)"))
      }
    case nil: return .respond(Answers.unsupportedType)
    }
  }

  // MARK: InfluxDB

  /// What `/ping` and `/health` say: clients look which of the APIs there is.
  private static let influxVersion = "v2.7.0-sluice"

  private func addInflux(to routes: inout APITable) {
    for (path, version, operation) in [
      ("/api/v2/write", InfluxDialect.Version.two, Operation.influxWrite), ("/write", .one, .influxWrite1),
    ] {
      routes.on(.post, path, operation) { head, _ in
        let precision = LineProtocol.Precision(head.query("precision"))
        let dialect = InfluxDialect(
          version: version, precision: precision ?? .nanoseconds, mapping: settings.lineProtocol)
        guard precision != nil else {
          return .respond(dialect.answer(400, "invalid precision; valid precision units are ns, us, ms, and s"))
        }
        return readings.begin(head, dialect)
      }
    }
    let version = ("X-Influxdb-Version", Self.influxVersion)
    let ping = Response(status: 204, headers: [version]).prepared()
    routes.on(.get, "/ping", .influxPing) { _, _ in .respond(ping) }
    let health = Response.json(
      200,
      JSONText.object([
        ("name", "influxdb"), ("message", "ready for writes"), ("status", "pass"), ("version", Self.influxVersion),
      ]), headers: [version]
    ).prepared()
    routes.on(.get, "/health", .influxHealth) { _, _ in
      guard let reason = readings.publisher.unavailability else { return .respond(health) }
      return .respond(
        .json(
          503,
          JSONText.object([
            ("name", "influxdb"), ("message", reason), ("status", "fail"), ("version", Self.influxVersion),
          ]), headers: [version]))
    }
  }

  // MARK: openSenseMap

  private func measurements(
    _ head: borrowing RequestHead, box: String, _ form: OpenSenseMapDialect.Form
  ) -> Disposition {
    let dialect = OpenSenseMapDialect(box: box, form: form, boxes: settings.boxes.current)
    // Where there are keys, they say who may write which box; both cannot be in the one header field.
    guard readings.authenticator.asksForKeys || dialect.isAuthorized(head) else {
      return .respond(OpenSenseMapDialect.badToken)
    }
    return readings.begin(head, dialect)
  }
}

/// What dialects need to know beside the requests.
package struct DialectSettings: Sendable {
  /// Where a point of line protocol has its device.
  package var lineProtocol: LineProtocol.Mapping
  /// The names of openSenseMap's boxes.
  package var boxes: BoxDirectory

  package init(lineProtocol: LineProtocol.Mapping = .init(), boxes: BoxDirectory = BoxDirectory()) {
    self.lineProtocol = lineProtocol
    self.boxes = boxes
  }
}
