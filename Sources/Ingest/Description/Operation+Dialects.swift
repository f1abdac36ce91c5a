/// The routes of other systems, answered in their words.
extension Operation {
  // MARK: InfluxDB

  static let influxWrite = influxWrite(
    name: "writeInfluxDB2", summary: "Line protocol, as version 2 of the API takes it", words: "InfluxError",
    parameters: [
      Parameter(name: "org", place: .query, notes: "Ignored", example: "any"),
      Parameter(name: "bucket", place: .query, notes: "Ignored", example: "any"),
    ], credentials: [])

  static let influxWrite1: Operation = {
    var operation = influxWrite(
      name: "writeInfluxDB1", summary: "Line protocol, as version 1 of the API takes it", words: "InfluxError1",
      parameters: [Parameter(name: "db", place: .query, notes: "Ignored", example: "any")],
      credentials: usualCredentials + ["password"])
    // At 429 Telegraf would drop its batch: see InfluxDialect.
    operation.answers.removeAll { $0.status == 429 }
    return operation
  }()

  private static func influxWrite(
    name: String, summary: String, words: String, parameters: [Parameter], credentials: [String]
  ) -> Operation {
    let precision = Parameter(
      name: "precision", place: .query, notes: "The unit of the times; nanoseconds without it, or when it is empty",
      schema: #"{"type":"string","enum":["","n","ns","u","us","µ","ms","s","m","h"]}"#, example: "s")
    return Operation(
      name: name, group: "InfluxDB, Telegraf, Home Assistant", summary: summary, parameters: parameters + [precision],
      bodies: [
        Body(
          type: "text/plain", schema: ref("LineProtocol"),
          example: "climate,device=greenhouse-3 temperature=21.5,humidity=40")
      ],
      needsBody: false,
      answers: [
        Answer(status: 204, notes: "Kafka has all of them, or there were none"),
        Answer(
          status: 400, notes: "Some lines are not taken, and would not be another time; the others are taken",
          schemas: [words]),
      ],
      credentials: credentials
    ).takingReadings(words: words)
  }

  static let influxPing = Operation(
    name: "pingInfluxDB", group: "InfluxDB, Telegraf, Home Assistant", summary: "Whether this is there",
    answers: [Answer(status: 204, notes: "It is", headers: ["X-Influxdb-Version"])]
  ).answering(anyPath)

  static let influxHealth = Operation(
    name: "getInfluxDBHealth", group: "InfluxDB, Telegraf, Home Assistant",
    summary: "Whether readings can be taken now",
    answers: [
      Answer(status: 200, notes: "They can", schemas: ["InfluxHealth"], headers: ["X-Influxdb-Version"]),
      Answer(status: 503, notes: "Kafka does not answer", schemas: ["InfluxHealth"]),
    ]
  ).answering(anyPath)

  // MARK: openSenseMap

  private static let box = Parameter(
    name: "box", place: .path, notes: "The box's id", schema: ref("BoxSensor"), example: "5386e5fca0a2a8a0163c8ea1")

  static let boxData = Operation(
    name: "postBoxData", group: "openSenseMap (senseBox)", summary: "Measurements of a box, all or none",
    parameters: [
      box,
      Parameter(
        name: "luftdaten", place: .query, notes: "With any value: the body is as Sensor.Community's firmware writes it"),
      Parameter(name: "hackair", place: .query, notes: "With any value: the body is as hackAIR's firmware writes it"),
    ],
    bodies: [
      Body(type: "application/json", schema: ref("BoxMeasurements"), example: #"{"5386e5fca0a2a8a0163c8ea2":21.5}"#),
      Body(type: "text/csv", schema: ref("CSV"), example: "5386e5fca0a2a8a0163c8ea2,21.5"),
      Body(type: "application/sbx-bytes", schema: ref("BoxRecords")),
      Body(type: "application/sbx-bytes-ts", schema: ref("BoxRecords")),
    ],
    answers: savedInBox
  ).takingReadings(words: "BoxError")

  static let boxSensor = Operation(
    name: "postBoxMeasurement", group: "openSenseMap (senseBox)", summary: "One measurement",
    parameters: [
      box,
      Parameter(
        name: "sensor", place: .path, notes: "The sensor's id", schema: ref("BoxSensor"),
        example: "5386e5fca0a2a8a0163c8ea2"),
    ],
    bodies: [Body(type: "application/json", schema: ref("BoxMeasurement"), example: #"{"value":21.5}"#)],
    answers: savedInBox
  ).takingReadings(words: "BoxError")

  private static let savedInBox = [
    Answer(status: 201, notes: "Kafka has all of them", type: "application/json", schemas: ["BoxSaved"]),
    Answer(status: 404, notes: "That is no id of a box", schemas: ["BoxError", "Error"]),
    Answer(status: 415, notes: "The Content-Type is none of these", schemas: ["BoxError"]),
    Answer(status: 422, notes: "One of them is no measurement: none is taken", schemas: ["BoxError"]),
  ]

  // MARK: SensorThings

  /// - Parameter stream: whether the path names the data stream.
  static func observations(name: String, stream: Bool) -> Operation {
    let parameter = Parameter(
      name: "stream", place: .path, notes: "The data stream: Datastreams(1) or Datastreams('a')",
      schema: #"{"type":"string","pattern":"^Datastreams\\([A-Za-z0-9]{1,64}\\)$"}"#, example: "Datastreams(1)")
    let schema = ref(stream ? "Observation" : "NamedObservation")
    let operation = Operation(
      name: name, group: "OGC SensorThings", summary: "An observation", parameters: stream ? [parameter] : [],
      bodies: [
        Body(
          type: "application/json", schema: #"{"anyOf":[\#(schema),{"type":"array","minItems":1,"items":\#(schema)}]}"#,
          example: stream ? #"{"result":21.5}"# : #"{"result":21.5,"Datastream":{"@iot.id":1}}"#)
      ],
      answers: [
        Answer(status: 201, notes: "Kafka has it", headers: ["Location"]),
        Answer(status: 207, notes: "Of an array some were refused", schemas: ["Partial"]),
        Answer(status: 422, notes: "An array of nothing", schemas: ["ObservationError"]),
      ]
    ).takingReadings(words: "ObservationError")
    guard stream else { return operation }
    return operation.answering([Answer(status: 404, notes: "That is no data stream", schemas: ["ObservationError"])])
  }
}
