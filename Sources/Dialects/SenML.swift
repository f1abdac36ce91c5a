import JSON
package import Readings

/// Sensor Measurement Lists in JSON (RFC 8428), `application/senml+json`.
///
/// A resolved name becomes device and sensor so: a `urn:dev:` name (RFC 9039) ends its device behind the identifier; else
/// where both stand, the base name is the device and the name the sensor; else the last `/` or `:` divides them; else the
/// device is one that the caller implies. A name that is a device's alone has its unit as sensor, or `value`.
///
/// A sum is a reading of its own, of the sensor with `.sum` behind its name. Data (`vd`) stay texts in base64url.
package enum SenML {
  /// Decodes a pack; its items are the records.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - device: of records whose name has no device in it; nil refuses them.
  ///   - now: the time of arrival, in milliseconds, which relative times refer to.
  ///   - errors: gets the records that are no readings, in their order.
  /// - Throws: when nothing of the pack can be taken, also for what makes its other records doubtful: a bad base field, a
  ///   version that is not known, a field that has to be understood. The batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, device: String? = nil, now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      try intake.parse(padded: body) { (root) throws(BodyError) in
        guard root.kind == .array else { throw .malformed("a SenML pack must be a JSON array of records") }
        var base = Base()
        var index = 0
        for record in root.elements {
          let fields = try Fields(record, index, &base)
          try intake.item(index) { () throws(Rejection) in
            try decode(fields, base, device.map { Array($0.utf8) } ?? [], intake)
          }
          index += 1
        }
      }
    }
  }

  private static let version = 10.0
  /// Times below are relative to now (section 4.5.3).
  private static let relativeLimit = Double(1 << 28)

  /// The base fields so far.
  private struct Base {
    var name = UnsafeRawBufferPointer(start: nil, count: 0)
    var time = 0.0
    var unit: UnsafeRawBufferPointer?
    var value: Double?
    var sum: Double?
    var version: Double?
  }

  /// The fields of one record, of which each may have any type.
  private struct Fields {
    var name: JSONValue?
    var unit: JSONValue?
    var time: JSONValue?
    var sum: JSONValue?
    var value: JSONValue?
    var string: JSONValue?
    var boolean: JSONValue?
    var data: JSONValue?
    var isObject = true

    init(_ record: JSONValue, _ index: Int, _ base: inout Base) throws(BodyError) {
      guard record.kind == .object else {
        isObject = false
        return
      }
      for member in record.members {
        let value = member.value
        switch member.name.count {
        case 1 where member.hasName("n"): name = value
        case 1 where member.hasName("u"): unit = value
        case 1 where member.hasName("t"): time = value
        case 1 where member.hasName("s"): sum = value
        case 1 where member.hasName("v"): self.value = value
        case 2 where member.hasName("vs"): string = value
        case 2 where member.hasName("vb"): boolean = value
        case 2 where member.hasName("vd"): data = value
        case 2 where member.hasName("bn"): base.name = try Self.text(value, "bn", index)
        case 2 where member.hasName("bu"): base.unit = try Self.text(value, "bu", index)
        case 2 where member.hasName("bt"): base.time = try Self.number(value, "bt", index)
        case 2 where member.hasName("bv"): base.value = try Self.number(value, "bv", index)
        case 2 where member.hasName("bs"): base.sum = try Self.number(value, "bs", index)
        case 4 where member.hasName("bver"):
          let version = try Self.number(value, "bver", index)
          guard base.version == nil || base.version == version else {
            throw .malformed("record \(index): bver must be the same in the whole pack")
          }
          guard version <= SenML.version else {
            throw .malformed("record \(index): bver is above 10, the version that is understood here")
          }
          base.version = version
        default:
          if member.name.last == UInt8(ascii: "_") {
            throw .malformed("record \(index): the field \(member.name.excerpt) must be understood, and is not")
          }
        }
      }
    }

    private static func text(
      _ value: JSONValue, _ name: StaticString, _ index: Int
    ) throws(BodyError) -> UnsafeRawBufferPointer {
      guard let text = value.string else { throw .malformed("record \(index): \(name) must be a string") }
      return text
    }

    private static func number(_ value: JSONValue, _ name: StaticString, _ index: Int) throws(BodyError) -> Double {
      guard let number = value.number else { throw .malformed("record \(index): \(name) must be a number") }
      return number
    }
  }

  private static func decode(
    _ fields: Fields, _ base: Base, _ device: [UInt8], _ intake: Intake
  ) throws(Rejection) {
    guard fields.isObject else { throw .shape("", "a record must be a JSON object") }
    var reading = intake.reading()
    let seconds = try number(fields.time, "t")
    reading.ts = try time(base.time + (seconds ?? 0), intake.now)
    // What is relative to now is another time when the pack is sent again.
    reading.isTimed = base.time + (seconds ?? 0) >= relativeLimit
    let unit = try text(fields.unit, "u") ?? base.unit
    try name(fields, base, unit, device, &reading, intake)
    let sum = try number(fields.sum, "s")
    if let value = try value(fields, base, hasSum: sum != nil || base.sum != nil, intake) {
      reading.value = value
      if let unit, !unit.isEmpty { reading.unit = try intake.keepUnit(unit) }
      try intake.append(reading)
    }
    if sum != nil || base.sum != nil {
      reading.unit = .none
      reading.value = .number(try finite((sum ?? 0) + (base.sum ?? 0), "s"))
      intake.appendName(intake.batch[reading.sensor])
      intake.appendName(".sum")
      reading.sensor = try intake.keepName("n")
      try intake.append(reading)
    }
  }

  /// The one value of a record; nil when it has only a sum.
  private static func value(
    _ fields: Fields, _ base: Base, hasSum: Bool, _ intake: Intake
  ) throws(Rejection) -> Reading.Value? {
    let given = [fields.value, fields.string, fields.boolean, fields.data].count { $0 != nil }
    guard given <= 1 else { throw .shape("", "must have only one of v, vs, vb and vd") }
    if let string = fields.string {
      return try intake.textValue(try text(string, "vs") ?? .init(start: nil, count: 0), "vs")
    }
    if let data = fields.data {
      return try intake.textValue(try text(data, "vd") ?? .init(start: nil, count: 0), "vd")
    }
    if let boolean = fields.boolean {
      guard let boolean = boolean.boolean else { throw .shape("vb", "must be true or false") }
      return .boolean(boolean)
    }
    if let value = try number(fields.value, "v") { return .number(try finite(value + (base.value ?? 0), "v")) }
    if hasSum { return nil }
    // Of base value and value, the one that is absent counts as zero (section 4.5.1).
    guard let value = base.value else { throw .missing("v", "is required: one of v, vs, vb, vd and s") }
    return .number(value)
  }

  private static func number(_ value: JSONValue?, _ name: String) throws(Rejection) -> Double? {
    guard let value else { return nil }
    guard let number = value.number else { throw .shape(name, "must be a number") }
    return number
  }

  private static func text(_ value: JSONValue?, _ name: String) throws(Rejection) -> UnsafeRawBufferPointer? {
    guard let value else { return nil }
    guard let text = value.string else { throw .shape(name, "must be a string") }
    return text
  }

  private static func finite(_ number: Double, _ name: String) throws(Rejection) -> Double {
    guard number.isFinite else { throw .invalid(name, "is beyond the largest number, 1.8e308, with its base") }
    return number
  }

  /// Seconds since 1970, or from now, as milliseconds since 1970.
  private static func time(_ seconds: Double, _ now: Int64) throws(Rejection) -> Int64 {
    let milliseconds = (seconds * 1_000).rounded()
    guard milliseconds.magnitude < 1e15 else { throw .invalid("t", "is no time in seconds") }
    return seconds < relativeLimit ? now + Int64(milliseconds) : Int64(milliseconds)
  }

  // MARK: Names

  private static func name(
    _ fields: Fields, _ base: Base, _ unit: UnsafeRawBufferPointer?, _ device: [UInt8], _ reading: inout Reading,
    _ intake: Intake
  ) throws(Rejection) {
    let own = try text(fields.name, "n") ?? UnsafeRawBufferPointer(start: nil, count: 0)
    guard base.name.count + own.count > 0 else { throw .missing("n", "is required, or a base name bn") }
    guard base.name.count + own.count <= 2 * ReadingRules.identifierLimit else {
      throw .invalid("n", "must be at most \(2 * ReadingRules.identifierLimit) characters with its base")
    }
    var name = ByteBuffer(capacity: base.name.count + own.count)
    name.append(base.name)
    name.append(own)
    let bytes = name.bytes
    guard isName(bytes) else {
      throw .invalid("n", "must be of A-Z a-z 0-9 - : . / _ with its base, and begin with a letter or digit")
    }
    var end: Int
    if let deviceEnd = endOfURN(bytes) {
      end = deviceEnd
    } else if !base.name.isEmpty, !own.isEmpty {
      end = base.name.count
    } else {
      end = bytes.lastIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") } ?? 0
    }
    var start = end
    while end > 0, isSeparator(bytes[end - 1]) { end -= 1 }
    while start < bytes.count, isSeparator(bytes[start]) { start += 1 }
    let deviceName = bytes.part(0..<end)
    let sensor = bytes.part(start..<bytes.count)
    if deviceName.isEmpty {
      guard !device.isEmpty else {
        throw .missing(
          "n", "has no device in it: put the device before the sensor, as in urn:dev:mac:0024befffe804ff1:temperature")
      }
      reading.device = try intake.keepName(device, "device")
    } else {
      reading.device = try intake.keepName(deviceName, "n")
    }
    if !sensor.isEmpty {
      reading.sensor = try intake.keepName(sensor, "n")
    } else if let unit, unit.contains(where: { ($0 | 0x20) &- UInt8(ascii: "a") < 26 }) {
      reading.sensor = try intake.keepName(unit, "u")
    } else {
      reading.sensor = intake.keepUnit("value")
    }
  }

  /// Section 4.5.1: only these characters, and a letter or digit first.
  private static func isName(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let first = bytes.first, !isSeparator(first) else { return false }
    return bytes.allSatisfy {
      ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 &- UInt8(ascii: "0") < 10 || isSeparator($0)
    }
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "_"): true
    default: false
    }
  }

  /// Where the device of `urn:dev:TYPE:ID:sensor` or `urn:dev:TYPE:ID_sensor` ends; nil for another name.
  private static func endOfURN(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.begins(with: "urn:dev:"), let type = bytes[8...].firstIndex(of: UInt8(ascii: ":")) else {
      return nil
    }
    return bytes[(type + 1)...].firstIndex {
      $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "/")
    }
      ?? bytes.count
  }
}
