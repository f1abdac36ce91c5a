import Glibc

/// Numbers as texts, read without a `String`.
enum DecimalText {
  /// Reads `[+-]digits[.digits][e[+-]digits]`, where digits may be absent on one side of the point.
  ///
  /// - Returns: the nearest double, infinite when it is beyond them; nil when the text is something else.
  static func parse(_ text: UnsafeRawBufferPointer, point: UInt8 = UInt8(ascii: ".")) -> Double? {
    var index = 0
    var isNegative = false
    if let first = text.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      isNegative = first == UInt8(ascii: "-")
      index = 1
    }
    var mantissa: UInt64 = 0
    var digits = 0
    var isExact = true
    var scale = 0
    var pointIndex = -1
    while index < text.count {
      let digit = text[index] &- UInt8(ascii: "0")
      if digit < 10 {
        digits += 1
        // Up to 2^53 a double holds every whole number.
        if mantissa < 900_719_925_474_099 {
          mantissa = mantissa &* 10 &+ UInt64(digit)
          if pointIndex >= 0 { scale -= 1 }
        } else {
          isExact = false
        }
      } else if text[index] == point, pointIndex < 0 {
        pointIndex = index
      } else {
        break
      }
      index += 1
    }
    guard digits > 0 else { return nil }
    if index < text.count {
      guard text[index] | 0x20 == UInt8(ascii: "e") else { return nil }
      index += 1
      guard index < text.count else { return nil }
      let isBelow = text[index] == UInt8(ascii: "-")
      if isBelow || text[index] == UInt8(ascii: "+") { index += 1 }
      guard index < text.count else { return nil }
      var exponent = 0
      while index < text.count {
        let digit = text[index] &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        exponent = min(exponent * 10 + Int(digit), 100_000)
        index += 1
      }
      scale += isBelow ? -exponent : exponent
    }
    // Both numbers are exact, so their quotient or product is rounded once: the nearest double (Clinger's fast path).
    if isExact, scale.magnitude <= 22 {
      let magnitude = scale < 0 ? Double(mantissa) / powers[-scale] : Double(mantissa) * powers[scale]
      return isNegative ? -magnitude : magnitude
    }
    return slow(text, pointIndex)
  }

  private static let powers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
  ]

  /// Reads a whole number with an optional sign; nil when it is none or does not fit.
  static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
    var digits = text[...]
    let isNegative = digits.first == UInt8(ascii: "-")
    if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
    guard let magnitude = unsigned(UnsafeRawBufferPointer(rebasing: digits)) else { return nil }
    if isNegative { return magnitude <= UInt64(1) << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil }
    return Int64(exactly: magnitude)
  }

  /// Reads digits; nil when there are none, something else, or too many.
  static func unsigned(_ digits: UnsafeRawBufferPointer) -> UInt64? {
    guard !digits.isEmpty else { return nil }
    var value: UInt64 = 0
    for byte in digits {
      let digit = byte &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      let (product, isOver) = value.multipliedReportingOverflow(by: 10)
      let (sum, isOverToo) = product.addingReportingOverflow(UInt64(digit))
      guard !isOver, !isOverToo else { return nil }
      value = sum
    }
    return value
  }

  /// By strtod, which wants an end that it can see. The process never leaves the C locale, so its point is a point.
  private static func slow(_ text: UnsafeRawBufferPointer, _ pointIndex: Int) -> Double {
    withUnsafeTemporaryAllocation(byteCount: text.count + 1, alignment: 1) { copy in
      copy.copyMemory(from: text)
      copy[text.count] = 0
      if pointIndex >= 0 { copy[pointIndex] = UInt8(ascii: ".") }
      return strtod(copy.baseAddress!.assumingMemoryBound(to: CChar.self), nil)
    }
  }
}
