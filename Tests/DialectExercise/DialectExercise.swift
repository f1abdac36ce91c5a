import Dialects
import JSON
import Readings

/// Feeds a dialect with bytes and checks what has to hold whatever they are: for the fuzzers and for the tests.
///
/// The first line of an input says what comes beside the body (a topic, a precision, a header); the rest is the body.
package enum DialectExercise: String, CaseIterable, Sendable {
  case lineProtocol = "line-protocol"
  case openSenseMap = "opensensemap"
  case boxesFile = "boxes-file"
  case sensorCommunity = "sensor-community"
  case senml
  case sensorThings = "sensorthings"
  case theThingsNetwork = "ttn"
  case csv
  case tasmota
  case zigbee2MQTT = "zigbee2mqtt"
  case sluice
  case sensorTopic = "sensor-topic"

  /// What an input did.
  package struct Outcome {
    package var readings = 0
    package var errors = 0
    /// Why the whole body was refused.
    package var refusal: String?
  }

  private static let now: Int64 = 1_795_227_318_070
  private static let readingsLimit = 64

  /// Runs one input; ends the process where something does not hold.
  @discardableResult
  package func run(_ input: UnsafeRawBufferPointer) -> Outcome {
    let newline = input.firstIndex(of: UInt8(ascii: "\n")) ?? input.count
    let head = UnsafeRawBufferPointer(rebasing: input[..<newline])
    let rest = input[min(newline + 1, input.count)...]
    let bounds = TimeBounds(futureTolerance: 300_000, retention: 30 * 365 * 86_400_000)
    let context = DecodingContext(parser: JSONParser(), bounds: bounds, readingsLimit: Self.readingsLimit)
    let batch = ReadingBatch()
    var errors: [ItemError] = []
    // A copy of exactly the size that is promised: the address sanitizer sees what reads further.
    let isPadded: Bool
    switch self {
    case .lineProtocol, .csv, .boxesFile, .tasmota, .zigbee2MQTT, .sensorTopic: isPadded = false
    case .openSenseMap, .sensorCommunity, .senml, .sensorThings, .theThingsNetwork, .sluice: isPadded = true
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: rest.count + (isPadded ? JSONParser.padding : 0), alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: rest)
    let body = UnsafeRawBufferPointer(rebasing: memory[..<rest.count])

    var outcome = Outcome()
    do {
      try decode(head: head, body: body, context: context, into: batch, errors: &errors)
    } catch {
      outcome.refusal = "\(error)"
      precondition(batch.isEmpty && batch.textCount == 0 && batch.nextTag == 0, "a refused body left something behind")
      precondition(errors.isEmpty, "a refused body left errors behind")
    }
    precondition(batch.count + errors.count <= Self.readingsLimit, "more than the limit")
    for (earlier, later) in zip(errors, errors.dropFirst()) {
      precondition(earlier.index <= later.index, "out of order")
    }
    for reading in batch.readings { checkRoundTrip(reading, of: batch, context) }
    outcome.readings = batch.count
    outcome.errors = errors.count
    return outcome
  }

  private func decode(
    head: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) throws {
    let text = String(decoding: head, as: UTF8.self)
    switch self {
    case .lineProtocol:
      try LineProtocol.decode(
        body: body, precision: LineProtocol.Precision(text) ?? .nanoseconds, mapping: .init(device: "d"), now: Self.now,
        context: context, into: batch, errors: &errors)
    case .openSenseMap:
      // `format box [sensor]`
      let words = text.split(separator: " ").map(String.init)
      let format = OpenSenseMap.Format(contentType: words.first) ?? .json
      let id = Array((words.count > 1 ? words[1] : "5386e5fca0a2a8a0163c8ea1").utf8)
      let boxes = Self.boxes(context.parser)
      try id.withUnsafeBytes { id in
        if words.count > 2 {
          try Array(words[2].utf8).withUnsafeBytes { sensor in
            try OpenSenseMap.decodeSingle(
              padded: body, box: id, sensor: sensor, boxes: boxes, now: Self.now, context: context, into: batch)
          }
        } else {
          try OpenSenseMap.decode(
            padded: body, format: format, box: id, boxes: boxes, now: Self.now, context: context, into: batch)
        }
      }
    case .boxesFile: _ = try BoxesFile(body, parser: context.parser)
    case .sensorCommunity:
      // `sensor [pin]`
      let words = text.split(separator: " ").map(String.init)
      try SensorCommunity.decode(
        padded: body, sensor: words.first, pin: words.count > 1 ? words[1] : nil, now: Self.now, context: context,
        into: batch, errors: &errors)
    case .senml:
      try SenML.decode(
        padded: body, device: text.isEmpty ? nil : text, now: Self.now, context: context, into: batch, errors: &errors)
    case .sensorThings:
      try SensorThings.decode(
        padded: body, stream: SensorThings.stream(inPath: text), now: Self.now, context: context, into: batch,
        errors: &errors)
    case .theThingsNetwork:
      if head.isEmpty {
        try TheThingsNetwork.decode(padded: body, now: Self.now, context: context, into: batch, errors: &errors)
      } else {
        try TheThingsNetwork.decode(
          topic: head, payload: body, now: Self.now, context: context, into: batch, errors: &errors)
      }
    case .csv:
      let mapping = try CSVMapping(text.split(separator: " ").map(String.init))
      try CSVFormat.decode(
        body: body, mapping: mapping, now: Self.now, context: context, into: batch, errors: &errors)
    case .tasmota:
      try Tasmota.decode(topic: head, payload: body, now: Self.now, context: context, into: batch, errors: &errors)
    case .zigbee2MQTT:
      try Zigbee2MQTT.decode(topic: head, payload: body, now: Self.now, context: context, into: batch, errors: &errors)
    case .sluice:
      try SluiceFormat.decode(
        padded: body, framing: text == "lines" ? .lines : .json, now: Self.now, context: context, into: batch,
        errors: &errors)
    case .sensorTopic:
      try SensorTopic.decode(topic: head, payload: body, now: Self.now, context: context, into: batch)
    }
  }

  /// A reading of any dialect is one by the topic's contract: its canonical form is read back as itself.
  private func checkRoundTrip(_ reading: Reading, of batch: ReadingBatch, _ context: DecodingContext) {
    var out = ByteBuffer()
    ReadingEncoder.encode(reading, of: batch, into: &out)
    let copy = ReadingBatch()
    let decoder = ReadingDecoder(unknownMembers: .refuse, bounds: context.bounds)
    do {
      _ = try context.parser.parse(copying: out.bytes) { (root) throws(ReadingError) in
        try decoder.decode(root, implied: ReadingDecoder.Implied(now: Self.now), into: copy)
      }
    } catch {
      preconditionFailure("\(String(decoding: out.bytes, as: UTF8.self)) is no reading: \(error)")
    }
    var again = ByteBuffer()
    ReadingEncoder.encode(copy.readings[0], of: copy, into: &again)
    precondition(
      again.bytes.elementsEqual(out.bytes),
      "\(String(decoding: out.bytes, as: UTF8.self)) was read back as \(String(decoding: again.bytes, as: UTF8.self))")
  }

  /// Two boxes as openSenseMap's API writes them.
  package static let boxesJSON = """
    [{"_id":"5386e5fca0a2a8a0163c8ea1","name":"Garden 1","currentLocation":{"type":"Point","coordinates":[7.68,51.97,66]},
    "sensors":[{"_id":"5386e5fca0a2a8a0163c8ea2","title":"Temperatur","unit":"°C","sensorType":"DHT22"},
    {"_id":"5386e5fca0a2a8a0163c8ea3","title":"rel. Luftfeuchte","unit":"%","sensorType":"DHT22"},
    {"_id":"5386e5fca0a2a8a0163c8ea4","title":"PM10","unit":"µg/m³","sensorType":"SDS 011"},
    {"_id":"5386e5fca0a2a8a0163c8ea5","title":"PM2.5","unit":"µg/m³","sensorType":"SDS 011"}]},
    {"_id":"5386e5fca0a2a8a0163c8eb1","name":"Roof","access_token":"abc",
    "sensors":[{"_id":"5386e5fca0a2a8a0163c8eb2","title":"Temperatur","unit":"°C","sensorType":"HDC1080"},
    {"_id":"5386e5fca0a2a8a0163c8eb3","title":"Temperatur","unit":"°C","sensorType":"BME280"}]}]
    """

  private static func boxes(_ parser: JSONParser) -> BoxesFile {
    Array(boxesJSON.utf8).withUnsafeBytes { try! BoxesFile($0, parser: parser) }
  }
}
