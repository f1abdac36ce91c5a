package import Crypto

/// What a client presents: `slk_` and 256 random bits in base64 for URLs. It is shown once and never kept; what is kept is
/// its digest, from which it cannot be found again, for there is nothing to guess in random bits.
package enum Secret {
  package static let prefix: StaticString = "slk_"
  /// Characters of every secret.
  package static let count = 47

  /// A new one.
  package static func make() -> String { "\(prefix)\(Base64.url(RandomBytes.make(32)))" }

  /// The digest of what a client presented; nil when it does not look like a secret, and so need not be digested.
  package static func digest(_ text: UnsafeRawBufferPointer) -> Digest? {
    guard text.count == count, text.starts(with: UnsafeRawBufferPointer(start: prefix.utf8Start, count: 4)) else {
      return nil
    }
    return Digest(of: text)
  }
}
