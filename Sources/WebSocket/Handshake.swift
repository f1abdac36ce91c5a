/// The server's part of the opening handshake (RFC 6455, 4.2).
package enum Handshake {
  /// The one version of the protocol.
  package static let version = "13"

  /// Why a request is no handshake.
  package enum Refusal: Error, Equatable {
    /// It does not ask for a WebSocket: 426.
    case noUpgrade
    /// It asks for another version: 426.
    case version
    /// It has no key of 16 bytes: 400.
    case key
  }

  /// What `Sec-WebSocket-Accept` has to be for a request.
  ///
  /// - Parameters:
  ///   - upgradesToWebSocket: whether `Upgrade` lists `websocket`.
  ///   - connectionUpgrades: whether `Connection` lists `upgrade`.
  ///   - version: `Sec-WebSocket-Version`.
  ///   - key: `Sec-WebSocket-Key`.
  package static func accept(
    upgradesToWebSocket: Bool, connectionUpgrades: Bool, version: String?, key: String?
  ) throws(Refusal) -> String {
    guard upgradesToWebSocket, connectionUpgrades else { throw .noUpgrade }
    guard version == Handshake.version else { throw .version }
    guard let key, isKey(key) else { throw .key }
    return Base64.text(of: SHA1.digest(Array("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
  }

  /// 16 bytes in base64: 22 characters, of which the last has four zero bits, and two for the padding.
  private static func isKey(_ key: String) -> Bool {
    let characters = Array(key.utf8)
    guard characters.count == 24, characters[22...].elementsEqual("==".utf8) else { return false }
    guard let last = Base64.alphabet.firstIndex(of: characters[21]), last % 16 == 0 else { return false }
    return characters[..<21].allSatisfy(Base64.alphabet.contains)
  }
}

/// Base64 (RFC 4648, 4).
private enum Base64 {
  static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(of bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 { text.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : 0x3d) }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
