import Crypto
import Testing

@Suite struct CryptoTests {
  /// The examples of FIPS 180-4.
  @Test(arguments: [
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
  ])
  func digests(text: String, digits: String) throws {
    let digest = Digest(of: text)
    #expect(digest.description == digits)
    #expect(Digest(digits) == digest)
    #expect(digest.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() == digits)
    #expect(Digest(digits.uppercased()) == digest)
    #expect(Digest(digits.dropLast() + "g") == nil && Digest(digits.dropLast()) == nil && Digest(digits + "0") == nil)
    #expect(Digest(of: text + " ") != digest)
  }

  @Test func randomBytesDiffer() {
    let numbers = (0..<100).map { _ in RandomBytes.make(32) }
    #expect(numbers.allSatisfy { $0.count == 32 } && Set(numbers).count == 100)
    #expect(RandomBytes.make(0) == [])
  }

  @Test(arguments: [([], ""), ([0xfb, 0xff], "-_8"), ([0], "AA"), ([1, 2, 3], "AQID")] as [([UInt8], String)])
  func base64ForURLs(bytes: [UInt8], text: String) {
    #expect(Base64.url(bytes) == text)
    let usual =
      text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 } + [Character](repeating: "=", count: -text.count & 3)
    #expect(Base64.encode(bytes) == String(usual))
  }

  @Test(
    arguments: [
      ("", []), ("+/8=", [0xfb, 0xff]), ("+/8", [0xfb, 0xff]), ("AQID", [1, 2, 3]),
      ("dXNlcjpwYXNz", Array("user:pass".utf8)),
      ("-_8", nil), ("A", nil), ("AQID====", nil), ("AQ ID", nil), ("=", nil),
    ] as [(String, [UInt8]?)])
  func decodesBase64(text: String, bytes: [UInt8]?) {
    let decoded = Array(text.utf8).withUnsafeBytes { Base64.decode($0) }
    #expect(decoded == bytes, "\(text)")
  }
}
