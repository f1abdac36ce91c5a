import JSON
import Timestamps

/// One function per member of a reading.
extension ReadingDecoder {
  static func absent(_ name: String) -> ReadingError { ReadingError(.missing, field: name, "is required") }

  static var badID: ReadingError {
    ReadingError(
      .invalid, field: "id", "must be a string of 1 to \(ReadingRules.idLimit) bytes without control characters")
  }

  static func unknownMember(_ member: JSONValue.Member) -> ReadingError {
    let name = String(decoding: member.name.prefix(64), as: UTF8.self)
    return ReadingError(
      .unknown, field: name, "is not a member of a reading: device, sensor, value, unit, ts, location, id, tags are")
  }

  /// A name given in JSON, which must agree with the implied one if there is one.
  @inline(__always)
  static func identifier(
    _ value: JSONValue, _ field: String, _ implied: UnsafeRawBufferPointer, _ batch: ReadingBatch
  ) throws(ReadingError) -> ByteRange {
    guard let bytes = value.string else { throw ReadingError(.shape, field: field, "must be a string") }
    if !implied.isEmpty, !implied.elementsEqual(bytes) {
      throw ReadingError(.invalid, field: field, "differs from the one in the topic")
    }
    return try identifier(bytes, field, batch)
  }

  @inline(__always)
  static func identifier(
    _ bytes: UnsafeRawBufferPointer, _ field: String, _ batch: ReadingBatch
  ) throws(ReadingError) -> ByteRange {
    guard bytes.baseAddress != nil else { throw absent(field) }
    guard ReadingRules.isIdentifier(bytes) else {
      throw ReadingError(.invalid, field: field, ReadingRules.identifierReason)
    }
    return batch.keep(bytes)
  }

  @inline(__always)
  static func value(
    _ value: JSONValue, _ field: String, _ batch: ReadingBatch
  ) throws(ReadingError) -> Reading.Value {
    if let number = value.number { return .number(number) }
    if let boolean = value.boolean { return .boolean(boolean) }
    guard let text = value.string else {
      throw ReadingError(.shape, field: field, "must be a number, true, false or a string")
    }
    return try self.value(text: text, field, batch)
  }

  /// A text as a value: at most 1,024 bytes, and not the name of a number that is not finite.
  static func value(
    text: UnsafeRawBufferPointer, _ field: String, _ batch: ReadingBatch
  ) throws(ReadingError) -> Reading.Value {
    guard text.count <= ReadingRules.textLimit else {
      throw ReadingError(.invalid, field: field, "must be at most \(ReadingRules.textLimit) bytes of text")
    }
    guard !ReadingRules.spellsNonFinite(text) else {
      throw ReadingError(.invalid, field: field, "must be finite; leave a reading out that has no value")
    }
    return .text(batch.keep(text))
  }

  @inline(__always)
  static func time(_ value: JSONValue) throws(ReadingError) -> Int64 {
    guard let text = value.string else {
      throw ReadingError(.shape, field: "ts", "must be a string such as 2026-11-21T02:15:18.070Z (RFC 3339)")
    }
    do {
      return try Timestamp.parse(text)
    } catch {
      throw ReadingError(
        .invalid, field: "ts",
        error == .noZone
          ? "has no zone: end it with Z or an offset such as +01:00 (RFC 3339)"
          : "must be a time such as 2026-11-21T02:15:18.070Z (RFC 3339)")
    }
  }

  static func location(_ value: JSONValue) throws(ReadingError) -> Reading.Location {
    var parts: (Double, Double, Double?) = (0, 0, nil)
    var count = 0
    for element in value.elements {
      guard let number = element.number, count < 3 else { throw badLocation }
      switch count {
      case 0: parts.0 = number
      case 1: parts.1 = number
      default: parts.2 = number
      }
      count += 1
    }
    guard count >= 2, abs(parts.0) <= 180, abs(parts.1) <= 90 else { throw badLocation }
    return Reading.Location(longitude: parts.0, latitude: parts.1, height: parts.2)
  }

  private static var badLocation: ReadingError {
    ReadingError(
      .invalid, field: "location",
      "must be [longitude, latitude] or [longitude, latitude, height] within ±180° and ±90°")
  }

  static func tags(
    _ value: JSONValue, _ reading: inout Reading, _ batch: ReadingBatch
  ) throws(ReadingError) {
    guard value.kind == .object else { throw ReadingError(.shape, field: "tags", "must be an object of strings") }
    reading.firstTag = batch.nextTag
    for member in value.members {
      guard reading.tagCount < ReadingRules.tagLimit else {
        throw ReadingError(.invalid, field: "tags", "must be at most \(ReadingRules.tagLimit)")
      }
      guard ReadingRules.isTagName(member.name) else {
        throw ReadingError(
          .invalid, field: "tags",
          "a name must be 1 to \(ReadingRules.tagNameLimit) characters of A-Z a-z 0-9 _ : - and begin with a letter, digit or _"
        )
      }
      guard let text = member.value.string, text.count <= ReadingRules.tagValueLimit else {
        throw ReadingError(
          .invalid, field: "tags", "a value must be a string of at most \(ReadingRules.tagValueLimit) bytes")
      }
      for earlier in batch.tags(of: reading) where batch[earlier.name].elementsEqual(member.name) {
        throw ReadingError(.repeated, field: "tags", "has a name twice")
      }
      batch.keepTag(name: member.name, value: text)
      reading.tagCount += 1
    }
  }
}
