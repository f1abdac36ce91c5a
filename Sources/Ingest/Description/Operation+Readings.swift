/// Sluice's own routes.
extension Operation {
  static let readings = Operation(
    name: "postReadings", group: "Sluice", summary: "Readings: one, many, or one a line; also CSV and SenML",
    parameters: [
      Parameter(
        name: "device", place: .query,
        notes: "The device of CSV without such a column, and of SenML names without one; other bodies say it themselves"
      ),
      Parameter(
        name: "map", place: .query,
        notes: "What the columns of CSV are: column=field, separated by commas, with a field of device, sensor, value, "
          + "unit, ts, ts:s, ts:ms, ts:us, ts:ns, lon, lat, height, id, tags, tag:NAME, sensor:NAME or -"),
    ],
    bodies: [
      Body(
        type: "application/json", schema: ref("Readings"),
        example: #"{"device":"greenhouse-3","sensor":"temperature","value":21.5,"unit":"Cel"}"#),
      Body(
        type: "application/x-ndjson", schema: ref("Lines"),
        example: """
          {"device":"greenhouse-3","sensor":"temperature","value":21.5}
          {"device":"greenhouse-3","sensor":"humidity","value":40,"unit":"%RH"}
          """),
      Body(type: "text/csv", schema: ref("CSV"), example: "device,temperature,humidity\ngreenhouse-3,21.5,40"),
      Body(
        type: "application/senml+json", schema: ref("SenMLPack"),
        example: #"[{"bn":"greenhouse-3:","n":"temperature","u":"Cel","v":21.5},{"n":"humidity","u":"%RH","v":40}]"#),
    ],
    answers: outcomes
  ).answering([Answer(status: 422, notes: "No readings", schemas: ["Error"])]).takingReadings()

  /// What Sluice's own answers say of readings.
  private static let outcomes = [
    Answer(status: 202, notes: "Kafka has all of them", schemas: ["Accepted"]),
    Answer(
      status: 207, notes: "Some were refused, or not acknowledged in time; the others are taken", schemas: ["Partial"]),
    Answer(
      status: 403, notes: "Nothing was accepted, and some devices are not the key's to write", schemas: ["Rejected"]),
    Answer(status: 422, notes: "None of them is a reading", schemas: ["Rejected"]),
  ]

  static let stream = Operation(
    name: "openStream", group: "Sluice", summary: "A WebSocket for many readings, each answered by itself",
    notes:
      "A message is what a body of POST /v1/readings may be as JSON or lines, or an object of seq and either reading or "
      + "readings. Its answer is that request's body with seq in front.",
    answers: [
      Answer(status: 101, notes: "The WebSocket begins"),
      Answer(status: 400, notes: "Sec-WebSocket-Key is none", schemas: ["Error"]),
      Answer(
        status: 401, notes: "No key, or one that is unknown, expired or revoked", schemas: ["Error"],
        headers: ["WWW-Authenticate"]),
      Answer(status: 403, notes: "The key may not be used for this", schemas: ["Error"]),
      Answer(
        status: 426, notes: "This path is a WebSocket (RFC 6455, version 13)", schemas: ["Error"], headers: ["Upgrade"]),
      Answer(status: 503, notes: "Too many streams", schemas: ["Error"], headers: ["Retry-After"]),
    ],
    credentials: usualCredentials + ["keyQuery"],
    command: """
      # pip install websockets
      echo '{"seq":1,"reading":{"device":"greenhouse-3","sensor":"temperature","value":21.5}}' | \\
        python3 -m websockets 'ORIGIN/v1/stream'
      """
  ).answering(anyPath)

  // MARK: Clients that take Sluice's own answers

  /// - Parameter header: whether the header says what kind of sensor the values are of.
  static func sensorCommunity(name: String, summary: String, hasPin: Bool) -> Operation {
    let device = Parameter(
      name: "X-Sensor", place: .header, notes: "The device",
      example: "esp8266-12345678")
    let pin = Parameter(
      name: "X-PIN", place: .header, notes: "What kind of sensor: 1 SDS011, 3 BMP280, 7 DHT22, 11 BME280 and so on",
      example: "1")
    return Operation(
      name: name, group: "Sensor.Community (airrohr)", summary: summary, parameters: hasPin ? [device, pin] : [device],
      bodies: [
        Body(
          type: "application/json", schema: ref("AirRohr"),
          example:
            #"{"esp8266id":"12345678","software_version":"NRZ-2024-135","sensordatavalues":[{"value_type":"\#(hasPin ? "P1" : "SDS_P1")","value":"5.38"}]}"#
        )
      ],
      answers: outcomes
    ).answering([Answer(status: 422, notes: "No values", schemas: ["Error"])]).takingReadings()
  }

  static func uplink(name: String, hasKind: Bool) -> Operation {
    let kind = Parameter(
      name: "kind", place: .path, notes: "Whatever the webhook adds to its base URL",
      schema: #"{"type":"string","minLength":1}"#,
      example: "up")
    return Operation(
      name: name, group: "The Things Stack", summary: "The webhook, in JSON", parameters: hasKind ? [kind] : [],
      bodies: [
        Body(
          type: "application/json", schema: ref("Uplink"),
          example:
            #"{"end_device_ids":{"device_id":"greenhouse-3"},"uplink_message":{"f_port":2,"f_cnt":15,"decoded_payload":{"temperature":21.5}}}"#
        )
      ],
      answers: [Answer(status: 200, notes: "A message that is no uplink", schemas: ["Accepted"])]
    ).answering(outcomes).takingReadings()
  }
}
