import Readings
import Testing

@Suite struct FingerprintTests {
  /// Of the bytes 0, 1, 2 …, by OpenSSL 3: `openssl mac -macopt hexkey:00…00 -macopt size:16 SIPHASH`.
  @Test(arguments: [
    (0, "5049D74780A3E07D4202AB47D4CEF2F4"), (1, "D41E12E85E4CAFB831F094E57538B801"),
    (3, "0AFB380B15F081F216AC4002F7AF7152"), (8, "4B6534F901EB440EE95540294A75AF84"),
    (21, "B34719645D1B766F9633AB2506CAE002"),
  ])
  func isSipHash(_ count: Int, _ expected: String) {
    let fingerprint = Self.fingerprint((0..<count).map { UInt8($0) })
    let bytes = [fingerprint.low, fingerprint.high].flatMap { word in (0..<8).map { UInt8(word >> ($0 * 8) & 0xff) } }
    let hex = bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }
    #expect(hex.joined().uppercased() == expected)
  }

  @Test func isWrittenInTwentyTwoCharacters() {
    var out = ByteBuffer()
    Self.fingerprint([]).append(to: &out)
    // 7DE0A38047D74950 and F4F2CED447AB0242, six bits at a time from the lowest.
    #expect(String(decoding: out.bytes, as: UTF8.self) == "Ql01HB4og3HCJwqHRtzyTP")
  }

  private static func fingerprint(_ bytes: [UInt8]) -> Fingerprint {
    bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }
}
