/// 128 bits that stand for some bytes, the same ones in every process and version.
///
/// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein, 2012) and a key of zeros. Chance makes no two alike; who
/// wants two alike may find them, which gains nothing: an id counts only among those of its own device.
package struct Fingerprint: Equatable, Sendable {
  package let low: UInt64
  package let high: UInt64

  package init(of bytes: UnsafeRawBufferPointer) {
    var state = State()
    let whole = bytes.count & ~7
    for offset in stride(from: 0, to: whole, by: 8) {
      state.absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    }
    var last = UInt64(truncatingIfNeeded: bytes.count) << 56
    for offset in whole..<bytes.count { last |= UInt64(bytes[offset]) << UInt64((offset - whole) * 8) }
    state.absorb(last)
    (low, high) = state.finish()
  }

  /// Appends it as 22 characters of `A-Z a-z 0-9 _ -`.
  package func append(to out: inout ByteBuffer) {
    let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    out.append(count: 22) { characters in
      var (low, high) = (low, high)
      // Six bits each; the eleventh has the last four.
      for place in 0..<11 {
        characters[place] = alphabet.utf8Start[Int(low & 63)]
        characters[place + 11] = alphabet.utf8Start[Int(high & 63)]
        low >>= 6
        high >>= 6
      }
    }
  }

  private struct State {
    private var v0: UInt64 = 0x736f_6d65_7073_6575
    private var v1: UInt64 = 0x646f_7261_6e64_6f6d ^ 0xee
    private var v2: UInt64 = 0x6c79_6765_6e65_7261
    private var v3: UInt64 = 0x7465_6462_7974_6573

    mutating func absorb(_ word: UInt64) {
      v3 ^= word
      round(2)
      v0 ^= word
    }

    mutating func finish() -> (UInt64, UInt64) {
      v2 ^= 0xee
      round(4)
      let low = v0 ^ v1 ^ v2 ^ v3
      v1 ^= 0xdd
      round(4)
      return (low, v0 ^ v1 ^ v2 ^ v3)
    }

    @inline(__always)
    private mutating func round(_ count: Int) {
      for _ in 0..<count {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
      }
    }
  }
}
