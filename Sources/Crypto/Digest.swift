import CSodium

/// A SHA-256 digest (FIPS 180-4).
package struct Digest: Hashable, Sendable, CustomStringConvertible {
  /// Bytes of a digest.
  package static let count = 32

  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// Of these bytes.
  package init(of bytes: UnsafeRawBufferPointer) {
    Sodium.start()
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    unsafe withUnsafeMutableBytes(of: &words) { out in
      guard let out = unsafe out.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      _ = unsafe crypto_hash_sha256(
        out, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }
    self.words = words
  }

  /// Of a text's UTF-8.
  package init(of text: String) {
    var text = text
    self = text.withUTF8 { unsafe Digest(of: UnsafeRawBufferPointer($0)) }
  }

  /// Reads 64 hexadecimal digits, as `description` writes them; capitals too.
  package init?(_ text: some StringProtocol) {
    guard text.utf8.count == Self.count * 2 else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for character in text.utf8 {
      guard let nibble = Self.nibble(character) else { return nil }
      if let first = high {
        bytes.append(first << 4 | nibble)
        high = nil
      } else {
        high = nibble
      }
    }
    words = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self) }
  }

  /// The 32 bytes.
  package var bytes: [UInt8] { unsafe withUnsafeBytes(of: words) { unsafe Array($0) } }

  /// In hexadecimal digits.
  package var description: String {
    let digits = Array("0123456789abcdef".utf8)
    return unsafe withUnsafeBytes(of: words) { bytes in
      unsafe String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
  }

  package static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }

  package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }

  private static func nibble(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// The library, which is to be initialised before anything else is called.
enum Sodium {
  // Thread-safe and only once, as Swift makes all globals.
  private static let result = sodium_init()

  static func start() { precondition(result >= 0, "libsodium cannot be initialised: the system has no random numbers") }
}
