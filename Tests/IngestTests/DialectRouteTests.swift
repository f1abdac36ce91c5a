import Compression
import Dialects
import HTTP
import Ingest
import Kafka
import Testing

/// Requests of other systems' clients, and the answers that they expect.
@Suite struct DialectRouteTests {
  private static let json = ("Content-Type", "application/json")
  private static let box = "5386e5fca0a2a8a0163c8ea1"
  private static let sensor = "5386e5fca0a2a8a0163c8ea2"
  private static let arrival = #","ts":"2026-11-21T02:15:18.070Z""#

  // MARK: InfluxDB

  /// As Telegraf's outputs.influxdb_v2 and the Python client write.
  private static let line = "cpu,host=web-1,cpu=cpu0 usage_idle=97.5,busy=true 1795227318000000000\n"
  private static let influxHeaders = [
    ("Content-Type", "text/plain; charset=utf-8"), ("Authorization", "Token t"), ("User-Agent", "Telegraf/1.36"),
  ]

  @Test(arguments: [
    ("/api/v2/write", [("org", "o"), ("bucket", "b"), ("precision", "ns")]), ("/write", [("db", "d")]),
  ])
  func takesLineProtocol(_ path: String, _ query: [(String, String)]) throws {
    let routes = Routes()
    let request = routes.post(path, Self.line, Self.influxHeaders, query)
    #expect(request.status == 204 && request.text == "" && request.answer?.headers.isEmpty == true)
    #expect(
      routes.publisher.published == [
        #"{"device":"web-1","sensor":"cpu.usage_idle","value":97.5,"ts":"2026-11-21T02:15:18.000Z","tags":{"cpu":"cpu0"}}"#,
        #"{"device":"web-1","sensor":"cpu.busy","value":true,"ts":"2026-11-21T02:15:18.000Z","tags":{"cpu":"cpu0"}}"#,
      ])
    let packed = routes.post(
      path, try Deflater.compress(Array(Self.line.utf8), .gzip), Self.influxHeaders + [("Content-Encoding", "gzip")],
      query)
    #expect(packed.status == 204 && routes.publisher.published.count == 4)
    // Home Assistant tries so whether it may write.
    #expect(routes.post(path, "", Self.influxHeaders, query).status == 204)
  }

  @Test(arguments: [
    ("s", "1795227318"), ("ms", "1795227318000"), ("us", "1795227318000000"), ("u", "1795227318000000"),
  ])
  func readsThePrecision(_ precision: String, _ time: String) {
    let routes = Routes()
    #expect(routes.post("/write", "m,host=h v=1 \(time)", [], [("precision", precision)]).status == 204)
    #expect(routes.publisher.published[0].contains(#""ts":"2026-11-21T02:15:18.000Z""#))
    let wrong = routes.post("/api/v2/write", "m,host=h v=1", [], [("precision", "fortnight")])
    #expect(
      wrong.status == 400
        && wrong.text
          == #"{"code":"invalid","message":"invalid precision; valid precision units are ns, us, ms, and s"}"#
    )
  }

  /// Telegraf drops a batch at 400, so what is good must be stored then, and what is bad must not be asked for again.
  @Test func saysWhatItDroppedAsInfluxDBDoes() {
    let routes = Routes()
    let body = "m,host=h v=1\nm,host=h v=\nm v=1\nm,host=h v=2"
    let two = routes.post("/api/v2/write", body)
    #expect(
      two.status == 400
        && two.text == #"{"code":"invalid","message":"partial write: line 2: v: missing field value dropped=2"}"#,
      "\(two.text)")
    let one = routes.post("/write", body)
    #expect(
      one.status == 400 && one.text == #"{"error":"partial write: line 2: v: missing field value dropped=2"}"#,
      "\(one.text)")
    #expect(routes.publisher.published.count == 4)
    let all = routes.post("/write", "m v=1")
    #expect(
      all.status == 400
        && all.text == #"{"error":"unable to parse: line 1: device: is required: no tag device or host"}"#,
      "\(all.text)")
  }

  @Test func saysWhenToRepeatAsInfluxDBDoes() throws {
    let routes = Routes(FakePublisher(), body: 1_000, readings: 3)
    // Also where a line is bad or the others are taken: what is lost is worse than what comes twice.
    let late = routes.post("/api/v2/write", "m,host=h a=1,b=2\nbad")
    routes.publisher.report { $0 == 1 ? .timedOut($0) : nil }
    #expect(late.status == 503 && late.header("Retry-After") == "2")
    #expect(late.text.hasPrefix(#"{"code":"unavailable","message":"Kafka did not acknowledge 1 of 2 fields"#))
    late.forget()
    // One reading that is too large would be halved for ever at 413.
    let large = routes.post("/api/v2/write", "m,host=h a=1")
    routes.publisher.report { .refused($0, .messageTooLarge) }
    #expect(large.status == 400 && large.text.contains("line 1: Kafka does not take a value as large as this"))
    // Halved and sent again.
    let many = routes.post("/api/v2/write", "m,host=h a=1,b=2\nm,host=h a=1,b=2")
    #expect(many.status == 413 && many.text.hasPrefix(#"{"code":"request too large","message":"#))
    let long = routes.post("/write", String(repeating: "#", count: 1_001))
    #expect(long.status == 413 && long.text.hasPrefix(#"{"error":"#))
    routes.publisher.unavailability = "Kafka is away"
    for (path, start) in [("/api/v2/write", #"{"code":"unavailable","message":"#), ("/write", #"{"error":"#)] {
      let away = routes.post(path, Self.line)
      #expect(away.status == 503 && away.header("Retry-After") == "2" && away.text.hasPrefix(start))
      #expect(away.answer?.headers.count { $0.0 == "Content-Type" } == 1)
    }
    #expect(routes.bytesHeld == 0)
  }

  @Test func answersThoseWhoAskWhetherItIsThere() {
    let routes = Routes()
    let ping = routes.begin(.get, "/ping", length: nil)
    #expect(ping.status == 204 && ping.header("X-Influxdb-Version")?.hasPrefix("v2.") == true)
    #expect(routes.begin(.head, "/ping", length: nil).status == 204)
    let health = routes.begin(.get, "/health", length: nil)
    #expect(
      health.status == 200 && health.text.contains(#""name":"influxdb""#) && health.text.contains(#""status":"pass""#))
    routes.publisher.unavailability = "Kafka is away"
    let ill = routes.begin(.get, "/health", length: nil)
    #expect(ill.status == 503 && ill.text.contains(#""message":"Kafka is away","status":"fail""#))
  }

  @Test func findsTheDeviceInOtherTags() {
    let routes = Routes(dialects: DialectSettings(lineProtocol: .init(deviceTags: ["entity_id"])))
    #expect(routes.post("/write", "°C,domain=sensor,entity_id=attic value=21.5").status == 204)
    #expect(
      routes.publisher.published[0].hasPrefix(#"{"device":"attic","sensor":"C.value""#), "\(routes.publisher.published)"
    )
  }

  // MARK: openSenseMap

  private static let boxes = """
    [{"_id":"\(box)","name":"Garden","currentLocation":{"coordinates":[7.68,51.97,66]},"sensors":[
    {"_id":"\(sensor)","title":"Temperatur","unit":"°C","sensorType":"DHT22"},
    {"_id":"5386e5fca0a2a8a0163c8ea4","title":"PM10","unit":"µg/m³","sensorType":"SDS 011"}]},
    {"_id":"5386e5fca0a2a8a0163c8eb1","name":"Roof","access_token":"0a1b","sensors":[]},
    {"_id":"5386e5fca0a2a8a0163c8ed1","name":"Open","access_token":"0a1b","useAuth":false,"sensors":[
    {"_id":"5386e5fca0a2a8a0163c8ea4","title":"PM10","unit":"µg/m³","sensorType":"SDS 011"}]}]
    """
  private static let saved = #""Measurements saved in box""#

  private func measurements(
    _ body: [UInt8], _ type: String?, _ query: [(String, String)] = [], path: String = "/boxes/\(box)/data",
    known: Bool = false, token: String? = nil
  ) throws -> (Request, [String]) {
    let directory = BoxDirectory()
    if known { #expect(try directory.load(Array(Self.boxes.utf8)) == 3) }
    let routes = Routes(dialects: DialectSettings(boxes: directory))
    let headers = (type.map { [("Content-Type", $0)] } ?? []) + (token.map { [("Authorization", $0)] } ?? [])
    let request = routes.post(path, body, headers, query)
    #expect(routes.bytesHeld == 0)
    return (request, routes.publisher.published)
  }

  private func measurements(
    _ body: String, _ type: String?, _ query: [(String, String)] = [], path: String = "/boxes/\(box)/data",
    known: Bool = false, token: String? = nil
  ) throws -> (Request, [String]) {
    try measurements(Array(body.utf8), type, query, path: path, known: known, token: token)
  }

  @Test(arguments: [
    (#"[{"sensor":"\#(sensor)","value":"21.5"}]"#, "application/json; charset=utf-8"),
    (#"{"\#(sensor)":21.5}"#, "application/json"), ("\(sensor),21.5\n", "text/csv"), ("\(sensor),21.5\r\n", "csv"),
  ])
  func takesMeasurements(_ body: String, _ type: String) throws {
    let (request, published) = try measurements(body, type)
    #expect(request.status == 201 && request.text == Self.saved)
    #expect(request.header("Content-Type")?.hasPrefix("application/json") == true)
    #expect(published == [#"{"device":"\#(Self.box)","sensor":"\#(Self.sensor)","value":21.5\#(Self.arrival)}"#])
    let (_, named) = try measurements(body, type, known: true)
    #expect(
      named == [
        #"{"device":"Garden","sensor":"Temperatur","value":21.5,"unit":"°C"\#(Self.arrival),"location":[7.68,51.97,66]}"#
      ])
  }

  @Test func takesRecords() throws {
    var record: [UInt8] = [0x53, 0x86, 0xe5, 0xfc, 0xa0, 0xa2, 0xa8, 0xa0, 0x16, 0x3c, 0x8e, 0xa2]
    withUnsafeBytes(of: Float(21.54).bitPattern.littleEndian) { record += $0 }
    let (request, published) = try measurements(record + record, "application/sbx-bytes")
    #expect(request.status == 201 && published.count == 2 && published[0].contains(#""value":21.5,"#))
    var timed = record
    withUnsafeBytes(of: UInt32(1_795_227_000).littleEndian) { timed += $0 }
    let (again, dated) = try measurements(timed, "application/sbx-bytes-ts")
    #expect(again.status == 201 && dated.first?.contains(#""ts":"2026-11-21T02:10:00.000Z""#) == true)
    let (short, _) = try measurements(Array(timed.dropLast()), "application/sbx-bytes-ts")
    #expect(short.status == 422 && short.text.hasPrefix(#"{"code":"UnprocessableEntity","message":"#))
  }

  @Test func takesWhatTheFirmwaresSendThere() throws {
    let body = #"{"sensordatavalues":[{"value_type":"SDS_P1","value":"5.38"}]}"#
    for (query, type) in [([("luftdaten", "true")], "application/json"), ([], "luftdaten")] {
      let (request, published) = try measurements(body, type, query, known: true)
      #expect(request.status == 201 && request.text == Self.saved)
      #expect(published.first?.hasPrefix(#"{"device":"Garden","sensor":"PM10","value":5.38,"#) == true, "\(published)")
    }
    let hackAIR = #"{"reading":{"PM10_AirPollutantValue":"32.63"},"battery":"5.99"}"#
    let (request, published) = try measurements(hackAIR, "application/json", [("hackair", "true")], known: true)
    #expect(request.status == 201 && published.first?.contains(#""sensor":"PM10","value":32.63"#) == true)
    let (none, _) = try measurements(
      #"{"sensordatavalues":[{"value_type":"XYZ_P1","value":"5"}]}"#, "application/json", [("luftdaten", "1")],
      known: true)
    #expect(
      none.status == 422 && none.text == #"{"code":"UnprocessableEntity","message":"No applicable values found"}"#)
  }

  @Test func takesOneMeasurement() throws {
    let path = "/boxes/\(Self.box)/\(Self.sensor)"
    let (request, published) = try measurements(#"{"value":"21.5"}"#, "application/json", path: path)
    #expect(request.status == 201 && request.text == #""Measurement saved in box""# && published.count == 1)
    let (missing, _) = try measurements("{}", "application/json", path: path)
    #expect(
      missing.status == 400 && missing.text == #"{"code":"BadRequest","message":"missing required parameter value"}"#)
    let (csv, _) = try measurements("21.5", "text/csv", path: path)
    #expect(
      csv.status == 415 && csv.text == #"{"code":"UnsupportedMediaType","message":"Unsupported content-type."}"#)
  }

  @Test func refusesMeasurementsAsThatAPIDoes() throws {
    for (body, type, path, status, text) in [
      ("{}", "application/json", "/boxes/\(Self.box)/data", 422, "Cannot save empty or invalid measurements."),
      ("{", "application/json", "/boxes/\(Self.box)/data", 400, #""code":"InvalidContent""#),
      ("{}", "application/xml", "/boxes/\(Self.box)/data", 415, "Unsupported content-type."),
      (
        "{}", "application/json", "/boxes/00112233445566778899aabb/data", 404,
        #"{"code":"NotFound","message":"Box not found"}"#
      ),
      (#"{"\#(Self.sensor)":"x"}"#, "application/json", "/boxes/\(Self.box)/data", 422, "Invalid value"),
    ] {
      let (request, published) = try measurements(body, type, path: path)
      #expect(request.status == status && request.text.contains(text) && published.isEmpty, "\(request.text)")
    }
    // All or nothing: the good one is not stored either.
    let (partly, published) = try measurements(
      #"[{"sensor":"\#(Self.sensor)","value":1},{"sensor":"x","value":1}]"#, "application/json")
    #expect(partly.status == 422 && partly.text.contains("Invalid sensor id") && published.isEmpty)
    // A download in that API.
    #expect(Routes().post("/boxes/data", "{}", [Self.json]).status == 404)
  }

  @Test func asksForTheBoxsToken() throws {
    let path = "/boxes/5386e5fca0a2a8a0163c8eb1/data"
    for token in [nil, "", "0a1c", "0a1", "0a1b0", "Bearer 0a1b"] {
      let (request, _) = try measurements("{}", "application/json", path: path, known: true, token: token)
      #expect(
        request.status == 401 && request.text == #"{"code":"Unauthorized","message":"Box access token not valid!"}"#)
    }
    let (request, published) = try measurements(
      #"{"\#(Self.sensor)":1}"#, "application/json", path: path, known: true, token: "0a1b")
    #expect(request.status == 201 && published.first?.hasPrefix(#"{"device":"Roof""#) == true)
  }

  @Test func asksNoTokenOfABoxThatDoesNotUseIt() throws {
    let path = "/boxes/5386e5fca0a2a8a0163c8ed1/data"
    #expect(try measurements("{}", "application/json", path: path, known: true).0.status == 422)
    let (request, _) = try measurements(#"{"\#(Self.sensor)":1}"#, "application/json", path: path, known: true)
    #expect(request.status == 201)
    let hackAIR = #"{"reading":{"PM10_AirPollutantValue":"32.63"}}"#
    for (token, status) in [(nil, 401), ("0a1b", 201)] {
      let (request, _) = try measurements(hackAIR, "hackair", path: path, known: true, token: token)
      #expect(request.status == status)
    }
  }

  @Test func aFileThatIsNoneChangesNothing() throws {
    let directory = BoxDirectory()
    #expect(try directory.load(Array(Self.boxes.utf8)) == 3)
    #expect(throws: BoxesFile.Failure.self) { try directory.load(Array("[{}]".utf8)) }
    let routes = Routes(dialects: DialectSettings(boxes: directory))
    #expect(routes.post("/boxes/\(Self.box)/data", #"{"\#(Self.sensor)":1}"#, [Self.json]).status == 201)
    #expect(routes.publisher.published[0].contains(#""device":"Garden""#))
  }

  @Test func tellsBoxesWhenToRepeat() {
    let routes = Routes(FakePublisher())
    let late = routes.post("/boxes/\(Self.box)/data", #"{"\#(Self.sensor)":1}"#, [Self.json])
    routes.publisher.report { .timedOut($0) }
    #expect(late.status == 503 && late.header("Retry-After") == "2")
    #expect(late.text.hasPrefix(#"{"code":"ServiceUnavailable","message":"#))
    routes.publisher.unavailability = "Kafka is away"
    let away = routes.post("/boxes/\(Self.box)/data", "{}", [Self.json])
    #expect(away.status == 503 && away.header("Retry-After") == "2")
    #expect(away.text.hasPrefix(#"{"code":"ServiceUnavailable","message":"nothing was accepted: Kafka is away"#))
  }

  // MARK: Sensor.Community

  private static let airrohr =
    #"{"esp8266id": "12345678", "software_version": "NRZ-2024-135", "sensordatavalues":[{"value_type":"SDS_P1","value":"5.38"},{"value_type":"BME280_temperature","value":"24.98"},{"value_type":"signal","value":"-59"}]}"#
  private static let airrohrHeaders = [
    json, ("X-Sensor", "esp8266-12345678"), ("X-MAC-ID", "esp8266-5ccf7f012345"),
    ("User-Agent", "NRZ-2024-135/12345678/5ccf7f012345"),
  ]

  @Test func takesTheFirmwaresOwnAPI() {
    let routes = Routes()
    let request = routes.post("/data.php", Self.airrohr, Self.airrohrHeaders)
    #expect(request.status == 202 && request.text == #"{"accepted":3}"#)
    #expect(
      routes.publisher.published[1]
        == #"{"device":"esp8266-12345678","sensor":"BME280_temperature","value":24.98,"unit":"Cel"\#(Self.arrival),"tags":{"software_version":"NRZ-2024-135"}}"#
    )
  }

  @Test(arguments: ["/v1/push-sensor-data/", "/v1/push-sensor-data"])
  func takesOneSensorPerRequest(_ path: String) {
    let routes = Routes()
    let body =
      #"{"software_version":"NRZ-2024-135","sensordatavalues":[{"value_type":"P1","value":"5.38"},{"value_type":"P2","value":"nan"}]}"#
    let request = routes.post(path, body, Self.airrohrHeaders + [("X-Pin", "1")])
    // The firmware takes 200 to 208 for a success.
    #expect(request.status == 207 && request.text.hasPrefix(#"{"accepted":1,"rejected":1,"errors":[{"index":1,"#))
    #expect(routes.publisher.published[0].contains(#""sensor":"PM_P1","value":5.38"#))
  }

  // MARK: SensorThings

  private static let observation =
    #"{"result":21.5,"phenomenonTime":"2026-11-21T02:15:00Z","Datastream":{"@iot.id":1}}"#

  @Test(arguments: ["/v1.1/", "/v1.0/"])
  func takesObservations(_ root: String) {
    let routes = Routes()
    let request = routes.post("\(root)Observations", Self.observation, [Self.json])
    #expect(request.status == 201 && request.text == "")
    #expect(request.header("Location") == "\(root)Observations(\(Routes.now))")
    #expect(
      routes.publisher.published == [
        #"{"device":"datastream-1","sensor":"result","value":21.5,"ts":"2026-11-21T02:15:00.000Z"}"#
      ])
    #expect(routes.post("\(root)Datastreams(2)/Observations", #"{"result":1}"#, [Self.json]).status == 201)
    #expect(routes.post("\(root)Datastreams('a%20b')/Observations", #"{"result":1}"#, [Self.json]).status == 201)
    #expect(
      routes.publisher.published.dropFirst().map { $0.prefix(24) } == [
        #"{"device":"datastream-2""#, #"{"device":"datastream-a_"#,
      ])
    #expect(routes.post("\(root)Things(1)/Observations", #"{"result":1}"#, [Self.json]).status == 404)
  }

  @Test func refusesObservationsAsFROSTDoes() {
    let routes = Routes(FakePublisher())
    for (body, text) in [("{", "the body is not JSON"), (#"{"result":1}"#, "Datastream"), ("[]", "holds no reading")] {
      let request = routes.post("/v1.1/Observations", body, [Self.json])
      #expect(request.status == (body == "[]" ? 422 : 400), "\(request.text)")
      #expect(request.text.hasPrefix(#"{"code":\#(request.status ?? 0),"type":"error","message":""#))
      #expect(request.text.contains(text), "\(request.text)")
    }
    let late = routes.post("/v1.1/Observations", Self.observation, [Self.json])
    routes.publisher.report { .timedOut($0) }
    #expect(
      late.status == 503 && late.header("Retry-After") == "2" && late.text.hasPrefix(#"{"code":503,"type":"error""#))
  }

  // MARK: The Things Network

  @Test func takesUplinks() {
    let routes = Routes()
    let body =
      #"{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530"},"received_at":"2026-11-21T02:15:10.787Z","uplink_message":{"session_key_id":"AXA50tHUQUucNzHRFQ==","f_port":2,"f_cnt":15,"frm_payload":"AQ==","decoded_payload":{"temperature":21.5},"received_at":"2026-11-21T02:15:10.700Z"}}"#
    for path in ["/v1/ttn", "/v1/ttn/up"] {
      let request = routes.post(path, body, [Self.json, ("X-Tts-Domain", "eu1.cloud.thethings.network")])
      #expect(request.status == 202 && request.text == #"{"accepted":1}"#)
    }
    #expect(
      routes.publisher.published[0]
        == #"{"device":"dev1","sensor":"temperature","value":21.5,"ts":"2026-11-21T02:15:10.700Z","id":"0004A30B001C0530:AXA50tHUQUucNzHRFQ==:15/temperature","tags":{"application_id":"app1","f_port":"2"}}"#
    )
    #expect(routes.publisher.published[0] == routes.publisher.published[1])
    let join = routes.post("/v1/ttn/join", #"{"end_device_ids":{"device_id":"dev1"},"join_accept":{}}"#, [Self.json])
    #expect(join.status == 200 && join.text == #"{"accepted":0}"#)
    #expect(routes.post("/v1/ttn", "{}", [Self.json]).status == 400)
  }

  // MARK: CSV and SenML

  @Test func takesCSV() {
    let routes = Routes()
    let type = [("Content-Type", "text/csv; charset=utf-8")]
    let request = routes.post("/v1/readings", "ts,device,temperature\n2026-11-21T02:15:00Z,d,21.5\n,d,x\n", type)
    #expect(request.status == 202 && request.text == #"{"accepted":2}"#, "\(request.text)")
    let mapped = routes.post(
      "/v1/readings", "Zeit;Temp;Rest\n1795227300;21,5;z\n", type,
      [("map", "Zeit=ts:s,Temp=sensor:temperature,Rest=-"), ("device", "attic")])
    #expect(mapped.status == 202, "\(mapped.text)")
    #expect(
      routes.publisher.published.last
        == #"{"device":"attic","sensor":"temperature","value":21.5,"ts":"2026-11-21T02:15:00.000Z"}"#)
    let wrong = routes.post("/v1/readings", "a\n1", type, [("map", "a=b")])
    #expect(wrong.status == 400 && wrong.errorCode == "invalid_map" && wrong.text.contains("a=b"))
    let partly = routes.post("/v1/readings", "device,sensor,value\nd,s,1\nd,s,\nd,s,2", type)
    #expect(partly.status == 207 && partly.text.contains(#""errors":[{"index":2,"#), "\(partly.text)")
  }

  @Test func takesSenML() {
    let routes = Routes()
    let type = [("Content-Type", "application/senml+json")]
    let body =
      #"[{"bn":"urn:dev:ow:10e2073a01080063:","u":"Cel","n":"temperature","v":23.1},{"n":"humidity","u":"%RH","v":40}]"#
    #expect(routes.post("/v1/readings", body, type).text == #"{"accepted":2}"#)
    #expect(routes.publisher.published[0].hasPrefix(#"{"device":"urn:dev:ow:10e2073a01080063","sensor":"temperature""#))
    #expect(routes.post("/v1/readings", #"[{"n":"t","v":1}]"#, type, [("device", "d")]).status == 202)
    #expect(routes.post("/v1/readings", #"[{"n":"t","v":1}]"#, type).status == 422)
    #expect(routes.post("/v1/readings", "{}", type).errorCode == "malformed")
  }

  // MARK: Places

  /// Where an item is several readings, each repeat gives each of them the same id, whatever becomes of the others.
  @Test func givesEachReadingItsPlace() throws {
    func ids(_ path: String, _ body: String, _ type: String) -> [String] {
      let routes = Routes()
      _ = routes.post(path, body, [("Content-Type", type), ("Idempotency-Key", "k")])
      return routes.publisher.published.map { String($0.split(separator: "/").last?.prefix { $0 != "\"" } ?? "-") }
    }
    let influx = "m,host=h a=1,b=2\n# nothing\nm,host=h c=\nm,host=h c=3"
    #expect(ids("/write", influx, "text/plain") == ["0", "0.1", "3"])
    #expect(ids("/write", influx.replacing("c=\n", with: "c=4,d=5\n"), "text/plain") == ["0", "0.1", "2", "2.1", "3"])
    let wide = "device,t,h\nd,1,\nd,,\nd,2,3\nd,x y,4"
    #expect(ids("/v1/readings", wide, "text/csv") == ["1", "3", "3.1", "4", "4.1"])
    let sums = #"[{"bn":"d/","n":"a","v":1,"s":2},{"n":"b"},{"n":"c","v":1}]"#
    #expect(ids("/v1/readings", sums, "application/senml+json") == ["0", "0.1", "2"])
  }

  /// Of an item that is several readings, each that Kafka did not take is told.
  @Test func namesTheItemsOfWhatIsNotStored() {
    let routes = Routes(FakePublisher())
    let request = routes.post(
      "/v1/readings", "device,t,h\nd,1,2\nd\nd,3,4\nd,5,6\n", [("Content-Type", "text/csv")])
    routes.publisher.report { $0 == 2 || $0 == 5 ? .timedOut($0) : nil }
    #expect(request.status == 207)
    #expect(request.text.hasPrefix(#"{"accepted":4,"rejected":3,"errors":[{"index":2,"#), "\(request.text)")
    let indices = request.text.split(separator: #""index":"#).dropFirst().map { $0.prefix { $0.isNumber } }
    #expect(indices == ["2", "3", "4"])
  }
}

extension Routes {
  /// Posts a body of another dialect.
  func post(
    _ path: String, _ body: [UInt8], _ headers: [(String, String)] = [], _ query: [(String, String)] = []
  ) -> Request {
    let request = Request(
      service.begin(
        RequestHead(
          method: .post, path: path, headers: headers, query: query, contentLength: Int64(body.count))))
    request.send(body)
    request.finish()
    return request
  }

  func post(
    _ path: String, _ body: String, _ headers: [(String, String)] = [], _ query: [(String, String)] = []
  ) -> Request { post(path, Array(body.utf8), headers, query) }
}
