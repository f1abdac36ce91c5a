/// `key=value;…`: entries end at semicolons and at line ends; a backslash makes a semicolon or a backslash part of a
/// value.
enum KeyValueList {
  /// The entries in order; nil when one has no key or no `=`.
  static func parse(_ text: String) -> [SettingValue.KeyValue]? {
    var entries: [SettingValue.KeyValue] = []
    var entry: [UInt8] = []
    var isEscaped = false
    for byte in text.utf8 + [UInt8(ascii: ";")] {
      if isEscaped {
        // Other backslashes are ordinary: Windows paths and DOMAIN\user need no second one.
        if byte != UInt8(ascii: ";") && byte != UInt8(ascii: "\\") { entry.append(UInt8(ascii: "\\")) }
        entry.append(byte)
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: ";") || byte == UInt8(ascii: "\n") {
        let trimmed = trim(entry[...])
        entry = []
        if trimmed.isEmpty { continue }
        guard let equals = trimmed.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let key = trim(trimmed[..<equals])
        guard !key.isEmpty else { return nil }
        let value = trim(trimmed[(equals + 1)...])
        entries.append(.init(key: String(decoding: key, as: UTF8.self), value: String(decoding: value, as: UTF8.self)))
      } else {
        entry.append(byte)
      }
    }
    // A backslash at the end took the semicolon that this function added.
    guard entry.isEmpty else { return parse(text + "\\") }
    return entries
  }

  private static func trim(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
    let start = bytes.drop(while: isBlank)
    return start.prefix(start.count - start.reversed().prefix(while: isBlank).count)
  }
}
