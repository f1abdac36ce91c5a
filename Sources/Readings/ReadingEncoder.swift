import Timestamps

/// Writes the topic's canonical JSON: members in a fixed order, what is absent left out, `ts` always there.
package enum ReadingEncoder {
  /// Appends one reading.
  package static func encode(_ reading: Reading, of batch: ReadingBatch, into out: inout ByteBuffer) {
    // Names need no escapes: their alphabet has none.
    out.append(#"{"device":""#)
    out.append(batch[reading.device])
    out.append(#"","sensor":""#)
    out.append(batch[reading.sensor])
    out.append(#"","value":"#)
    switch reading.value {
    case .number(let number): append(number, to: &out)
    case .boolean(let boolean): out.append(boolean ? "true" : "false")
    case .text(let text): append(string: batch[text], to: &out)
    }
    if !reading.unit.isEmpty {
      out.append(#","unit":"#)
      append(string: batch[reading.unit], to: &out)
    }
    out.append(#","ts":""#)
    out.append(count: Timestamp.formattedCount) { Timestamp.format(reading.ts, into: $0) }
    out.append(UInt8(ascii: "\""))
    if let location = reading.location {
      out.append(#","location":["#)
      append(location.longitude, to: &out)
      out.append(UInt8(ascii: ","))
      append(location.latitude, to: &out)
      if let height = location.height {
        out.append(UInt8(ascii: ","))
        append(height, to: &out)
      }
      out.append(UInt8(ascii: "]"))
    }
    if !reading.id.isEmpty {
      out.append(#","id":"#)
      append(string: batch[reading.id], to: &out)
    }
    if reading.tagCount > 0 {
      out.append(#","tags":{"#)
      var isFirst = true
      for tag in batch.tags(of: reading) {
        if !isFirst { out.append(UInt8(ascii: ",")) }
        isFirst = false
        append(string: batch[tag.name], to: &out)
        out.append(UInt8(ascii: ":"))
        append(string: batch[tag.value], to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
    out.append(UInt8(ascii: "}"))
  }

  /// Appends a finite number so that reading it gives the same double.
  package static func append(_ number: Double, to out: inout ByteBuffer) {
    // Whole numbers are common (counts, percentages) and need no search for the shortest digits.
    if number.magnitude < 1e15, let whole = Int64(exactly: number), !(whole == 0 && number.sign == .minus) {
      append(whole, to: &out)
    } else if !append(decimal: number, to: &out) {
      out.append(text: number.description)
    }
  }

  /// Appends a number that is not whole with up to six decimals, if that gives the same double: what sensors measure needs
  /// no search for the shortest digits.
  private static func append(decimal number: Double, to out: inout ByteBuffer) -> Bool {
    guard number.magnitude < 1e9 else { return false }
    var power = 1.0
    for decimals in 1...6 {
      power *= 10
      let digits = Int64(number * power + (number < 0 ? -0.5 : 0.5))
      // Both are exact, so their quotient is the double nearest to the decimal (Clinger), as any parser reads it.
      if digits != 0, Double(digits) / power == number {
        append(digits, decimals: decimals, to: &out)
        return true
      }
    }
    return false
  }

  /// Appends a whole number, of whose digits the last are behind a point.
  package static func append(_ number: Int64, decimals: Int = 0, to out: inout ByteBuffer) {
    var digits: (UInt64, UInt64, UInt32) = (0, 0, 0)
    withUnsafeMutableBytes(of: &digits) { bytes in
      var index = bytes.count
      var rest = number.magnitude
      if decimals > 0 {
        for _ in 0..<decimals {
          index -= 1
          bytes[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
          rest /= 10
        }
        index -= 1
        bytes[index] = UInt8(ascii: ".")
      }
      repeat {
        index -= 1
        bytes[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      if number < 0 {
        index -= 1
        bytes[index] = UInt8(ascii: "-")
      }
      out.append(UnsafeRawBufferPointer(rebasing: bytes[index...]))
    }
  }

  /// Appends a JSON string (RFC 8259 section 7): quotes, backslash and control characters escaped, all else as it is.
  package static func append(string bytes: UnsafeRawBufferPointer, to out: inout ByteBuffer) {
    out.append(UInt8(ascii: "\""))
    if needsNoEscape(bytes) {
      out.append(bytes)
      return out.append(UInt8(ascii: "\""))
    }
    var plain = 0
    for (index, byte) in bytes.enumerated()
    where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
      out.append(UnsafeRawBufferPointer(rebasing: bytes[plain..<index]))
      plain = index + 1
      switch byte {
      case UInt8(ascii: "\""): out.append(#"\""#)
      case UInt8(ascii: "\\"): out.append(#"\\"#)
      case UInt8(ascii: "\n"): out.append(#"\n"#)
      case UInt8(ascii: "\r"): out.append(#"\r"#)
      case UInt8(ascii: "\t"): out.append(#"\t"#)
      default:
        out.append(#"\u00"#)
        for nibble in [byte >> 4, byte & 0xf] {
          out.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
      }
    }
    out.append(UnsafeRawBufferPointer(rebasing: bytes[plain...]))
    out.append(UInt8(ascii: "\""))
  }

  /// Whether there is nothing to escape, looked for in eight bytes at once.
  private static func needsNoEscape(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    // The highest bit of a byte is set in these if the byte is zero, or below a number up to 128; else none is, unless one
    // before it is (S. E. Anderson, Bit Twiddling Hacks: "determine if a word has a byte less than n").
    func zero(_ word: UInt64) -> UInt64 { (word &- ones) & ~word }
    func below(_ number: UInt64, _ word: UInt64) -> UInt64 { (word &- ones &* number) & ~word }
    func hasNone(_ word: UInt64) -> Bool {
      (below(0x20, word) | zero(word ^ ones &* 0x22) | zero(word ^ ones &* 0x5c)) & ones << 7 == 0
    }
    guard bytes.count >= 8 else { return bytes.allSatisfy { hasNone(UInt64($0) &* ones) } }
    let last = bytes.count - 8
    var start = 0
    while start < last {
      guard hasNone(bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)) else { return false }
      start += 8
    }
    return hasNone(bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self))
  }
}
