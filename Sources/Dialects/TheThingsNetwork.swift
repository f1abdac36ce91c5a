import JSON
package import Readings
import Timestamps

/// Uplinks of The Things Network and The Things Stack, version 3: the webhook, and MQTT.
///
/// The device is `end_device_ids.device_id`, the sensors are the members of `decoded_payload`, with a path where it is nested.
/// An uplink without a decoded payload is one reading, `frm_payload`, in base64. Each reading has the id
/// `dev_eui:session_key_id:f_cnt/sensor`, where that fits, so that a repeat is known as one; and the tags `application_id`
/// and `f_port`.
package enum TheThingsNetwork {
  /// What to subscribe to; the server allows all of it with an application's credentials.
  package static let filter = "v3/+/devices/+/up"

  /// Decodes the body of a webhook.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - now: the time of arrival, in milliseconds.
  ///   - errors: gets the values that are no readings, in their order.
  /// - Throws: `empty` for messages other than uplinks (joins, acknowledgements), which are to be answered like a success; or
  ///   what is wrong. The batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(padded: body) { (root) throws(BodyError) in try decode(root, device: nil, intake) }
    }
  }

  /// Decodes a message from the topic `v3/{application}@{tenant}/devices/{device}/up`.
  package static func decode(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    let levels = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard levels.count == 5, levels[0].elementsEqual("v3".utf8), levels[2].elementsEqual("devices".utf8),
      !levels[3].isEmpty, levels[4].elementsEqual("up".utf8)
    else { throw .malformed("the topic must be v3/{application}@{tenant}/devices/{device}/up") }
    let device = UnsafeRawBufferPointer(rebasing: levels[3])
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(copying: payload) { (root) throws(BodyError) in try decode(root, device: device, intake) }
    }
  }

  private static func decode(
    _ root: JSONValue, device topicDevice: UnsafeRawBufferPointer?, _ intake: Intake
  ) throws(BodyError) {
    guard let ids = root["end_device_ids"], ids.kind == .object else {
      throw .malformed("must be a JSON object with end_device_ids")
    }
    guard let device = ids["device_id"]?.string, !device.isEmpty else {
      throw .malformed("end_device_ids must have a device_id")
    }
    if let topicDevice, !topicDevice.elementsEqual(device) {
      throw .malformed("end_device_ids.device_id differs from the device in the topic")
    }
    guard let uplink = root["uplink_message"], uplink.kind == .object else { return }
    var common = intake.reading()
    var id = ByteBuffer(capacity: 96)
    // What holds for all readings of the uplink: without it none of them can be taken.
    let failure = failure { () throws(Rejection) in
      common.device = try intake.keepName(device, "device_id")
      if let time = (uplink["received_at"] ?? root["received_at"]).flatMap(time) { common.setTime(time) }
      common.location = location(uplink["locations"])
      if let application = ids["application_ids"]?["application_id"]?.string {
        try intake.keepTag(application, named: "application_id", of: &common)
      }
      var port = ByteBuffer(capacity: 24)
      ReadingEncoder.append(uplink["f_port"]?.integer ?? 0, to: &port)
      try intake.keepTag(port.bytes, named: "f_port", of: &common)
      if let eui = ids["dev_eui"]?.string, let session = uplink["session_key_id"]?.string {
        id.append(eui)
        id.append(UInt8(ascii: ":"))
        id.append(session)
        id.append(UInt8(ascii: ":"))
        // A count of zero is left out by the server.
        ReadingEncoder.append(uplink["f_cnt"]?.integer ?? 0, to: &id)
      }
    }
    if let failure {
      try intake.item(0) { () throws(Rejection) in throw failure }
      return
    }
    let batch = intake.batch
    let identity =
      id.count > 0 && ReadingRules.isPlain(id.bytes, limit: ReadingRules.idLimit) ? batch.keep(id.bytes) : .none
    // Names that differ may become the same one, and so would their ids: all but the first are numbered.
    var times: [[UInt8]: Int64] = [:]
    let finish = { (reading: inout Reading) in
      guard !identity.isEmpty, Int(identity.count + reading.sensor.count) < ReadingRules.idLimit else { return }
      reading.id = batch.join(identity, UInt8(ascii: "/"), reading.sensor)
      let time = times[Array(batch[reading.sensor]), default: 0] + 1
      times[Array(batch[reading.sensor])] = time
      guard time > 1 else { return }
      var number = ByteBuffer(capacity: 20)
      ReadingEncoder.append(time, to: &number)
      reading.id =
        Int(reading.id.count) + number.count < ReadingRules.idLimit
        ? batch.join(reading.id, UInt8(ascii: "#"), batch.keep(number.bytes)) : .none
    }
    if let payload = uplink["decoded_payload"], payload.kind == .object, payload.members.contains(where: { _ in true })
    {
      var members = MemberReadings(intake, texts: .keep)
      try members.append(payload, common: common, finish: finish)
    } else if let payload = uplink["frm_payload"]?.string {
      try intake.item(0) { () throws(Rejection) in
        common.sensor = intake.keepUnit("frm_payload")
        common.value = try intake.textValue(payload, "frm_payload")
        finish(&common)
        try intake.append(common)
      }
    }
  }

  private static func failure(_ body: () throws(Rejection) -> Void) -> Rejection? {
    do {
      try body()
      return nil
    } catch {
      return error
    }
  }

  private static func time(_ value: JSONValue) -> Int64? {
    guard let text = value.string else { return nil }
    return try? Timestamp.parse(text)
  }

  /// Where the user has put the device, or a place that its payload says.
  private static func location(_ locations: JSONValue?) -> Reading.Location? {
    guard let place = locations?["user"] ?? locations?["frm-payload"], place.kind == .object else { return nil }
    // A member that is zero is left out by the server.
    let part = { (value: JSONValue?) in value == nil ? 0 : value?.number }
    return Reading.Location(
      [part(place["longitude"]), part(place["latitude"])] + (place["altitude"].map { [$0.number] } ?? []))
  }
}
