/// Percent-encoding in paths and queries (RFC 3986, 2.1).
enum PercentEncoding {
  /// Decodes escapes; one that is broken stays as it is, and bytes that are no UTF-8 become U+FFFD.
  static func decode(_ bytes: some Collection<UInt8>) -> String {
    guard bytes.contains(UInt8(ascii: "%")) else { return String(decoding: bytes, as: UTF8.self) }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = bytes.startIndex
    while index != bytes.endIndex {
      let byte = bytes[index]
      if byte == UInt8(ascii: "%"), let value = escape(bytes[index...].dropFirst().prefix(2)) {
        result.append(value)
        index = bytes.index(index, offsetBy: 3)
      } else {
        result.append(byte)
        index = bytes.index(after: index)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func escape(_ digits: some Collection<UInt8>) -> UInt8? {
    guard digits.count == 2 else { return nil }
    var value: UInt8 = 0
    for digit in digits {
      switch digit {
      case 48...57: value = value << 4 | (digit - 48)
      case 65...70: value = value << 4 | (digit - 55)
      case 97...102: value = value << 4 | (digit - 87)
      default: return nil
      }
    }
    return value
  }
}
