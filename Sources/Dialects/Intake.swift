import JSON
import Readings

/// Why decoding stops: at this item, or at all.
enum Rejection: Error {
  case item(ReadingError)
  case body(BodyError)

  static func invalid(_ field: String, _ reason: String) -> Rejection {
    .item(ReadingError(.invalid, field: field, reason))
  }
  static func missing(_ field: String, _ reason: String = "is required") -> Rejection {
    .item(ReadingError(.missing, field: field, reason))
  }
  static func shape(_ field: String, _ reason: String) -> Rejection {
    .item(ReadingError(.shape, field: field, reason))
  }
  static func malformed(_ field: String, _ reason: String) -> Rejection {
    .item(ReadingError(.malformed, field: field, reason))
  }
}

/// The readings and errors of one body while a dialect decodes it: the limit, the items that are taken whole or not at
/// all, and the texts that other systems send turned into those of a reading.
final class Intake {
  let batch: ReadingBatch
  let context: DecodingContext
  /// Of arrival, in milliseconds.
  let now: Int64
  private var errors: [ItemError] = []
  private let firstReading: Int
  /// For names that are put together; empty between two of them.
  private var name = ByteBuffer(capacity: 256)

  private init(_ batch: ReadingBatch, _ context: DecodingContext, _ now: Int64) {
    self.batch = batch
    self.context = context
    self.now = now
    firstReading = batch.count
  }

  /// Decodes one body.
  ///
  /// - Throws: what `decode` stops at, or `empty` when it found neither a reading nor an error; the batch is then as it was.
  static func run(
    into batch: ReadingBatch, context: DecodingContext, now: Int64, errors: inout [ItemError],
    _ decode: (Intake) throws(BodyError) -> Void
  ) throws(BodyError) {
    let mark = batch.mark
    let intake = Intake(batch, context, now)
    do throws(BodyError) {
      try decode(intake)
      if intake.count == 0 { throw BodyError.empty }
    } catch {
      batch.roll(back: mark)
      throw error
    }
    errors += intake.errors
  }

  /// Readings and errors so far.
  private var count: Int { batch.count - firstReading + errors.count }

  /// Decodes one item, of which nothing stays when it is refused.
  @inline(__always)
  func item(_ index: Int, _ decode: () throws(Rejection) -> Void) throws(BodyError) {
    let mark = batch.mark
    batch.item = UInt32(truncatingIfNeeded: index)
    name.truncate(to: 0)
    do {
      try decode()
    } catch {
      batch.roll(back: mark)
      switch error {
      case .body(let error): throw error
      case .item(let error):
        guard count < context.readingsLimit else { throw .tooManyReadings(limit: context.readingsLimit) }
        errors.append(ItemError(index: index, error: error))
      }
    }
  }

  /// Adds a reading, if its time is within the bounds.
  @inline(__always)
  func append(_ reading: Reading) throws(Rejection) {
    try checkTime(reading.ts)
    try appendUntimed(reading)
  }

  /// Adds a reading whose time is given to it later.
  @inline(__always)
  func appendUntimed(_ reading: Reading) throws(Rejection) {
    guard count < context.readingsLimit else { throw .body(.tooManyReadings(limit: context.readingsLimit)) }
    batch.append(reading)
  }

  /// Gives the readings from one on their time, if it is within the bounds.
  func setTime(_ ts: Int64, from first: Int) throws(Rejection) {
    try checkTime(ts)
    batch.setTime(ts, from: first)
  }

  @inline(__always)
  private func checkTime(_ ts: Int64) throws(Rejection) {
    do {
      try context.bounds.check(ts, now: now)
    } catch {
      throw .item(error)
    }
  }

  /// A reading that is still to be given its names and value.
  func reading() -> Reading { Reading(device: .none, sensor: .none, value: .boolean(false), ts: now) }

  // MARK: Names

  /// Keeps a device's or sensor's name as other systems have it: each character that a reading's names do not know
  /// becomes `_`, and what does not begin a name is left out in front. One in another script has a fingerprint behind it.
  @inline(__always)
  func keepName(_ bytes: UnsafeRawBufferPointer, _ field: String) throws(Rejection) -> ByteRange {
    if ReadingRules.isIdentifier(bytes) { return batch.keep(bytes) }
    appendName(bytes)
    return try keepName(field)
  }

  func keepName(_ bytes: [UInt8], _ field: String) throws(Rejection) -> ByteRange {
    // The functions that lend bytes do not know typed errors.
    bytes.withUnsafeBytes { appendName($0) }
    return try keepName(field)
  }

