import CSodium

/// Base64 (RFC 4648).
package enum Base64 {
  /// The alphabet for URLs, without padding (section 5).
  package static func url(_ bytes: [UInt8]) -> String { encode(bytes, Int32(sodium_base64_VARIANT_URLSAFE_NO_PADDING)) }

  /// The usual alphabet, with padding (section 4).
  package static func encode(_ bytes: [UInt8]) -> String { encode(bytes, Int32(sodium_base64_VARIANT_ORIGINAL)) }

  private static func encode(_ bytes: [UInt8], _ variant: Int32) -> String {
    Sodium.start()
    let size = sodium_base64_encoded_len(bytes.count, variant)
    var text = [CChar](repeating: 0, count: size)
    _ = unsafe sodium_bin2base64(&text, size, bytes, bytes.count, variant)
    // Without the zero at its end.
    return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Reads the usual alphabet, with padding or without (section 4); nil for anything else.
  package static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    Sodium.start()
    var end = text.count
    while end > 0, unsafe text[end - 1] == UInt8(ascii: "=") { end -= 1 }
    guard text.count - end <= 2, end > 0 || text.count == 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: end * 3 / 4 + 1)
    var count = 0
    let failed = unsafe sodium_base642bin(
      &bytes, bytes.count, text.baseAddress?.assumingMemoryBound(to: CChar.self), end, nil, &count, nil,
      Int32(sodium_base64_VARIANT_ORIGINAL_NO_PADDING))
    return failed == 0 ? Array(bytes[..<count]) : nil
  }
}
