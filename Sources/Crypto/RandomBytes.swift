import CSodium

/// Numbers that nobody can guess.
package enum RandomBytes {
  /// As many bytes of the system's generator.
  package static func make(_ count: Int) -> [UInt8] {
    Sodium.start()
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let start = buffer.baseAddress { unsafe randombytes_buf(start, count) }
      initialized = count
    }
  }
}
