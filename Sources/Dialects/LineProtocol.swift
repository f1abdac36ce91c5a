import JSON
package import Readings

/// InfluxDB's line protocol: `measurement,tag=value field=1,other=2i 1700000000000000000`, one point per line.
///
/// An item is a line, taken whole or not at all; its index is that of its first line in the body, from 0, every line counted.
/// Each field is a reading: its sensor is `measurement.field`, its device the tag that the mapping names; the other tags
/// stay tags. Characters that names here do not know become `_`.
///
/// The grammar is that of InfluxDB's own parser (models/points.go): a backslash escapes only what is special where it
/// stands, a string may hold line ends, a field's string needs quotes and a tag's value has none.
package enum LineProtocol {
  /// What a time stamp counts. The names are those of both versions of the API.
  package enum Precision: String, Sendable {
    case nanoseconds = "ns"
    case microseconds = "us"
    case milliseconds = "ms"
    case seconds = "s"
    case minutes = "m"
    case hours = "h"

    /// Reads the query's `precision`; without one it is nanoseconds.
    package init?(_ name: String?) {
      switch name {
      case nil, "", "n": self = .nanoseconds
      case "u", "µ": self = .microseconds
      case let name?:
        guard let precision = Precision(rawValue: name) else { return nil }
        self = precision
      }
    }

    /// A time in milliseconds since 1970; nil when it does not fit.
    func milliseconds(_ count: Int64) -> Int64? {
      switch self {
      case .nanoseconds: return count.quotientRoundedDown(by: 1_000_000)
      case .microseconds: return count.quotientRoundedDown(by: 1_000)
      case .milliseconds: return count
      case .seconds: return Self.times(count, 1_000)
      case .minutes: return Self.times(count, 60_000)
      case .hours: return Self.times(count, 3_600_000)
      }
    }

    private static func times(_ count: Int64, _ factor: Int64) -> Int64? {
      let (product, isOver) = count.multipliedReportingOverflow(by: factor)
      return isOver ? nil : product
    }
  }

  /// Where a point's device is found.
  package struct Mapping: Sendable {
    /// Tags that may name the device, the first of them that a line has.
    package var deviceTags: [[UInt8]]
    /// The device of a line that has none of them; nil refuses it.
    package var device: [UInt8]?

    package init(deviceTags: [String] = ["device", "host"], device: String? = nil) {
      self.deviceTags = deviceTags.map { Array($0.utf8) }
      self.device = device.map { Array($0.utf8) }
    }
  }

  /// Decodes a body.
  ///
  /// - Parameters:
  ///   - now: the time of arrival, in milliseconds; that of a line without a time stamp.
  ///   - errors: gets the lines that are refused, in their order.
  /// - Throws: when nothing of the body can be taken; the batch is then as it was.
  package static func decode(
    body: UnsafeRawBufferPointer, precision: Precision, mapping: Mapping, now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
      var lines = Lines(body.withoutByteOrderMark(), intake, precision, mapping)
      try lines.decode()
    }
  }

  /// A part of the body that ends before a character that is special there.
  private struct Token {
    var start: Int
    var end: Int
    var hasEscapes = false
  }

  private struct Lines: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    private let intake: Intake
    private let precision: Precision
    private let mapping: Mapping
    private var index = 0
    private var tags: [(name: Token, value: Token)] = []
    private var unescaped = ByteBuffer(capacity: 128)

    init(_ bytes: UnsafeRawBufferPointer, _ intake: Intake, _ precision: Precision, _ mapping: Mapping) {
      self.bytes = bytes
      self.intake = intake
      self.precision = precision
      self.mapping = mapping
      tags.reserveCapacity(ReadingRules.tagLimit + 1)
    }

    mutating func decode() throws(BodyError) {
      var line = 0
      while index < bytes.count {
        let start = index
        skipSpaces()
        if index == bytes.count { break }
        if bytes[index] == UInt8(ascii: "#") || isLineEnd {
          endLine()
        } else {
          var isWhole = false
          try intake.item(line) { () throws(Rejection) in
            try decodeLine()
            isWhole = true
          }
          if !isWhole {
            // Where a line goes wrong in a string, its end is not known: the first one is the best guess.
            index = start
            endLine()
          }
        }
        for byte in bytes[start..<index] where byte == UInt8(ascii: "\n") { line += 1 }
      }
    }

    private mutating func decodeLine() throws(Rejection) {
      let measurement = try token(endingWith: UInt8(ascii: ","), or: UInt8(ascii: ","), "measurement")
      guard measurement.end > measurement.start else { throw .malformed("", "missing measurement") }
      try scanTags()
      var common = intake.reading()
      try keepDeviceAndTags(&common)
      guard skipSpaces() > 0, !isLineEnd else { throw .malformed("", "missing fields") }
      intake.appendName(text(measurement, isMeasurement: true))
      intake.appendName(".")
      let prefix = intake.nameCount
      let first = intake.batch.count
      repeat {
        var reading = common
        let key = try token(endingWith: UInt8(ascii: "="), or: UInt8(ascii: ","), "field key")
        guard key.end > key.start else { throw .malformed("", "missing field key") }
        guard take(UInt8(ascii: "=")) else { throw .malformed(excerpt(key), "missing field value") }
        reading.value = try value(key)
        intake.truncateName(to: prefix)
        intake.appendName(text(key))
        reading.sensor = try intake.keepNameSoFar("sensor")
        try intake.appendUntimed(reading)
      } while take(UInt8(ascii: ","))
      if let ts = try time() { try intake.setTime(ts, from: first) }
      endLine()
    }

    // MARK: Tags

    private mutating func scanTags() throws(Rejection) {
      tags.removeAll(keepingCapacity: true)
      while take(UInt8(ascii: ",")) {
        let name = try token(endingWith: UInt8(ascii: "="), or: UInt8(ascii: ","), "tag key")
        guard name.end > name.start else { throw .malformed("", "missing tag key") }
        guard take(UInt8(ascii: "=")) else { throw .malformed("", "missing tag value") }
        let value = try token(endingWith: UInt8(ascii: ","), or: UInt8(ascii: "="), "tag value")
        guard value.end > value.start else { throw .malformed("", "missing tag value") }
        guard index == bytes.count || bytes[index] != UInt8(ascii: "=") else {
          throw .malformed("", "invalid tag format")
        }
        guard tags.count <= ReadingRules.tagLimit else {
          throw .invalid("tags", "must be at most \(ReadingRules.tagLimit) besides the device's")
        }
        tags.append((name, value))
      }
    }

    private mutating func keepDeviceAndTags(_ reading: inout Reading) throws(Rejection) {
      var deviceTag: Int?
      for name in mapping.deviceTags where deviceTag == nil {
        deviceTag = tags.firstIndex { bytes.part($0.name.start..<$0.name.end).elementsEqual(name) }
      }
      if let deviceTag {
        reading.device = try intake.keepName(text(tags[deviceTag].value), "device")
      } else if let device = mapping.device {
        reading.device = try intake.keepName(device, "device")
      } else {
        let names = mapping.deviceTags.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " or ")
        throw .missing("device", "is required: no tag \(names)")
      }
      for position in tags.indices where position != deviceTag {
        let name = text(tags[position].name)
        // Two texts can be unescaped at once only if one of them is elsewhere.
        if tags[position].name.hasEscapes, tags[position].value.hasEscapes {
          var copy = ByteBuffer(capacity: name.count)
          copy.append(name)
          try intake.keepTag(copy.bytes, text(tags[position].value), of: &reading)
        } else {
          try intake.keepTag(name, text(tags[position].value), of: &reading)
        }
      }
    }

    // MARK: Fields

    private mutating func value(_ key: Token) throws(Rejection) -> Reading.Value {
      guard index < bytes.count else { throw .malformed(excerpt(key), "missing field value") }
      if bytes[index] == UInt8(ascii: "\"") { return try string(key) }
      let start = index
      while index < bytes.count, !isLineEnd, bytes[index] != UInt8(ascii: ","), bytes[index] != UInt8(ascii: " ") {
        index += 1
      }
      let word = bytes.part(start..<index)
      guard let first = word.first, let last = word.last else { throw .malformed(excerpt(key), "missing field value") }
      switch last {
      case UInt8(ascii: "i"):
        guard let integer = DecimalText.integer(word.part(0..<(word.count - 1))) else { break }
        return .number(Double(integer))
      case UInt8(ascii: "u"):
        guard let integer = DecimalText.unsigned(word.part(0..<(word.count - 1))) else { break }
        return .number(Double(integer))
      default:
        if let number = try intake.number(word, excerpt(key)) { return .number(number) }
        if first | 0x20 == UInt8(ascii: "t") || first | 0x20 == UInt8(ascii: "f"), let boolean = Self.boolean(word) {
          return .boolean(boolean)
        }
      }
      if ReadingRules.spellsNonFinite(word) { throw Intake.notFinite(excerpt(key)) }
      throw .malformed(
        excerpt(key), "must be a number, a number with i or u within 64 bits, true, false or a string in quotes")
    }

    private static func boolean(_ word: UnsafeRawBufferPointer) -> Bool? {
      switch word.count {
      case 1: word[0] | 0x20 == UInt8(ascii: "t")
      case 4: word.equals("true") || word.equals("True") || word.equals("TRUE") ? true : nil
      case 5: word.equals("false") || word.equals("False") || word.equals("FALSE") ? false : nil
      default: nil
      }
    }

    private mutating func string(_ key: Token) throws(Rejection) -> Reading.Value {
      index += 1
      var token = Token(start: index, end: index)
      while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
        if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count, Self.isEscapedInString(bytes[index + 1]) {
          token.hasEscapes = true
          index += 1
        }
        index += 1
      }
      guard index < bytes.count else { throw .malformed(excerpt(key), "unbalanced quotes") }
      token.end = index
      index += 1
      guard index == bytes.count || isLineEnd || bytes[index] == UInt8(ascii: ",") || bytes[index] == UInt8(ascii: " ")
      else { throw .malformed(excerpt(key), "unbalanced quotes") }
      // Before it is unescaped: a string can be as long as the body.
      guard token.end - token.start <= 2 * ReadingRules.textLimit else {
        throw .invalid(excerpt(key), "must be at most \(ReadingRules.textLimit) bytes of text")
      }
      let raw = bytes.part(token.start..<token.end)
      guard token.hasEscapes else { return try intake.textValue(raw, excerpt(key)) }
      unescape(raw) { Self.isEscapedInString($0) }
      return try intake.textValue(unescaped.bytes, excerpt(key))
    }

    private static func isEscapedInString(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    // MARK: Time

    /// The time stamp behind the fields, if there is one, to the end of the line.
    private mutating func time() throws(Rejection) -> Int64? {
      skipSpaces()
      let start = index
      while !isLineEnd, bytes[index] != UInt8(ascii: " ") { index += 1 }
      let word = bytes.part(start..<index)
      skipSpaces()
      guard isLineEnd else { throw .malformed("ts", "bad timestamp: something follows it") }
      if word.isEmpty { return nil }
      guard let count = DecimalText.integer(word), let time = precision.milliseconds(count) else {
        throw .invalid("ts", "bad timestamp: must be a whole number of \(precision.rawValue) within 64 bits")
      }
      return time
    }

    // MARK: Characters

    /// At the end of a line or of the body.
    private var isLineEnd: Bool {
      index >= bytes.count || bytes[index] == UInt8(ascii: "\n")
        || (bytes[index] == UInt8(ascii: "\r") && (index + 1 == bytes.count || bytes[index + 1] == UInt8(ascii: "\n")))
    }

    @discardableResult
    private mutating func skipSpaces() -> Int {
      let start = index
      while index < bytes.count, bytes[index] == UInt8(ascii: " ") || bytes[index] == UInt8(ascii: "\t") { index += 1 }
      return index - start
    }

    /// Goes behind the next line end.
    private mutating func endLine() {
      index = bytes[index...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
    }

    private mutating func take(_ byte: UInt8) -> Bool {
      guard index < bytes.count, bytes[index] == byte else { return false }
      index += 1
      return true
    }

    /// Scans to the first of these characters, a space or the end of the line that no backslash stands before.
    private mutating func token(
      endingWith first: UInt8, or second: UInt8, _ what: StaticString
    ) throws(Rejection) -> Token {
      var token = Token(start: index, end: index)
      while !isLineEnd {
        let byte = bytes[index]
        if byte == UInt8(ascii: "\\"), index + 1 < bytes.count, Self.isEscapedInName(bytes[index + 1]) {
          token.hasEscapes = true
          index += 1
        } else if byte == first || byte == second || byte == UInt8(ascii: " ") {
          break
        }
        index += 1
      }
      token.end = index
      return token
    }

    private static func isEscapedInName(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ") || byte == UInt8(ascii: "=")
    }

    /// A token without its escapes, valid until the next one.
    private mutating func text(_ token: Token, isMeasurement: Bool = false) -> UnsafeRawBufferPointer {
      let raw = bytes.part(token.start..<token.end)
      guard token.hasEscapes else { return raw }
      unescape(raw) { Self.isEscapedInName($0) && !(isMeasurement && $0 == UInt8(ascii: "=")) }
      return unescaped.bytes
    }

    private mutating func unescape(_ raw: UnsafeRawBufferPointer, _ isEscaped: (UInt8) -> Bool) {
      unescaped.truncate(to: 0)
      var index = 0
      while index < raw.count {
        if raw[index] == UInt8(ascii: "\\"), index + 1 < raw.count, isEscaped(raw[index + 1]) { index += 1 }
        unescaped.append(raw[index])
        index += 1
      }
    }

    private func excerpt(_ token: Token) -> String { bytes.part(token.start..<token.end).excerpt }
  }
}

extension Int64 {
  /// The quotient rounded towards the past, so that times before 1970 are not a unit late.
  func quotientRoundedDown(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
