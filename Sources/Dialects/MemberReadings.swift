import JSON
import Readings

/// Turns the members of an object, however deep, into readings whose sensors are their paths: `{"a":{"b":1}}` is `a.b`.
///
/// An absent value (`null`) is no reading. Each member is an item of its own, numbered in the order of the leaves.
struct MemberReadings {
  /// What becomes of a text.
  enum Texts {
    case keep
    /// `ON` and `OFF` become booleans; others stay texts, and empty ones are left out.
    case switches
    /// The same, but others are left out.
    case switchesOnly
  }

  private let intake: Intake
  private let texts: Texts
  /// The unit of a sensor, given its own name and not its path.
  private let unit: (UnsafeRawBufferPointer) -> StaticString?
  /// Whether a member is left out, with all that is in it.
  private let isLeftOut: (JSONValue.Member) -> Bool
  private var index = 0

  init(
    _ intake: Intake, texts: Texts, unit: @escaping (UnsafeRawBufferPointer) -> StaticString? = { _ in nil },
    isLeftOut: @escaping (JSONValue.Member) -> Bool = { _ in false }
  ) {
    self.intake = intake
    self.texts = texts
    self.unit = unit
    self.isLeftOut = isLeftOut
  }

  /// Adds the readings of an object.
  ///
  /// - Parameters:
  ///   - reading: what they have in common.
  ///   - finish: gives a reading what depends on its sensor.
  mutating func append(
    _ object: JSONValue, common reading: Reading, finish: (inout Reading) -> Void = { _ in }
  ) throws(BodyError) {
    for member in object.members { try append(member, common: reading, finish: finish) }
  }

  /// Adds the readings of one member.
  mutating func append(
    _ member: JSONValue.Member, common reading: Reading, finish: (inout Reading) -> Void = { _ in }
  ) throws(BodyError) {
    var path = ByteBuffer(capacity: 128)
    try append(member, &path, reading, finish)
  }

  private mutating func append(
    _ member: JSONValue.Member, _ path: inout ByteBuffer, _ common: Reading, _ finish: (inout Reading) -> Void
  ) throws(BodyError) {
    if isLeftOut(member) { return }
    let length = path.count
    if length > 0 { path.append(UInt8(ascii: ".")) }
    // A longer one is refused in any case.
    path.append(member.name.part(0..<min(member.name.count, 4 * ReadingRules.identifierLimit)))
    try append(member.value, named: member.name, &path, common, finish)
    path.truncate(to: length)
  }

  private mutating func append(
    _ value: JSONValue, named name: UnsafeRawBufferPointer, _ path: inout ByteBuffer, _ common: Reading,
    _ finish: (inout Reading) -> Void
  ) throws(BodyError) {
    switch value.kind {
    case .null: return
    case .object: for member in value.members { try append(member, &path, common, finish) }
    case .array:
      let length = path.count
      var number: Int64 = 1
      for element in value.elements {
        path.append(UInt8(ascii: "."))
        ReadingEncoder.append(number, to: &path)
        try append(element, named: name, &path, common, finish)
        path.truncate(to: length)
        number += 1
      }
    case .string where isLeftOut(text: value): return
    case .string, .number, .boolean:
      let bytes = path.bytes
      try intake.item(index) { () throws(Rejection) in
        var reading = common
        reading.sensor = try intake.keepName(bytes, bytes.excerpt)
        if texts != .keep, let text = value.string, let isOn = Self.isOn(text) {
          reading.value = .boolean(isOn)
        } else {
          reading.value = try intake.value(value, bytes.excerpt)
        }
        if case .number = reading.value, let unit = unit(name) { reading.unit = intake.keepUnit(unit) }
        finish(&reading)
        try intake.append(reading)
      }
      index += 1
    }
  }

  private func isLeftOut(text value: JSONValue) -> Bool {
    guard let text = value.string else { return false }
    switch texts {
    case .keep: return false
    case .switches: return text.isEmpty
    case .switchesOnly: return Self.isOn(text) == nil
    }
  }

  private static func isOn(_ text: UnsafeRawBufferPointer) -> Bool? {
    text.equals("ON") ? true : text.equals("OFF") ? false : nil
  }
}
