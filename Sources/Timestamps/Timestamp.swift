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
    var areDigits = true
    let year = pair(text, 0, &areDigits) * 100 + pair(text, 2, &areDigits)
    let month = pair(text, 5, &areDigits)
    let day = pair(text, 8, &areDigits)
    let hour = pair(text, 11, &areDigits)
    let minute = pair(text, 14, &areDigits)
    let second = pair(text, 17, &areDigits)
    guard areDigits, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
      text[10] == UInt8(ascii: "T") || text[10] == UInt8(ascii: "t") || text[10] == UInt8(ascii: " "),
      text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
      month &- 1 < 12, day &- 1 < daysIn(month, of: year), hour < 24, minute < 60, second <= 60
    else { throw .malformed }

    var index = 19
    var milliseconds: Int64 = 0
    if index < text.count, text[index] == UInt8(ascii: ".") {
      index += 1
      let start = index
      var scale: Int64 = 100
      while index < text.count, case let digit = text[index] &- UInt8(ascii: "0"), digit < 10 {
        milliseconds += Int64(digit) * scale
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
      guard text.count >= index + 6 else { throw .malformed }
      let hours = pair(text, index + 1, &areDigits)
      let minutes = pair(text, index + 4, &areDigits)
      guard areDigits, text[index + 3] == UInt8(ascii: ":"), hours < 24, minutes < 60 else { throw .malformed }
      offset = Int64(hours * 60 + minutes) * (sign == UInt8(ascii: "-") ? -60_000 : 60_000)
      index += 6
    default: throw .malformed
    }
    guard index == text.count else { throw .malformed }
    let seconds = daysSince1970(year, month, day) * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
    return seconds * 1_000 + milliseconds - offset
  }

  /// Writes a time with milliseconds and `Z` into `formattedCount` bytes.
  ///
  /// Years outside 0 to 9999, which RFC 3339 cannot say, are written as the nearest it can.
  package static func format(_ milliseconds: Int64, into out: UnsafeMutableRawBufferPointer) {
    precondition(out.count >= formattedCount)
    let sinceYear0 = UInt64(
      min(max(milliseconds, yearsLimits.lowerBound), yearsLimits.upperBound) - yearsLimits.lowerBound)
    let days = sinceYear0 / 86_400_000
    let rest = UInt32(truncatingIfNeeded: sinceYear0 - days * 86_400_000)
    let (year, month, day) = civil(UInt32(truncatingIfNeeded: days))
    let (seconds, thousandths) = rest.quotientAndRemainder(dividingBy: 1_000)
    let (minutes, second) = seconds.quotientAndRemainder(dividingBy: 60)
    let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
    put(pair: year / 100, out, 0)
    put(pair: year % 100, out, 2)
    out[4] = UInt8(ascii: "-")
    put(pair: month, out, 5)
    out[7] = UInt8(ascii: "-")
    put(pair: day, out, 8)
    out[10] = UInt8(ascii: "T")
    put(pair: hour, out, 11)
    out[13] = UInt8(ascii: ":")
    put(pair: minute, out, 14)
    out[16] = UInt8(ascii: ":")
    put(pair: second, out, 17)
    out[19] = UInt8(ascii: ".")
    out[20] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: thousandths / 100)
    put(pair: thousandths % 100, out, 21)
    out[23] = UInt8(ascii: "Z")
  }

  /// The first and the last millisecond that RFC 3339 can say: of the years 0 and 9999.
  private static var yearsLimits: ClosedRange<Int64> { -62_167_219_200_000...253_402_300_799_999 }

  /// A time as text, for messages.
  package static func text(_ milliseconds: Int64) -> String {
    String(unsafeUninitializedCapacity: formattedCount) {
      format(milliseconds, into: UnsafeMutableRawBufferPointer($0))
      return formattedCount
    }
  }

  /// The value of two bytes as digits; `areDigits` becomes false when they are none.
  @inline(__always)
  private static func pair(_ text: UnsafeRawBufferPointer, _ start: Int, _ areDigits: inout Bool) -> UInt32 {
    let (first, second) = (text[start] &- UInt8(ascii: "0"), text[start + 1] &- UInt8(ascii: "0"))
    if max(first, second) > 9 { areDigits = false }
    return UInt32(first) * 10 + UInt32(second)
  }

  /// Writes a number below 100.
  @inline(__always)
  private static func put(pair value: UInt32, _ out: UnsafeMutableRawBufferPointer, _ start: Int) {
    let tens = value / 10
    out[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: tens)
    out[start + 1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value &- tens &* 10)
  }

  private static func daysIn(_ month: UInt32, of year: UInt32) -> UInt32 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // In the proleptic Gregorian calendar years are counted from March, so that the leap day is a year's last, and 400 of them
  // have 146,097 days. Here they begin with March of the year -400, of which no number is negative.

  @inline(__always)
  private static func daysSince1970(_ year: UInt32, _ month: UInt32, _ day: UInt32) -> Int64 {
    let year = year + 400 - (month <= 2 ? 1 : 0)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return Int64(year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear) - 865_565
  }

  /// - Parameter days: since the beginning of the year 0.
  @inline(__always)
  private static func civil(_ days: UInt32) -> (year: UInt32, month: UInt32, day: UInt32) {
    let days = days + 146_037
    let era = days / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0) - 400, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }
}
