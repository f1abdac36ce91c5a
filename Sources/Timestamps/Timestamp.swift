/// Times as milliseconds since 1970-01-01T00:00:00Z, read from and written as RFC 3339, without Foundation.
package enum Timestamp {
  /// Why a text is not a time.
  package enum Failure: Error, Equatable {
    /// Not RFC 3339, or not a date of the calendar.
    case malformed
    /// A date and time with neither `Z` nor an offset, so nobody knows when that was.
    case noZone
  }

  /// Bytes of a formatted time: `2026-11-21T02:15:18.070Z`.
  package static let formattedCount = 24

  /// Reads `date-time` of RFC 3339 section 5.6; digits of a second beyond milliseconds are cut.
  ///
  /// A second of 60 (a leap second) is the first of the next minute, as in POSIX time.
  package static func parse(_ text: UnsafeRawBufferPointer) throws(Failure) -> Int64 {
    guard text.count >= 19, text.count <= 64 else { throw .malformed }
    guard let year = digits(text, 0, 4), text[4] == UInt8(ascii: "-"), let month = digits(text, 5, 2),
      text[7] == UInt8(ascii: "-"), let day = digits(text, 8, 2),
      text[10] == UInt8(ascii: "T") || text[10] == UInt8(ascii: "t") || text[10] == UInt8(ascii: " "),
      let hour = digits(text, 11, 2), text[13] == UInt8(ascii: ":"), let minute = digits(text, 14, 2),
      text[16] == UInt8(ascii: ":"), let second = digits(text, 17, 2)
    else { throw .malformed }
    guard (1...12).contains(month), (1...daysIn(month, of: year)).contains(day), hour < 24, minute < 60, second <= 60
    else { throw .malformed }

    var index = 19
    var milliseconds: Int64 = 0
    if index < text.count, text[index] == UInt8(ascii: ".") {
      index += 1
      let start = index
      var scale: Int64 = 100
      while index < text.count, let digit = digits(text, index, 1) {
        milliseconds += digit * scale
        scale /= 10
        index += 1
      }
      if index == start { throw .malformed }
    }

    guard index < text.count else { throw .noZone }
    var offset: Int64 = 0
    switch text[index] {
    case UInt8(ascii: "Z"), UInt8(ascii: "z"): index += 1
    case let sign where sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"):
      guard text.count >= index + 6, let hours = digits(text, index + 1, 2), text[index + 3] == UInt8(ascii: ":"),
        let minutes = digits(text, index + 4, 2), hours < 24, minutes < 60
      else { throw .malformed }
      offset = (hours * 60 + minutes) * (sign == UInt8(ascii: "-") ? -60_000 : 60_000)
      index += 6
    default: throw .malformed
    }
    guard index == text.count else { throw .malformed }
    let seconds = daysFromCivil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    return seconds * 1_000 + milliseconds - offset
  }

  /// Writes a time with milliseconds and `Z` into `formattedCount` bytes.
  ///
  /// Years outside 0 to 9999, which RFC 3339 cannot say, are written as the nearest it can.
  package static func format(_ milliseconds: Int64, into out: UnsafeMutableRawBufferPointer) {
    precondition(out.count >= formattedCount)
    let milliseconds = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
    let days = floorDivide(milliseconds, 86_400_000)
    let rest = UInt32(truncatingIfNeeded: milliseconds - days * 86_400_000)
    let (year, month, day) = civilFromDays(days)
    put(UInt32(truncatingIfNeeded: year), 4, out, 0)
    out[4] = UInt8(ascii: "-")
    put(UInt32(truncatingIfNeeded: month), 2, out, 5)
    out[7] = UInt8(ascii: "-")
    put(UInt32(truncatingIfNeeded: day), 2, out, 8)
    out[10] = UInt8(ascii: "T")
    put(rest / 3_600_000, 2, out, 11)
    out[13] = UInt8(ascii: ":")
    put(rest / 60_000 % 60, 2, out, 14)
    out[16] = UInt8(ascii: ":")
    put(rest / 1_000 % 60, 2, out, 17)
    out[19] = UInt8(ascii: ".")
    put(rest % 1_000, 3, out, 20)
    out[23] = UInt8(ascii: "Z")
  }

  /// A time as text, for messages.
  package static func text(_ milliseconds: Int64) -> String {
    String(unsafeUninitializedCapacity: formattedCount) {
      format(milliseconds, into: UnsafeMutableRawBufferPointer($0))
      return formattedCount
    }
  }

  @inline(__always)
  private static func digits(_ text: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> Int64? {
    var value: Int64 = 0
    for index in start..<(start + count) {
      let digit = text[index] &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value &* 10 &+ Int64(digit)
    }
    return value
  }

  @inline(__always)
  private static func put(_ value: UInt32, _ count: Int, _ out: UnsafeMutableRawBufferPointer, _ start: Int) {
    var value = value
    for index in stride(from: start + count - 1, through: start, by: -1) {
      out[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value % 10)
      value /= 10
    }
  }

  private static func daysIn(_ month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
  }

  /// Days since 1970-01-01 in the proleptic Gregorian calendar: years are counted from March, so that the leap day is a
  /// year's last, and 400 of them have 146,097 days.
  private static func daysFromCivil(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let era = floorDivide(year, 400)
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func civilFromDays(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let days = days + 719_468
    let era = floorDivide(days, 146_097)
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }
}
