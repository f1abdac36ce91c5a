import JSON
import Readings
import Timestamps

/// The measurements of one box in one body, in each of the forms that boxes send.
struct BoxMeasurements {
  static let missingParameter = "missing required parameter value"

  private let intake: Intake
  private let boxID: UnsafeRawBufferPointer
  private let box: BoxesFile.Box?

  init(_ intake: Intake, _ boxID: UnsafeRawBufferPointer, _ box: BoxesFile.Box?) {
    self.intake = intake
    self.boxID = boxID
    self.box = box
  }

  // MARK: The forms

  /// `[{"sensor":…,"value":…,"createdAt":…,"location":…}]` or `{"<sensor>":value or [value, createdAt, location]}`.
  func decodeJSON(_ body: UnsafeRawBufferPointer) throws(BodyError) {
    try intake.parse(padded: body) { (root) throws(BodyError) in
      var index = 0
      switch root.kind {
      case .array:
        for element in root.elements {
          try intake.item(index) { () throws(Rejection) in try decode(element) }
          index += 1
        }
      // The API takes the members of a body for parameters as those of the query.
      case .object where Self.isGiven(root["hackair"]): try takeHackAIR(root)
      case .object where Self.isGiven(root["luftdaten"]): try takeLuftdaten(root)
      case .object:
        for member in root.members {
          try intake.item(index) { () throws(Rejection) in try decode(member) }
          index += 1
        }
      default: throw .malformed("Cannot decode empty message (json decoder)")
      }
    }
  }

  private func decode(_ measurement: JSONValue) throws(Rejection) {
    guard let sensor = (measurement["sensor_id"] ?? measurement["sensor"])?.string?.trimmed(), !sensor.isEmpty else {
      throw .missing("sensor", "Missing sensor id")
    }
    try append(
      sensor, measurement["value"].map { .json($0) }, createdAt: measurement["createdAt"],
      location: measurement["location"])
  }

  private func decode(_ member: JSONValue.Member) throws(Rejection) {
    guard member.value.kind == .array else { return try append(member.name, .json(member.value), time: nil) }
    let parts = Array(member.value.elements.prefix(4))
    guard (1...3).contains(parts.count) else {
      throw .shape("value", "Array for sensorID '\(member.name.excerpt)' has an illegal length")
    }
    try append(
      member.name, .json(parts[0]), createdAt: parts.count > 1 ? parts[1] : nil,
      location: parts.count > 2 ? parts[2] : nil)
  }

  func decodeSingle(_ body: UnsafeRawBufferPointer, _ sensor: UnsafeRawBufferPointer) throws(BodyError) {
    try intake.parse(padded: body) { (root) throws(BodyError) in
      try intake.item(0) { () throws(Rejection) in
        guard let value = root["value"] else { throw .missing("value", Self.missingParameter) }
        try append(sensor, .json(value), createdAt: root["createdAt"], location: root["location"])
      }
    }
  }

  /// `sensor,value[,createdAt[,lng,lat[,height]]]`, a measurement per line.
  func decodeCSV(_ body: UnsafeRawBufferPointer) throws(BodyError) {
    let body = body.withoutByteOrderMark()
    var start = 0
    var index = 0
    var fields: [UnsafeRawBufferPointer] = []
    while start < body.count {
      let end = body[start...].firstIndex(of: UInt8(ascii: "\n")) ?? body.count
      let line = body.part(start..<end).trimmed()
      start = end + 1
      if line.isEmpty { continue }
      fields.removeAll(keepingCapacity: true)
      for field in line.split(separator: UInt8(ascii: ","), maxSplits: 6, omittingEmptySubsequences: false) {
        fields.append(UnsafeRawBufferPointer(rebasing: field).trimmed())
      }
      try intake.item(index) { () throws(Rejection) in
        guard (2...6).contains(fields.count) else { throw .malformed("", "illegal line '\(line.excerpt)'") }
        var location: Reading.Location?
        if fields.count >= 5 {
          location = Reading.Location(fields[3...].map { DecimalText.parse($0) })
          guard location != nil else { throw Self.badLocation }
        }
        try append(
          fields[0], .text(fields[1]), time: fields.count > 2 && !fields[2].isEmpty ? try time(fields[2]) : nil,
          location: location)
      }
      index += 1
    }
  }

