/// Numbers with units, as settings have them.
package enum SettingUnits {
  /// A whole number in ASCII digits: no sign, no blanks.
  static func whole(_ text: String) -> Int? {
    !text.isEmpty && text.utf8.allSatisfy(isDigit) ? Int(text) : nil
  }

  /// `90d`, `10s`, `250ms`, `500us`.
  package static func duration(_ text: String) -> Duration? {
    guard let (number, unit) = split(text), let microseconds = times.first(where: { $0.unit == unit })?.microseconds
    else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: microseconds)
    return overflow ? nil : .microseconds(product)
  }

  /// `512`, `512KB` (1,000 each), `8MiB` (1,024 each), `64M` (1,024 each, as in systemd); large and small letters.
  static func bytes(_ text: String) -> Int? {
    guard let (number, unit) = split(text), let factor = sizes.first(where: { $0.unit == unit.lowercased() })?.bytes
    else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  /// A duration in the largest unit that divides it.
  static func text(_ duration: Duration) -> String {
    let microseconds = Int(duration / .microseconds(1))
    guard microseconds > 0 else { return "0s" }
    // Weeks are read, but not how people think of 90 days.
    let unit = times.last { $0.unit != "w" && microseconds % $0.microseconds == 0 }!
    return "\(microseconds / unit.microseconds)\(unit.unit)"
  }

  /// A number of bytes in the largest unit that divides it.
  static func text(bytes: Int) -> String {
    guard bytes > 0 else { return "0" }
    for (unit, factor) in [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    where bytes % factor == 0 {
      return "\(bytes / factor)\(unit)"
    }
    return String(bytes)
  }

  private static let times: [(unit: String, microseconds: Int)] = [
    ("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000),
    ("w", 604_800_000_000),
  ]

  private static let sizes: [(unit: String, bytes: Int)] = [
    ("", 1), ("b", 1), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000),
    ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40),
    ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40),
  ]

  private static func split(_ text: String) -> (number: Int, unit: String)? {
    let digits = text.utf8.prefix(while: isDigit)
    guard let number = whole(String(digits)!) else { return nil }
    return (number, String(text.utf8.dropFirst(digits.count))!)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
