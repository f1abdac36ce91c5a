import JSON
package import Readings
import Timestamps

/// Observations of OGC SensorThings, version 1.1: `POST …/Observations` with the data stream in the body, and
/// `POST …/Datastreams(1)/Observations`.
///
/// An observation names its data stream by an id; which device and sensor that is, the caller says. A stream it does not know
/// has the device `datastream-{id}` and the sensor `result`.
package enum SensorThings {
  /// What the readings of a data stream are called.
  package struct Stream: Sendable, Equatable {
    package var device: String
    package var sensor: String
    package var unit: String?

    package init(device: String, sensor: String, unit: String? = nil) {
      self.device = device
      self.sensor = sensor
      self.unit = unit
    }
  }

  /// The id in the last `Datastreams(…)` of a path, without the quotes of a text; nil when there is none.
  package static func stream(inPath path: String) -> String? {
    guard let start = path.ranges(of: "/Datastreams(").last?.upperBound, let end = path[start...].firstIndex(of: ")")
    else { return nil }
    var id = path[start..<end]
    if id.count >= 2, id.first == "'", id.last == "'" { id = id.dropFirst().dropLast() }
    return id.isEmpty ? nil : String(id)
  }

  /// Decodes one observation, or an array of them; its items are the observations.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - stream: the id from the path; nil takes it from each observation's `Datastream`.
  ///   - streams: by their ids.
  ///   - now: the time of arrival, in milliseconds; that of an observation without `phenomenonTime`.
  ///   - errors: gets the observations that are no readings, in their order.
  /// - Throws: when nothing of the body can be taken; the batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, stream: String?, streams: [String: Stream] = [:], now: Int64,
    context: DecodingContext, into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(padded: body) { (root) throws(BodyError) in
        switch root.kind {
        case .object:
          try intake.item(0) { () throws(Rejection) in try decode(root, stream, streams, intake) }
        case .array:
          var index = 0
          for element in root.elements {
            try intake.item(index) { () throws(Rejection) in try decode(element, stream, streams, intake) }
            index += 1
          }
        default: throw .malformed("must be an observation, a JSON object")
        }
      }
    }
  }

  private static func decode(
    _ observation: JSONValue, _ pathStream: String?, _ streams: [String: Stream], _ intake: Intake
  ) throws(Rejection) {
    guard observation.kind == .object else { throw .shape("", "an observation must be a JSON object") }
    let own = pathStream == nil ? try stream(observation) : nil
    guard let id = pathStream ?? own else {
      throw .missing("Datastream", "is required: {\"@iot.id\":…}, or Datastreams(…) in the path")
    }
    var reading = intake.reading()
    if let stream = streams[id] {
      reading.device = try intake.keepName(Array(stream.device.utf8), "Datastream")
      reading.sensor = try intake.keepName(Array(stream.sensor.utf8), "Datastream")
      if let unit = stream.unit { reading.unit = try intake.keepUnit(Array(unit.utf8)) }
    } else {
      reading.device = try intake.keepName(Array("datastream-\(id)".utf8), "Datastream")
      reading.sensor = intake.keepUnit("result")
    }
    guard let result = observation["result"] else { throw .missing("result") }
    reading.value = try intake.value(result, "result")
    if let time = observation["phenomenonTime"], time.kind != .null { reading.setTime(try self.time(time)) }
    reading.location = location(observation["FeatureOfInterest"]?["feature"])
    try intake.append(reading)
  }

  private static func stream(_ observation: JSONValue) throws(Rejection) -> String? {
    guard let value = observation["Datastream"]?["@iot.id"] else { return nil }
    if let id = value.string, !id.isEmpty, id.count <= ReadingRules.identifierLimit {
      return String(decoding: id, as: UTF8.self)
    }
    if let id = value.integer { return "\(id)" }
    throw .shape("Datastream", "@iot.id must be a whole number or a text")
  }

  /// A time, or the end of an interval of two: a mean is known when its last measurement is.
  private static func time(_ value: JSONValue) throws(Rejection) -> Int64 {
    guard let text = value.string else {
      throw .shape("phenomenonTime", "must be a string such as 2026-11-21T02:15:18.070Z")
    }
    let end = text.firstIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
    do {
      return try Timestamp.parse(text.part(end..<text.count))
    } catch {
      throw .invalid("phenomenonTime", "must be a time such as 2026-11-21T02:15:18.070Z, or two with / between them")
    }
  }

  /// That of a feature of interest that comes with the observation, if it is a point.
  private static func location(_ feature: JSONValue?) -> Reading.Location? {
    guard let feature, feature["type"]?.string?.equals("Point") == true, let coordinates = feature["coordinates"] else {
      return nil
    }
    return Reading.Location(coordinates.elements.prefix(4).map { $0.number })
  }
}
