import JSON
package import Readings
import Timestamps

/// CSV with a header line (RFC 4180), `text/csv`.
///
/// With a column `value`, a row is one reading: `device,sensor,value,unit,ts,lon,lat,height,id,tags`. Without one, every column
/// that is not one of these is a sensor with its values, and an empty cell is no reading: `ts,device,temperature,humidity`.
/// Where a semicolon separates the columns, numbers may have a decimal comma.
///
/// An item is a row, taken whole or not at all; its index is that of its first line in the body, from 0, every line counted.
package enum CSVFormat {
  private static let columnLimit = 1_000

  /// Decodes a body.
  ///
  /// - Parameters:
  ///   - now: the time of arrival, in milliseconds; that of a row without a time.
  ///   - errors: gets the rows that are refused, in their order.
  /// - Throws: when nothing of the body can be taken; the batch is then as it was.
  package static func decode(
    body: UnsafeRawBufferPointer, mapping: CSVMapping, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      var rows = CSVRows(body.withoutByteOrderMark())
      let form = try header(&rows, mapping)
      try checkNames(form, intake)
      while try next(&rows, intake) {
        if rows.isBlank { continue }
        try intake.item(rows.line) { () throws(Rejection) in
          guard rows.fields.count == form.columns.count else {
            throw .malformed("", "has \(rows.fields.count) fields, and the header \(form.columns.count)")
          }
          try decode(&rows, form, intake)
        }
      }
    }
  }

  /// Goes to the next row that is one, and notes those that are none.
  private static func next(_ rows: inout CSVRows, _ intake: Intake) throws(BodyError) -> Bool {
    while true {
      do {
        return try rows.next()
      } catch {
        try intake.item(rows.line) { () throws(Rejection) in throw error }
      }
    }
  }

  private struct Form {
    var columns: [CSVMapping.Column] = []
    var isLong = false
    var device: [UInt8] = []
  }

  private static func header(_ rows: inout CSVRows, _ mapping: CSVMapping) throws(BodyError) -> Form {
    var isThere: Bool
    repeat {
      do {
        isThere = try rows.next()
      } catch {
        switch error {
        case .item(let error): throw .malformed("the header \(error)")
        case .body(let error): throw error
        }
      }
    } while isThere && rows.isBlank
    guard isThere else { throw .empty }
    guard rows.fields.count <= columnLimit else { throw .malformed("must have at most \(columnLimit) columns") }
    var form = Form()
    var names: [String] = []
    for index in rows.fields.indices {
      let bytes = rows.text(index)
      guard isUTF8(bytes) else { throw .malformed("the header is not UTF-8") }
      // All of it would be one header, and no row.
      let hasReturn = bytes.indices.contains {
        bytes[$0] == UInt8(ascii: "\r") && ($0 + 1 == bytes.count || bytes[$0 + 1] != UInt8(ascii: "\n"))
      }
      if hasReturn { throw .malformed("the header has a CR without a LF: lines end with LF, or both") }
      names.append(String(decoding: bytes, as: UTF8.self))
    }
    form.isLong = names.contains { mapping.column(named: $0) == .value }
    var seen: Set<CSVMapping.Column> = []
    for name in names {
      guard
        let column = mapping.column(named: name) ?? (form.isLong || name.isEmpty ? nil : .measured(Array(name.utf8)))
      else {
        throw .malformed("column '\(name.prefix(64))' is not known: map it to a field, or to - to leave it out")
      }
      var kind = column
      if case .time = column { kind = .time(nil) }
      guard column == .ignored || seen.insert(kind).inserted else {
        throw .malformed("column '\(name.prefix(64))': another column is the same")
      }
      form.columns.append(column)
    }
    if form.isLong, !seen.contains(.sensor) { throw .malformed("a column sensor is required beside value") }
    if !form.isLong, seen.contains(.sensor) || seen.contains(.unit) {
      throw .malformed("a column value is required beside sensor or unit")
    }
    form.device = Array((mapping.device ?? "").utf8)
    guard seen.contains(.device) || !form.device.isEmpty else { throw .malformed("a column device is required") }
    return form
  }

  /// Refuses names that differ and become the same sensor: a row would have two readings that nothing tells apart.
  private static func checkNames(_ form: Form, _ intake: Intake) throws(BodyError) {
    let mark = intake.batch.mark
    defer { intake.batch.roll(back: mark) }
    var names: Set<[UInt8]> = []
    for case .measured(let name) in form.columns {
      // One that is no name is refused in each row.
      guard let kept = try? intake.keepName(name, "sensor") else { continue }
      guard names.insert(Array(intake.batch[kept])).inserted else {
        throw .malformed(
          "column '\(String(decoding: name.prefix(64), as: UTF8.self))': another column is the same sensor")
      }
    }
  }

  private static func decode(_ rows: inout CSVRows, _ form: Form, _ intake: Intake) throws(Rejection) {
    var reading = intake.reading()
    var place: (longitude: Double?, latitude: Double?, height: Double?)
    if !form.columns.contains(.device) { reading.device = try intake.keepName(form.device, "device") }
    var value: Reading.Value?
    var id = ByteRange.none
    for (index, column) in form.columns.enumerated() {
      switch column {
      case .ignored, .measured: continue
      default: break
      }
      let text = rows.text(index)
      if text.isEmpty {
        switch column {
        case .device: throw .missing("device")
        case .sensor: throw .missing("sensor")
        case .value: throw .missing("value")
        default: continue
        }
      }
      switch column {
      case .device: reading.device = try intake.keepName(text, "device")
      case .sensor: reading.sensor = try intake.keepName(text, "sensor")
      case .value: value = try self.value(text, "value", rows, intake)
      case .unit: reading.unit = try intake.keepUnit(text)
      case .time(let precision): reading.setTime(try time(text, precision))
      case .longitude: place.longitude = try number(text, "lon", rows)
      case .latitude: place.latitude = try number(text, "lat", rows)
      case .height: place.height = try number(text, "height", rows)
      case .id: id = try intake.keepID(text)
      case .tags: try tags(text, &reading, intake)
      case .tag(let name): try intake.keepTag(name, text, of: &reading)
      case .measured, .ignored: break
      }
    }
    if place.longitude != nil || place.latitude != nil {
      guard let location = Reading.Location([place.longitude, place.latitude] + (place.height.map { [$0] } ?? []))
      else {
        throw .invalid("location", "must be a longitude and a latitude within ±180° and ±90°")
      }
      reading.location = location
    }
    reading.id = id
    if let value {
      reading.value = value
      try intake.append(reading)
      return
    }
    for (index, column) in form.columns.enumerated() {
      guard case .measured(let name) = column else { continue }
      let text = rows.text(index)
      if text.isEmpty { continue }
      reading.value = try self.value(text, String(decoding: name.prefix(64), as: UTF8.self), rows, intake)
      reading.sensor = try intake.keepName(name, "sensor")
      if !id.isEmpty {
        reading.id = intake.batch.join(id, UInt8(ascii: "/"), reading.sensor)
        guard reading.id.count <= ReadingRules.idLimit else {
          throw .invalid("id", "must be at most \(ReadingRules.idLimit) bytes with / and the sensor behind")
        }
      }
      try intake.append(reading)
    }
  }

  // MARK: Cells

  private static func value(
    _ text: UnsafeRawBufferPointer, _ field: @autoclosure () -> String, _ rows: borrowing CSVRows, _ intake: Intake
  ) throws(Rejection) -> Reading.Value {
    let first = text[0]
    if first < UInt8(ascii: "A") {
      let number =
        try intake.number(text, field())
        ?? (rows.hasDecimalComma ? DecimalText.parse(text, point: UInt8(ascii: ",")) : nil)
      if let number, number.isFinite { return .number(number) }
    } else if first | 0x20 == UInt8(ascii: "t") || first | 0x20 == UInt8(ascii: "f") {
      if text.equals("true") || text.equals("TRUE") || text.equals("True") { return .boolean(true) }
      if text.equals("false") || text.equals("FALSE") || text.equals("False") { return .boolean(false) }
    }
    return try intake.textValue(text, field())
  }

  private static func number(
    _ text: UnsafeRawBufferPointer, _ field: String, _ rows: borrowing CSVRows
  ) throws(Rejection) -> Double {
    let number =
      DecimalText.parse(text) ?? (rows.hasDecimalComma ? DecimalText.parse(text, point: UInt8(ascii: ",")) : nil)
    guard let number, number.isFinite else { throw .invalid(field, "must be a number") }
    return number
  }

  private static func time(
    _ text: UnsafeRawBufferPointer, _ precision: LineProtocol.Precision?
  ) throws(Rejection) -> Int64 {
    if let precision {
      guard let time = DecimalText.integer(text).flatMap({ precision.milliseconds($0) }) else {
        throw .invalid("ts", "must be a whole number of \(precision.rawValue) since 1970")
      }
      return time
    }
    do {
      return try Timestamp.parse(text)
    } catch {
      throw .invalid(
        "ts",
        error == .noZone
          ? "has no zone: end it with Z or an offset such as +01:00 (RFC 3339)"
          : "must be a time such as 2026-11-21T02:15:18.070Z (RFC 3339); map the column to ts:s or ts:ms for numbers")
    }
  }

  /// `a=1;b=2`.
  private static func tags(
    _ text: UnsafeRawBufferPointer, _ reading: inout Reading, _ intake: Intake
  ) throws(Rejection) {
    for pair in text.split(separator: UInt8(ascii: ";")) {
      guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { throw .invalid("tags", "must be like a=1;b=2") }
      try intake.keepTag(
        UnsafeRawBufferPointer(rebasing: pair[pair.startIndex..<equals]).trimmed(),
        UnsafeRawBufferPointer(rebasing: pair[(equals + 1)...]).trimmed(), of: &reading)
    }
  }
}