  /// Records of an id and a float, and maybe a time, in binary.
  func decodeRecords(_ body: UnsafeRawBufferPointer, hasTimes: Bool) throws(BodyError) {
    let size = hasTimes ? 20 : 16
    guard body.count % size == 0 else {
      throw .malformed("Cannot decode message: its length must be a multiple of \(size), and is \(body.count)")
    }
    var id = ByteBuffer(capacity: 24)
    for index in 0..<(body.count / size) {
      let record = body.part((index * size)..<((index + 1) * size))
      id.truncate(to: 0)
      for byte in record.prefix(12) {
        id.append(Self.hexDigit(byte >> 4))
        id.append(Self.hexDigit(byte & 15))
      }
      let value = Float(bitPattern: UInt32(littleEndian: record.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
      let time =
        hasTimes
        ? Int64(UInt32(littleEndian: record.loadUnaligned(fromByteOffset: 16, as: UInt32.self))) * 1_000 : nil
      let name = id.bytes
      try intake.item(index) { () throws(Rejection) in
        // Rounded as that API does it: the digits behind are the float's own.
        try append(name, .number((Double(value) * 10).rounded() / 10), time: time)
      }
    }
  }

  private static func hexDigit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
  }

  // MARK: Forms without ids

  /// `{"sensordatavalues":[{"value_type":"SDS_P1","value":"5.38"}]}`: sensors are found by their titles and types.
  func decodeLuftdaten(_ body: UnsafeRawBufferPointer) throws(BodyError) {
    try intake.parse(padded: body) { (root) throws(BodyError) in try takeLuftdaten(root) }
  }

  private func takeLuftdaten(_ root: JSONValue) throws(BodyError) {
    guard let values = root["sensordatavalues"], values.kind == .array else {
      throw .malformed("Invalid luftdaten json. Missing `sensordatavalues`")
    }
    try take(values.elements) { value in
      value["value_type"]?.string.flatMap { name(ofLuftdaten: $0) }.map { ($0, value["value"]) }
    }
  }

  /// `{"reading":{"PM2.5_AirPollutantValue":"7.93"}}`: sensors are found by their titles.
  func decodeHackAIR(_ body: UnsafeRawBufferPointer) throws(BodyError) {
    try intake.parse(padded: body) { (root) throws(BodyError) in try takeHackAIR(root) }
  }

  private func takeHackAIR(_ root: JSONValue) throws(BodyError) {
    guard let reading = root["reading"], reading.kind == .object else {
      throw .malformed("Invalid hackair json. Missing `readings`")
    }
    try take(reading.members) { member in name(ofHackAIR: member.name).map { ($0, member.value) } }
  }

  /// Whether a parameter has a value that JavaScript takes for true.
  private static func isGiven(_ parameter: JSONValue?) -> Bool {
    guard let parameter else { return false }
    if let text = parameter.string { return !text.isEmpty }
    if let number = parameter.number { return number != 0 }
    return parameter.kind != .null && parameter.boolean != false
  }

  /// Takes those of a body's items that belong to a sensor; a body without any is none of this form.
  private func take<Items: Sequence>(
    _ items: Items, _ sensor: (Items.Element) -> (name: SensorName, value: JSONValue?)?
  ) throws(BodyError) {
    var applicable = 0
    for (index, item) in items.enumerated() {
      guard let (name, value) = sensor(item) else { continue }
      applicable += 1
      try intake.item(index) { () throws(Rejection) in try append(named: name, value) }
    }
    if applicable == 0 { throw .malformed("No applicable values found") }
  }

  /// The sensor that a value belongs to; nil for a value that openSenseMap leaves out.
  ///
  /// A box that the file does not have keeps all values, under the names that the firmware gives them.
  private func name(ofLuftdaten bytes: UnsafeRawBufferPointer) -> SensorName? {
    guard bytes.count <= ReadingRules.identifierLimit else { return nil }
    guard let box else { return SensorName(name: Array(bytes), unit: []) }
    let type = String(decoding: bytes, as: UTF8.self).lowercased()
    var prefix = Substring(type)
    var phenomenon: Substring
    if let underscore = type.firstIndex(of: "_"), underscore > type.startIndex {
      prefix = type[..<underscore]
      phenomenon = type[type.index(after: underscore)...]
    } else {
      phenomenon = prefix
      switch type {
      case "temperature", "humidity": prefix = "dht"
      case "signal": prefix = "wifi"
      default: return nil
      }
    }
    guard let titles = Self.luftdatenTitles[String(phenomenon)] else { return nil }
    let sensor = box.sensors.first { sensor in
      !sensor.title.isEmpty && !sensor.type.isEmpty && sensor.type.hasPrefix(prefix)
        && (sensor.title == phenomenon || titles.contains { sensor.title.contains($0) })
    }
    return sensor.map { SensorName(name: $0.name, unit: $0.unit) }
  }

  private func name(ofHackAIR bytes: UnsafeRawBufferPointer) -> SensorName? {
    guard bytes.count <= ReadingRules.identifierLimit else { return nil }
    guard let box else { return SensorName(name: Array(bytes), unit: []) }
    let type = String(decoding: bytes, as: UTF8.self).lowercased().prefix { $0 != "_" }.filter { $0 != "." }
    guard let titles = Self.hackAIRTitles[type] else { return nil }
    let sensor = box.sensors.first { sensor in titles.contains { sensor.title.contains($0) } }
    return sensor.map { SensorName(name: $0.name, unit: $0.unit) }
  }

  private struct SensorName {
    let name: [UInt8]
    let unit: [UInt8]
  }

  /// What the title of a sensor contains, by the phenomenon that the firmware names.
  private static let luftdatenTitles: [String: [String]] = [
    "p0": ["pm01", "pm0", "p1.0", "p0"], "p01": ["pm0.1", "p0.1"], "p03": ["pm0.3", "pm03", "p0.3", "p03"],
    "p05": ["pm0.5", "pm05", "p0.5", "p05"], "p1": ["pm10", "p10", "p1"], "p2": ["pm2.5", "pm25", "p2.5", "p25", "p2"],
    "p4": ["pm4", "p4"], "p5": ["pm5", "p5"], "n1": ["nc1.0", "nc1", "n1.0", "n1"],
    "n01": ["nc0.1", "n0.1", "nc01", "n01"], "n03": ["nc0.3", "n0.3", "nc03", "n03"],
    "n05": ["nc0.5", "n0.5", "nc05", "n05"], "n4": ["nc4.0", "n4.0", "nc4", "n4"], "n5": ["nc5", "n5"],
    "n10": ["nc10", "n10"], "n25": ["nc2.5", "n2.5"], "temperature": ["temperatur"],
    "humidity": ["rel. luftfeuchte", "luftfeuchtigkeit", "luftfeuchte"], "pressure": ["luftdruck", "druck"],
    "signal": ["stärke", "signal"], "noise_laeq": ["schallpegel", "geräuschpegel"],
  ]

  private static let hackAIRTitles: [String: [String]] = [
    "pm10": ["pm10", "p10", "p1"], "pm25": ["pm2.5", "pm25", "p2.5", "p25", "p2"],
  ]

  // MARK: One measurement

  private enum Value {
    case json(JSONValue)
    case text(UnsafeRawBufferPointer)
    case number(Double)
  }

  private func append(
    _ sensor: UnsafeRawBufferPointer, _ value: Value?, createdAt: JSONValue?, location: JSONValue?
  ) throws(Rejection) {
    var time: Int64?
    if let createdAt {
      guard let text = createdAt.string else { throw Self.badTime }
      time = try self.time(text)
    }
    var place: Reading.Location?
    if let location, location.kind != .null { place = try self.location(location) }
    try append(sensor, value, time: time, location: place)
  }

  private func append(
    _ sensor: UnsafeRawBufferPointer, _ value: Value?, time: Int64?, location: Reading.Location? = nil
  ) throws(Rejection) {
    guard !sensor.isEmpty else { throw .missing("sensor", "Missing sensor id") }
    guard OpenSenseMap.isID(sensor) else { throw .invalid("sensor", "Invalid sensor id") }
    var reading = try self.reading(value)
    if let known = box?.sensor(sensor) {
      try name(&reading, SensorName(name: known.name, unit: known.unit))
    } else {
      reading.sensor = try intake.keepName(sensor, "sensor")
    }
    if let time { reading.setTime(time) }
    if let location { reading.location = location }
    try intake.append(reading)
  }

  private func append(named sensor: SensorName, _ value: JSONValue?) throws(Rejection) {
    var reading = try self.reading(value.map { .json($0) })
    try name(&reading, sensor)
    try intake.append(reading)
  }

  private func name(_ reading: inout Reading, _ sensor: SensorName) throws(Rejection) {
    reading.sensor = try intake.keepName(sensor.name, "sensor")
    reading.unit = intake.keep(sensor.unit)
  }

  private func reading(_ value: Value?) throws(Rejection) -> Reading {
    var reading = intake.reading()
    if let box {
      reading.device = try intake.keepName(box.name, "device")
      reading.location = box.location
    } else {
      reading.device = try intake.keepName(boxID, "device")
    }
    let number: Double?
    switch value {
    case nil: throw .missing("value", "Missing value")
    case .number(let value)?: number = value
    case .text(let text)?:
      if text.isEmpty { throw .missing("value", "Missing value") }
      number = DecimalText.parse(text)
    case .json(let value)?:
      if value.kind == .null || value.string?.isEmpty == true { throw .missing("value", "Missing value") }
      number = Self.number(value)
    }
    guard let number, number.isFinite else { throw .invalid("value", "Invalid value") }
    reading.value = .number(number)
    return reading
  }

  /// A number, or a text that spells one.
  private static func number(_ value: JSONValue) -> Double? {
    value.number ?? value.string.flatMap { DecimalText.parse($0.trimmed()) }
  }

  private static let badTime = Rejection.invalid("ts", "Invalid timestamp: it must be like 2026-11-21T02:15:18.070Z")
  private static let badLocation = Rejection.invalid("location", "latitude or longitude is missing or out of bounds")

  private func time(_ text: UnsafeRawBufferPointer) throws(Rejection) -> Int64 {
    do {
      return try Timestamp.parse(text)
    } catch {
      throw Self.badTime
    }
  }

  private func location(_ value: JSONValue) throws(Rejection) -> Reading.Location {
    var numbers: [Double?]
    if value.kind == .array {
      numbers = value.elements.prefix(3).map { Self.number($0) }
      // A height that is no number is none.
      if numbers.count == 3, numbers[2] == nil { numbers.removeLast() }
    } else {
      numbers = [value["lng"].flatMap { Self.number($0) }, value["lat"].flatMap { Self.number($0) }]
      if let height = value["height"].flatMap({ Self.number($0) }) { numbers.append(height) }
    }
    guard let location = Reading.Location(numbers) else { throw Self.badLocation }
    return location
  }
}
