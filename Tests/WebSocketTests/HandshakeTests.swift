import Testing

@testable import WebSocket

@Suite struct HandshakeTests {
  private static let key = "dGhlIHNhbXBsZSBub25jZQ=="

  private func accept(
    upgrades: Bool = true, connection: Bool = true, version: String? = "13", key: String? = key
  ) throws(Handshake.Refusal) -> String {
    try Handshake.accept(upgradesToWebSocket: upgrades, connectionUpgrades: connection, version: version, key: key)
  }

  /// The example of RFC 6455, 1.3.
  @Test func acceptsTheExample() throws { #expect(try accept() == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") }

  @Test func refuses() {
    #expect(throws: Handshake.Refusal.noUpgrade) { try accept(upgrades: false) }
    #expect(throws: Handshake.Refusal.noUpgrade) { try accept(connection: false) }
    for version in [nil, "", "8", "14", "13, 8"] {
      #expect(throws: Handshake.Refusal.version) { try accept(version: version) }
    }
    let notKeys = [
      nil, "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZ===",
      "dGhlIHNhbXBsZSBub25jZQ==A", "dGhl*HNhbXBsZSBub25jZQ==",
    ]
    for key in notKeys { #expect(throws: Handshake.Refusal.key, "\(key ?? "nil")") { try accept(key: key) } }
  }

  /// The vectors of RFC 3174, 7.3, and the lengths around a block's end.
  @Test func digests() {
    func hex(_ text: String) -> String {
      SHA1.digest(Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
    #expect(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
    #expect(
      hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
    #expect(
      hex(String(repeating: "0123456701234567012345670123456701234567012345670123456701234567", count: 10))
        == "dea356a2cddd90c7a7ecedc5ebb563934f460452")
    #expect(hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
    #expect(hex(String(repeating: "a", count: 55)) == "c1c8bbdc22796e28c0e15163d20899b65621d65a")
    #expect(hex(String(repeating: "a", count: 64)) == "0098ba824b5c16427bd7a1122a5a442a25ec644d")
  }
}
