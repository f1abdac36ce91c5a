import JSON
package import Readings
import Timestamps

/// What devices with the Tasmota firmware publish: `tele/{topic}/SENSOR` and `tele/{topic}/STATE`.
///
/// The device is what stands between `tele/` and the last level. Sensors are paths (`BME280.Temperature`, `ENERGY.Power`);
/// the phases of a value in an array have numbers from 1. `ON` and `OFF` become booleans; of a STATE, other texts (the name
/// of the network, say) are left out. `Time` is local time without a zone as a rule, and then the time of arrival is taken.
package enum Tasmota {
  /// What to subscribe to.
  package static let filters = ["tele/+/SENSOR", "tele/+/STATE"]

  /// Decodes a message.
  ///
  /// - Parameters:
  ///   - now: the time of arrival, in milliseconds.
  ///   - errors: gets the values that are no readings, in their order.
  /// - Throws: `empty` where there is nothing to store, or what is wrong; the batch is then as it was.
  package static func decode(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    let isSensor = topic.suffix(7).elementsEqual("/SENSOR".utf8)
    let levels = topic.count - (isSensor ? 7 : 6)
    guard topic.begins(with: "tele/"), levels > 5, isSensor || topic.suffix(6).elementsEqual("/STATE".utf8) else {
      throw .malformed("the topic must be tele/{device}/SENSOR or tele/{device}/STATE")
    }
    let device = topic.part(5..<levels)
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(copying: payload) { (root) throws(BodyError) in
        guard root.kind == .object else { throw .malformed("must be a JSON object") }
        try decode(root, device, isSensor: isSensor, intake)
      }
    }
  }

  private static func decode(
    _ root: JSONValue, _ device: UnsafeRawBufferPointer, isSensor: Bool, _ intake: Intake
  ) throws(BodyError) {
    var common = intake.reading()
    if let time = root["Time"]?.string, let time = try? Timestamp.parse(time) { common.setTime(time) }
    let isFahrenheit = root["TempUnit"]?.string?.equals("F") == true
    let isMillimetres = root["PressureUnit"]?.string?.equals("mmHg") == true
    let unit = { (name: UnsafeRawBufferPointer) in self.unit(name, isFahrenheit, isMillimetres) }
    var members = MemberReadings(
      intake, texts: isSensor ? .switches : .switchesOnly, unit: unit,
      isLeftOut: { member in
        member.hasName("Time") || member.hasName("TempUnit") || member.hasName("PressureUnit")
          || member.hasName("SpeedUnit") || member.hasName("Id") || member.hasName("TotalStartTime")
          || member.hasName("Uptime") || member.hasName("Downtime")
      })
    let name = try keep(device, intake)
    guard let name else { return }
    common.device = name
    for member in root.members {
      var reading = common
      if let id = member.value["Id"]?.string, id.count <= ReadingRules.tagValueLimit {
        // Which of several sensors of a kind it is: their numbers change when one is added.
        try intake.item(0) { () throws(Rejection) in try intake.keepTag(id, named: "id", of: &reading) }
      }
      try members.append(member, common: reading)
    }
  }

  private static func keep(_ name: UnsafeRawBufferPointer, _ intake: Intake) throws(BodyError) -> ByteRange? {
    var device: ByteRange?
    try intake.item(0) { () throws(Rejection) in device = try intake.keepName(name, "topic") }
    return device
  }

  private static func unit(
    _ name: UnsafeRawBufferPointer, _ isFahrenheit: Bool, _ isMillimetres: Bool
  ) -> StaticString? {
    switch String(decoding: name.prefix(16), as: UTF8.self) {
    case "Temperature", "DewPoint": isFahrenheit ? "degF" : "Cel"
    case "Pressure", "SeaPressure": isMillimetres ? "mmHg" : "hPa"
    case "Humidity": "%RH"
    case "Illuminance": "lx"
    case "CarbonDioxide": "ppm"
    case "Power": "W"
    case "ApparentPower": "VA"
    case "ReactivePower": "var"
    case "Voltage": "V"
    case "Current": "A"
    case "Total", "Yesterday", "Today": "kWh"
    case "Signal": "dBm"
    default: nil
    }
  }
}
