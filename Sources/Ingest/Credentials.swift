import Crypto
import HTTP
import Keys

/// Where clients put a key besides the header fields, which are looked at always.
package struct CredentialPlaces: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// `?p=`, with any `?u=`, as clients of InfluxDB 1 do.
  package static let influxQuery = CredentialPlaces(rawValue: 1)
  /// `?key=`, for browsers, which cannot add a header field to a WebSocket's handshake.
  package static let keyQuery = CredentialPlaces(rawValue: 2)
  /// `Sec-WebSocket-Protocol: sluice, slk_…`, for the same reason.
  package static let subprotocol = CredentialPlaces(rawValue: 4)

  /// Those of a WebSocket.
  package static let webSocket: CredentialPlaces = [.keyQuery, .subprotocol]
}

/// What a client may be let in with.
enum Credential: Equatable, Sendable {
  /// What whoever makes the request has to know.
  case secret(Digest)
  /// A secret as the password of Basic authentication.
  case password(Digest)
  /// A client certificate (DER).
  case certificate(Digest)

  /// Whether a browser adds it by itself, whichever page makes the request.
  var isAmbient: Bool {
    switch self {
    case .secret: false
    case .password, .certificate: true
    }
  }
}

/// What a request presents as its key.
enum Credentials {
  enum Presented: Equatable {
    case nothing
    /// Something that no key looks like.
    case other
    case one(Credential)
  }

  /// The first that is there, in this order: `Authorization`, `X-API-Key`, the places that are named, and then the client's
  /// certificate. So there is one digest for a request, however many secrets it brings.
  static func presented(_ head: borrowing RequestHead, in places: CredentialPlaces) -> Presented {
    var presented = Presented.nothing
    head.lendHeader("Authorization") { presented = authorization($0) }
    if presented != .nothing { return presented }
    head.lendHeader("X-API-Key") { presented = secret($0) }
    if presented != .nothing { return presented }
    if places.contains(.subprotocol) {
      head.lendHeader("Sec-WebSocket-Protocol") { presented = subprotocol($0) }
      if presented != .nothing { return presented }
    }
    for (place, name) in [(CredentialPlaces.influxQuery, "p"), (.keyQuery, "key")] where places.contains(place) {
      if var value = head.query(name) { return value.withUTF8 { secret(UnsafeRawBufferPointer($0)) } }
    }
    guard let certificate = head.clientCertificate else { return .nothing }
    return .one(.certificate(certificate.withUnsafeBytes { Digest(of: $0) }))
  }

  private static func secret(
    _ text: UnsafeRawBufferPointer, as credential: (Digest) -> Credential = Credential.secret
  ) -> Presented {
    Secret.digest(text).map { .one(credential($0)) } ?? .other
  }

  /// `Bearer KEY`; `Basic` with the key as password and any user name; `Token KEY` or `Token USER:KEY` (InfluxDB); or just
  /// the key (openSenseMap).
  private static func authorization(_ field: UnsafeRawBufferPointer) -> Presented {
    let scheme = field.prefix { $0 != UInt8(ascii: " ") }
    if scheme.count == field.count { return secret(field) }
    var start = scheme.count
    while start < field.count, field[start] == UInt8(ascii: " ") { start += 1 }
    let rest = UnsafeRawBufferPointer(rebasing: field[start...])
    if equals(scheme, "bearer") { return secret(rest) }
    if equals(scheme, "token") { return secret(behindColon(rest)) }
    // Longer ones hold no key that anybody would have.
    if equals(scheme, "basic"), rest.count <= 1_024, let decoded = Base64.decode(rest) {
      return decoded.withUnsafeBytes { secret(behindColon($0), as: Credential.password) }
    }
    return .other
  }

  /// What stands behind the last colon, which no key has; all of it without one.
  private static func behindColon(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard let colon = text.lastIndex(of: UInt8(ascii: ":")) else { return text }
    return UnsafeRawBufferPointer(rebasing: text[(colon + 1)...])
  }

  /// The first of the protocols that begins as a key does; none of them need be one.
  private static func subprotocol(_ field: UnsafeRawBufferPointer) -> Presented {
    for part in field.split(separator: UInt8(ascii: ",")) {
      let name = part.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
      guard name.starts(with: UnsafeRawBufferPointer(start: Secret.prefix.utf8Start, count: 4)) else { continue }
      let end = name.firstIndex { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") } ?? name.endIndex
      return secret(UnsafeRawBufferPointer(rebasing: name[..<end]))
    }
    return .nothing
  }

  private static func equals(_ bytes: Slice<UnsafeRawBufferPointer>, _ lowercase: StaticString) -> Bool {
    lowercase.withUTF8Buffer { bytes.elementsEqual($0) { ($0 &- 0x41 < 26 ? $0 | 0x20 : $0) == $1 } }
  }
}
