package import JSON
import Timestamps

/// Reads JSON of the topic's contract (`{"device":…,"sensor":…,"value":…}`) into a batch.
package struct ReadingDecoder: Sendable {
  /// What to do with members that the contract does not know.
  package enum UnknownMembers: Sendable { case refuse, count }

  /// What the context says about a reading, so that its JSON need not.
  package struct Implied {
    /// From an MQTT topic, say; a member of the same name must then agree. Absent when empty.
    package var device = UnsafeRawBufferPointer(start: nil, count: 0)
    package var sensor = UnsafeRawBufferPointer(start: nil, count: 0)
    /// What the bounds of a reading's time are checked against, in milliseconds.
    package var now: Int64
    /// The time of a reading that has none.
    package var arrival: Int64

    package init(now: Int64, arrival: Int64? = nil) {
      self.now = now
      self.arrival = arrival ?? now
    }
  }

  private let unknownMembers: UnknownMembers
  private let bounds: TimeBounds

  package init(unknownMembers: UnknownMembers, bounds: TimeBounds) {
    self.unknownMembers = unknownMembers
    self.bounds = bounds
  }

  /// Reads one reading.
  ///
  /// - Returns: the number of unknown members that were kept out.
  /// - Throws: the first thing wrong; the batch is then as it was.
  @discardableResult
  package func decode(
    _ value: JSONValue, implied: Implied, into batch: ReadingBatch
  ) throws(ReadingError) -> Int {
    guard value.kind == .object else { throw ReadingError(.shape, field: "", "a reading must be a JSON object") }
    let mark = batch.mark
    do {
      return try decodeObject(value, implied, batch)
    } catch {
      batch.roll(back: mark)
      throw error
    }
  }

  /// Reads one object with a value per sensor, `{"temperature":21.5,"humidity":40,"ts":…}`, as readings of the implied device.
  ///
  /// `ts`, `location`, `tags`, `id` and `device` hold for all of them; every other member is a sensor's name with its
  /// value, or with an object of `value` and `unit`. An `id` is made distinct with `/` and the sensor's name.
  /// - Throws: the first thing wrong; the batch is then as it was.
  package func decodeSeveral(
    _ value: JSONValue, implied: Implied, into batch: ReadingBatch
  ) throws(ReadingError) {
    guard value.kind == .object else {
      throw ReadingError(.shape, field: "", "must be a JSON object with a value per sensor")
    }
    let mark = batch.mark
    do {
      try decodeSensors(value, implied, batch)
    } catch {
      batch.roll(back: mark)
      throw error
    }
  }

  /// Reads a bare value, a number, true, false or a string, as a reading of the implied device and sensor, measured when
  /// it arrived.
  ///
  /// - Throws: what is wrong; the batch is then as it was.
  package func decodeBare(
    _ value: JSONValue, implied: Implied, into batch: ReadingBatch
  ) throws(ReadingError) {
    let mark = batch.mark
    do {
      try bounds.check(implied.arrival, now: implied.now)
      batch.append(
        Reading(
          device: try Self.identifier(implied.device, "device", batch),
          sensor: try Self.identifier(implied.sensor, "sensor", batch), value: try Self.value(value, "value", batch),
          ts: implied.arrival))
    } catch {
      batch.roll(back: mark)
      throw error
    }
  }

  private enum Field: UInt8 { case device, sensor, value, unit, ts, location, id, tags }

  @inline(__always)
  private static func field(_ member: JSONValue.Member) -> Field? {
    switch member.name.count {
    case 6: member.hasName("device") ? .device : member.hasName("sensor") ? .sensor : nil
    case 5: member.hasName("value") ? .value : nil
    case 2: member.hasName("ts") ? .ts : member.hasName("id") ? .id : nil
    case 4: member.hasName("unit") ? .unit : member.hasName("tags") ? .tags : nil
    case 8: member.hasName("location") ? .location : nil
    default: nil
    }
  }

  private struct Seen {
    private var bits: UInt8 = 0
    @inline(__always)
    mutating func insert(_ field: Field) throws(ReadingError) {
      let bit = UInt8(1) << field.rawValue
      if bits & bit != 0 { throw ReadingError(.repeated, field: "\(field)", "appears twice") }
      bits |= bit
    }
    func contains(_ field: Field) -> Bool { bits & (1 << field.rawValue) != 0 }
  }

  private func decodeObject(
    _ object: JSONValue, _ implied: Implied, _ batch: ReadingBatch
  ) throws(ReadingError) -> Int {
    var reading = Reading(device: .none, sensor: .none, value: .boolean(false), ts: implied.arrival)
    var seen = Seen()
    var unknown = 0
    for member in object.members {
      guard let field = Self.field(member) else {
        if unknownMembers == .refuse { throw Self.unknownMember(member) }
        unknown += 1
        continue
      }
      try seen.insert(field)
      switch field {
      case .device: reading.device = try Self.identifier(member.value, "device", implied.device, batch)
      case .sensor: reading.sensor = try Self.identifier(member.value, "sensor", implied.sensor, batch)
      case .value: reading.value = try Self.value(member.value, "value", batch)
      default: try decodeCommon(field, member.value, &reading, batch)
      }
    }
    if !seen.contains(.device) {
      reading.device = try Self.identifier(implied.device, "device", batch)
    }
    if !seen.contains(.sensor) {
      reading.sensor = try Self.identifier(implied.sensor, "sensor", batch)
    }
    if !seen.contains(.value) { throw Self.absent("value") }
    try bounds.check(reading.ts, now: implied.now)
    batch.append(reading)
    return unknown
  }

  private func decodeSensors(
    _ object: JSONValue, _ implied: Implied, _ batch: ReadingBatch
  ) throws(ReadingError) {
    var common = Reading(device: .none, sensor: .none, value: .boolean(false), ts: implied.arrival)
    var seen = Seen()
    for member in object.members {
      switch Self.field(member) {
      case .device?:
        try seen.insert(.device)
        common.device = try Self.identifier(member.value, "device", implied.device, batch)
      case let field? where field == .ts || field == .location || field == .id || field == .tags:
        try seen.insert(field)
        try decodeCommon(field, member.value, &common, batch)
      default: break
      }
    }
    if !seen.contains(.device) { common.device = try Self.identifier(implied.device, "device", batch) }
    try bounds.check(common.ts, now: implied.now)
    let first = batch.count
    for member in object.members {
      switch Self.field(member) {
      case .device?, .ts?, .location?, .id?, .tags?: continue
      default: break
      }
      var reading = common
      reading.sensor = try Self.identifier(member.name, "sensor", batch)
      let name = batch[reading.sensor]
      for other in batch.readings[first...] where batch[other.sensor].elementsEqual(name) {
        throw ReadingError(.repeated, field: String(decoding: member.name, as: UTF8.self), "appears twice")
      }
      try decodeSensor(member, &reading, batch)
      if !common.id.isEmpty {
        reading.id = batch.join(common.id, UInt8(ascii: "/"), reading.sensor)
        guard reading.id.count <= ReadingRules.idLimit else { throw Self.badID }
      }
      batch.append(reading)
    }
    if batch.count == first { throw ReadingError(.missing, field: "", "has no sensor's value") }
  }

  private func decodeSensor(
    _ member: JSONValue.Member, _ reading: inout Reading, _ batch: ReadingBatch
  ) throws(ReadingError) {
    guard member.value.kind == .object else {
      reading.value = try Self.value(member.value, String(decoding: member.name, as: UTF8.self), batch)
      return
    }
    var seen = Seen()
    for part in member.value.members {
      switch Self.field(part) {
      case .value?:
        try seen.insert(.value)
        reading.value = try Self.value(part.value, "value", batch)
      case .unit?:
        try seen.insert(.unit)
        try decodeCommon(.unit, part.value, &reading, batch)
      default: throw Self.unknownMember(part)
      }
    }
    if !seen.contains(.value) { throw Self.absent("value") }
  }

  /// Reads a member that means the same wherever it stands.
  private func decodeCommon(
    _ field: Field, _ value: JSONValue, _ reading: inout Reading, _ batch: ReadingBatch
  ) throws(ReadingError) {
    switch field {
    case .unit:
      guard let text = value.string, ReadingRules.isPlain(text, limit: ReadingRules.unitLimit) else {
        throw ReadingError(
          .invalid, field: "unit", "must be a string of 1 to \(ReadingRules.unitLimit) bytes without control characters"
        )
      }
      reading.unit = batch.keep(text)
    case .ts:
      reading.ts = try Self.time(value)
      reading.isTimed = true
    case .location: reading.location = try Self.location(value)
    case .id:
      guard let text = value.string, ReadingRules.isPlain(text, limit: ReadingRules.idLimit) else { throw Self.badID }
      reading.id = batch.keep(text)
    case .tags: try Self.tags(value, &reading, batch)
    case .device, .sensor, .value: preconditionFailure("\(field) depends on where it stands")
    }
  }
}