  func appendName(_ literal: StaticString) {
    appendName(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }

  /// Adds to the name that is being put together.
  func appendName(_ bytes: UnsafeRawBufferPointer) {
    let start = name.count
    for byte in bytes {
      // A name that is too long is refused in any case; it need not be built up.
      guard name.count <= ReadingRules.identifierLimit else { return }
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        name.append(byte)
      case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "-"):
        if name.count > 0 { name.append(byte) }
      // The other bytes of a character of several: it becomes one `_`.
      case 0x80...0xbf: break
      default: if name.count > 0 { name.append(UInt8(ascii: "_")) }
      }
    }
    if Self.isOfAnotherScript(bytes) { appendFingerprint(of: bytes, named: start) }
  }

  /// Whether so much of a name is left out that another may become the same: two letters of scripts such as Greek and Cyrillic,
  /// of which one alone is mostly a symbol (`µg/m³`), or one of those whose letters are words. Latin letters with accents, and
  /// signs, leave enough.
  private static func isOfAnotherScript(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var letters = 0
    for byte in bytes {
      switch byte {
      case 0xcd...0xe1: letters += 1
      case 0xe3...0xf4: letters += 2
      default: break
      }
    }
    return letters > 1
  }

  /// Adds what tells a name from others of which the same is left.
  private func appendFingerprint(of bytes: UnsafeRawBufferPointer, named start: Int) {
    if name.count == start { name.append(UInt8(ascii: "x")) }
    name.append(UInt8(ascii: "-"))
    let digits: StaticString = "0123456789abcdef"
    var rest = Fingerprint(of: bytes).low
    for _ in 0..<8 {
      name.append(digits.utf8Start[Int(rest & 15)])
      rest >>= 4
    }
  }

  /// How much there is of the name that is being put together.
  var nameCount: Int { name.count }

  /// Takes the name that is being put together back to an earlier length.
  func truncateName(to count: Int) { name.truncate(to: min(count, name.count)) }

  /// Keeps the name that was put together, from its beginning, and begins another one.
  func keepName(_ field: String) throws(Rejection) -> ByteRange {
    defer { name.truncate(to: 0) }
    return try keepNameSoFar(field)
  }

  /// Keeps the name that was put together, and lets it be continued.
  func keepNameSoFar(_ field: String) throws(Rejection) -> ByteRange {
    guard name.count > 0 else { throw .invalid(field, "must have a letter or a digit") }
    guard ReadingRules.isIdentifier(name.bytes) else {
      throw .invalid(field, "must be at most \(ReadingRules.identifierLimit) characters")
    }
    return batch.keep(name.bytes)
  }

  // MARK: Other texts

  /// A text as a value.
  func textValue(_ bytes: UnsafeRawBufferPointer, _ field: @autoclosure () -> String) throws(Rejection) -> Reading.Value
  {
    guard bytes.count <= ReadingRules.textLimit else {
      throw .invalid(field(), "must be at most \(ReadingRules.textLimit) bytes of text")
    }
    guard !ReadingRules.spellsNonFinite(bytes) else { throw Self.notFinite(field()) }
    guard isUTF8(bytes) else { throw .invalid(field(), "is not UTF-8") }
    return .text(batch.keep(bytes))
  }

  static func notFinite(_ field: String) -> Rejection {
    .invalid(field, "must be finite; leave a reading out that has no value")
  }

  /// A number that is spelt in a text; nil when it spells none.
  func number(_ bytes: UnsafeRawBufferPointer, _ field: @autoclosure () -> String) throws(Rejection) -> Double? {
    guard let number = DecimalText.parse(bytes) else { return nil }
    guard number.isFinite else { throw .invalid(field(), "is beyond the largest number, 1.8e308") }
    return number
  }

  /// A JSON value that is a number, a boolean or a text.
  func value(_ value: JSONValue, _ field: @autoclosure () -> String) throws(Rejection) -> Reading.Value {
    if let number = value.number { return .number(number) }
    if let boolean = value.boolean { return .boolean(boolean) }
    guard let text = value.string else { throw .shape(field(), "must be a number, true, false or a string") }
    return try textValue(text, field())
  }

  func keepUnit(_ bytes: UnsafeRawBufferPointer) throws(Rejection) -> ByteRange {
    guard ReadingRules.isPlain(bytes, limit: ReadingRules.unitLimit), isUTF8(bytes) else {
      throw .invalid("unit", "must be 1 to \(ReadingRules.unitLimit) bytes without control characters")
    }
    return batch.keep(bytes)
  }

  /// Keeps a text that was checked before.
  func keep(_ bytes: [UInt8]) -> ByteRange { bytes.withUnsafeBytes { batch.keep($0) } }

  func keepUnit(_ bytes: [UInt8]) throws(Rejection) -> ByteRange {
    var copy = ByteBuffer(capacity: bytes.count)
    bytes.withUnsafeBytes { copy.append($0) }
    return try keepUnit(copy.bytes)
  }

  func keepUnit(_ unit: StaticString) -> ByteRange {
    batch.keep(UnsafeRawBufferPointer(start: unit.utf8Start, count: unit.utf8CodeUnitCount))
  }

  func keepID(_ bytes: UnsafeRawBufferPointer) throws(Rejection) -> ByteRange {
    guard ReadingRules.isPlain(bytes, limit: ReadingRules.idLimit), isUTF8(bytes) else {
      throw .invalid("id", "must be 1 to \(ReadingRules.idLimit) bytes without control characters")
    }
    return batch.keep(bytes)
  }

  /// Keeps a tag of a reading, behind those that it has; its name is fitted like that of a sensor.
  func keepTag(
    _ tagName: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, of reading: inout Reading
  ) throws(Rejection) {
    guard reading.tagCount < ReadingRules.tagLimit else {
      throw .invalid("tags", "must be at most \(ReadingRules.tagLimit)")
    }
    guard value.count <= ReadingRules.tagValueLimit, isUTF8(value) else {
      throw .invalid("tags", "a value must be a text of at most \(ReadingRules.tagValueLimit) bytes of UTF-8")
    }
    if reading.tagCount == 0 { reading.firstTag = batch.nextTag }
    if ReadingRules.isTagName(tagName) {
      try checkNew(tagName, reading)
      batch.keepTag(name: tagName, value: value)
    } else {
      var fitted = ByteBuffer(capacity: ReadingRules.tagNameLimit + 1)
      for byte in tagName.prefix(ReadingRules.tagNameLimit * 4) {
        guard byte & 0xc0 != 0x80, fitted.count <= ReadingRules.tagNameLimit else { continue }
        fitted.append(byte)
        if !ReadingRules.isTagName(fitted.bytes) {
          fitted.truncate(to: fitted.count - 1)
          fitted.append(UInt8(ascii: "_"))
        }
      }
      guard ReadingRules.isTagName(fitted.bytes) else {
        throw .invalid("tags", "a name must be 1 to \(ReadingRules.tagNameLimit) characters")
      }
      try checkNew(fitted.bytes, reading)
      batch.keepTag(name: fitted.bytes, value: value)
    }
    reading.tagCount += 1
  }

  func keepTag(
    _ value: UnsafeRawBufferPointer, named name: StaticString, of reading: inout Reading
  ) throws(Rejection) {
    try keepTag(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value, of: &reading)
  }

  func keepTag(
    _ name: [UInt8], _ value: UnsafeRawBufferPointer, of reading: inout Reading
  ) throws(Rejection) {
    var copy = ByteBuffer(capacity: name.count)
    name.withUnsafeBytes { copy.append($0) }
    try keepTag(copy.bytes, value, of: &reading)
  }

  private func checkNew(_ name: UnsafeRawBufferPointer, _ reading: Reading) throws(Rejection) {
    for tag in batch.tags(of: reading) where batch[tag.name].elementsEqual(name) {
      throw .item(ReadingError(.repeated, field: "tags", "has a name twice"))
    }
  }
}

