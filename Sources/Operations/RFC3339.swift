/// Writes timestamps as RFC 3339 has them, always 24 bytes: `2026-11-21T02:15:18.070Z`.
package enum RFC3339 {
  /// 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: four digits of year are all that RFC 3339 allows.
  private static let representable: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

  /// Appends a timestamp given in milliseconds since 1970. Years before 0 and after 9999 become the nearest moment
  /// that can be written.
  package static func append(_ milliseconds: Int64, to bytes: inout [UInt8]) {
    let moment = min(max(milliseconds, representable.lowerBound), representable.upperBound)
    var day = moment / 86_400_000
    var rest = Int(moment % 86_400_000)
    if rest < 0 {
      rest += 86_400_000
      day -= 1
    }
    let (year, month, dayOfMonth) = date(daysSince1970: Int(day))
    append(year, digits: 4, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(month, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(dayOfMonth, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "T"))
    append(rest / 3_600_000, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(rest / 60_000 % 60, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(rest / 1_000 % 60, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "."))
    append(rest % 1_000, digits: 3, to: &bytes)
    bytes.append(UInt8(ascii: "Z"))
  }

  /// The 24 bytes of a timestamp given in milliseconds since 1970.
  package static func bytes(_ milliseconds: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(24)
    append(milliseconds, to: &bytes)
    return bytes
  }

  /// A timestamp given in milliseconds since 1970, as text.
  package static func string(_ milliseconds: Int64) -> String {
    String(decoding: bytes(milliseconds), as: UTF8.self)
  }

  private static func append(_ number: Int, digits: Int, to bytes: inout [UInt8]) {
    var divisor = 1
    for _ in 1..<digits { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }

  /// The civil date of a day in the proleptic Gregorian calendar: `civil_from_days` of Howard Hinnant's
  /// "chrono-Compatible Low-Level Date Algorithms". Years begin in March there, so that the leap day is the last.
  private static func date(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = daysSince1970 + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}
