import JSON
package import Readings
import Timestamps

/// The states that Zigbee2MQTT publishes on `zigbee2mqtt/{friendly name}`.
///
/// The device is the friendly name, which may have `/`; what a name here does not have becomes `_`. `ON` and `OFF` become
/// booleans, empty texts are left out, and so are `update` and `device`, which are about firmware. `last_seen` is the time,
/// where it has a zone.
package enum Zigbee2MQTT {
  package static let defaultBase = "zigbee2mqtt"

  /// What to subscribe to: names may have several levels.
  ///
  /// - Parameter base: the setting `mqtt.base_topic`.
  package static func filter(base: String) -> String { "\(base)/#" }

  /// Whether a topic is that of a device's state: none of the bridge's own, no availability, no command.
  ///
  /// - Parameter base: the setting `mqtt.base_topic`.
  package static func isState(topic: UnsafeRawBufferPointer, base: String = defaultBase) -> Bool {
    device(topic, base) != nil
  }

  /// Decodes a message.
  ///
  /// - Parameters:
  ///   - now: the time of arrival, in milliseconds.
  ///   - errors: gets the values that are no readings, in their order.
  /// - Throws: `empty` where there is nothing to store, as in what is no state, or what is wrong; the batch is then as it was.
  package static func decode(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, base: String = defaultBase, now: Int64,
    context: DecodingContext, into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    guard let device = device(topic, base), !payload.isEmpty else { throw .empty }
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(copying: payload) { (root) throws(BodyError) in
        guard root.kind == .object else { throw .malformed("must be a JSON object") }
        var common = intake.reading()
        if let time = root["last_seen"].flatMap(time) { common.setTime(time) }
        var name: ByteRange?
        try intake.item(0) { () throws(Rejection) in name = try intake.keepName(device, "topic") }
        guard let name else { return }
        common.device = name
        var members = MemberReadings(
          intake, texts: .switches, unit: unit,
          isLeftOut: {
            $0.hasName("last_seen") || $0.hasName("update") || $0.hasName("device") || $0.hasName("elapsed")
          })
        try members.append(root, common: common)
      }
    }
  }

  /// Whether a topic begins with the base topic and a slash.
  static func isBelow(base: String, _ topic: UnsafeRawBufferPointer) -> Bool {
    let length = base.utf8.count
    return topic.count > length && topic.starts(with: base.utf8) && topic[length] == UInt8(ascii: "/")
  }

  private static func device(_ topic: UnsafeRawBufferPointer, _ base: String) -> UnsafeRawBufferPointer? {
    let length = base.utf8.count
    guard topic.count > length + 1, isBelow(base: base, topic) else { return nil }
    let name = topic.part((length + 1)..<topic.count)
    let levels = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard let first = levels.first, !first.elementsEqual("bridge".utf8) else { return nil }
    // A command may name an attribute behind: name/set/state.
    for level in levels.dropFirst() where level.elementsEqual("set".utf8) || level.elementsEqual("get".utf8) {
      return nil
    }
    guard levels.count == 1 || !levels[levels.count - 1].elementsEqual("availability".utf8) else { return nil }
    return name
  }

  /// RFC 3339, or milliseconds since 1970.
  private static func time(_ value: JSONValue) -> Int64? {
    if let text = value.string { return try? Timestamp.parse(text) }
    return value.integer
  }

  /// Only where all devices agree: the voltage of a battery is in mV, that of a plug in V.
  private static func unit(_ name: UnsafeRawBufferPointer) -> StaticString? {
    switch String(decoding: name.prefix(24), as: UTF8.self) {
    case "temperature", "device_temperature", "local_temperature": "Cel"
    case "humidity": "%RH"
    case "battery", "soil_moisture": "%"
    case "pressure": "hPa"
    case "illuminance_lux": "lx"
    case "co2": "ppm"
    case "pm25", "pm10": "ug/m3"
    case "power": "W"
    case "energy": "kWh"
    case "current": "A"
    default: nil
    }
  }
}