extension Intake {
  static let notJSON = "the body is not JSON: "

  /// Parses a body behind which `JSONParser.padding` bytes more are readable.
  func parse(padded body: UnsafeRawBufferPointer, _ decode: (JSONValue) throws(BodyError) -> Void) throws(BodyError) {
    let body = body.withoutByteOrderMark()
    do {
      try context.parser.parse(padded: body, decode)
    } catch {
      switch error {
      case .malformed(let error): throw .malformed("\(Self.notJSON)\(error)")
      case .refused(let error): throw error
      }
    }
  }

  /// Parses the payload of a message.
  func parse(copying payload: UnsafeRawBufferPointer, _ decode: (JSONValue) throws(BodyError) -> Void) throws(BodyError)
  {
    do {
      try context.parser.parse(copying: payload.withoutByteOrderMark(), decode)
    } catch {
      switch error {
      case .malformed(let error): throw .malformed("the payload is not JSON: \(error)")
      case .refused(let error): throw error
      }
    }
  }
}

/// Whether bytes that did not come out of JSON may stand in a text.
@inline(__always)
func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  if bytes.allSatisfy({ $0 < 0x80 }) { return true }
  do {
    _ = try bytes.withMemoryRebound(to: UInt8.self) { try UTF8Span(validating: $0.span).count }
    return true
  } catch {
    return false
  }
}

extension Reading {
  /// Gives it the time that its sender says.
  mutating func setTime(_ ts: Int64) {
    self.ts = ts
    isTimed = true
  }
}

extension UnsafeRawBufferPointer {
  /// A part that is itself counted from 0.
  @inline(__always)
  func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }

  /// Without spaces, tabs and line ends at both sides.
  func trimmed() -> UnsafeRawBufferPointer {
    let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0d).contains(byte) }
    guard let start = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return part(start..<(last + 1))
  }

  /// For messages: at most 64 bytes, as text.
  var excerpt: String { String(decoding: prefix(64), as: UTF8.self) }

  /// Without a byte order mark in front.
  func withoutByteOrderMark() -> UnsafeRawBufferPointer {
    first == 0xef && starts(with: [0xef, 0xbb, 0xbf]) ? part(3..<count) : self
  }
}
