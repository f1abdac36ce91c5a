import JSON
package import Readings

/// What the airrohr firmware of Sensor.Community sends: its custom API (any path, `/data.php` by default), and
/// `POST /v1/push-sensor-data/` with one sensor per request.
///
/// The device is the header `X-Sensor` (`esp8266-12345678`), or else made of the body's `esp8266id`; the sensor is the
/// `value_type`. The firmware sends all values as texts and no time. Bodies with a position (`GPS_lat`, `GPS_lon`) give it to
/// all their readings.
package enum SensorCommunity {
  /// Decodes a body; its items are the `sensordatavalues`.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - sensor: the header `X-Sensor`.
  ///   - pin: the header `X-PIN` of `/v1/push-sensor-data/`, which says what kind of sensor the values are of, for there
  ///     their names do not.
  ///   - now: the time of arrival, in milliseconds, and of the readings.
  ///   - errors: gets the values that are no readings, in their order.
  /// - Throws: when nothing of the body can be taken; the batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, sensor: String?, pin: String?, now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(padded: body) { (root) throws(BodyError) in
        guard let values = root["sensordatavalues"], values.kind == .array else {
          throw .malformed("the body must be a JSON object with an array sensordatavalues")
        }
        let device = try device(sensor, root)
        let prefix = pin.flatMap { $0.isEmpty ? nil : Array(("\(kinds[$0] ?? "pin\($0)")_").utf8) } ?? []
        let location = location(values)
        let version = root["software_version"]?.string
        var index = 0
        for value in values.elements {
          try intake.item(index) { () throws(Rejection) in
            var reading = intake.reading()
            reading.device = try intake.keepName(device, "device")
            reading.location = location
            if let version {
              try intake.keepTag(version, named: "software_version", of: &reading)
            }
            try decode(value, prefix, &reading, intake)
            try intake.append(reading)
          }
          index += 1
        }
      }
    }
  }

  /// What the pins stand for, with the prefix that the firmware's custom API gives the values of such a sensor.
  private static let kinds = [
    "1": "PM", "3": "BMP", "5": "PPD42", "7": "DHT", "9": "GPS", "11": "BME280", "13": "DS18B20", "15": "DNMS",
    "17": "SCD30",
  ]

  private static func device(_ header: String?, _ root: JSONValue) throws(BodyError) -> [UInt8] {
    if let header, !header.isEmpty { return Array(header.utf8) }
    if let id = root["esp8266id"]?.string, !id.isEmpty { return Array("esp8266-".utf8) + id }
    throw .malformed("the header X-Sensor or the member esp8266id must name the device")
  }

  private static func location(_ values: JSONValue) -> Reading.Location? {
    var parts: (longitude: Double?, latitude: Double?, height: Double?)
    for value in values.elements {
      guard let type = value["value_type"]?.string, let text = value["value"]?.string else { continue }
      if type.equals("GPS_lon") { parts.longitude = DecimalText.parse(text.trimmed()) }
      if type.equals("GPS_lat") { parts.latitude = DecimalText.parse(text.trimmed()) }
      if type.equals("GPS_height") { parts.height = DecimalText.parse(text.trimmed()) }
    }
    // Without a fix the firmware sends -200°, which is no place.
    return Reading.Location([parts.longitude, parts.latitude] + (parts.height.map { [$0] } ?? []))
  }

  private static func decode(
    _ value: JSONValue, _ prefix: [UInt8], _ reading: inout Reading, _ intake: Intake
  ) throws(Rejection) {
    guard let type = value["value_type"]?.string, !type.isEmpty else { throw .missing("value_type") }
    prefix.withUnsafeBytes { intake.appendName($0) }
    intake.appendName(type)
    reading.sensor = try intake.keepName("value_type")
    if let unit = unit(type) { reading.unit = intake.keepUnit(unit) }
    guard let content = value["value"] else { throw .missing(type.excerpt) }
    if let number = content.number {
      reading.value = .number(number)
      return
    }
    guard var text = content.string?.trimmed() else { throw .shape(type.excerpt, "must be a string with a number") }
    // Older firmware: "-59 dBm".
    if text.suffix(4).elementsEqual(" dBm".utf8) { text = text.part(0..<(text.count - 4)) }
    if let number = try intake.number(text, type.excerpt) {
      reading.value = .number(number)
    } else if type.suffix(9).elementsEqual("timestamp".utf8) || type.equals("GPS_date") || type.equals("GPS_time") {
      reading.value = try intake.textValue(text, type.excerpt)
    } else if ReadingRules.spellsNonFinite(text) {
      throw Intake.notFinite(type.excerpt)
    } else {
      throw .invalid(type.excerpt, "must be a number, and is '\(text.excerpt)'")
    }
  }

  /// The unit of what stands behind the prefix of a type, as the firmware measures it.
  private static func unit(_ type: UnsafeRawBufferPointer) -> StaticString? {
    let start = type.lastIndex(of: UInt8(ascii: "_")).map { $0 + 1 } ?? 0
    let phenomenon = type.part(start..<type.count)
    if phenomenon.equals("P0") || phenomenon.equals("P1") || phenomenon.equals("P2") || phenomenon.equals("P4") {
      return "ug/m3"
    }
    if phenomenon.equals("temperature") { return "Cel" }
    if phenomenon.equals("humidity") { return "%RH" }
    if phenomenon.equals("pressure") { return "Pa" }
    if phenomenon.equals("signal") { return "dBm" }
    if phenomenon.equals("ppm") { return "ppm" }
    return nil
  }
}
