/// Where a broker is and how to get in: `mqtt://user:password@host:1883`, `mqtts://host:8883?cafile=/etc/ca.pem`.
///
/// User, password and the values of the query are percent-decoded. The query may name `cafile`, `certfile` and
/// `keyfile` (paths of PEM files), for `mqtts` only. Ports are 1883 and 8883 unless given.
package struct MQTTAddress: Sendable, Equatable, CustomStringConvertible {
  package var host: String
  package var port: UInt16
  package var usesTLS: Bool
  package var username: String?
  package var password: String?
  package var caFile: String?
  package var certificateFile: String?
  package var keyFile: String?

  package init(host: String, port: UInt16? = nil, usesTLS: Bool = false) {
    self.host = host
    self.port = port ?? (usesTLS ? 8883 : 1883)
    self.usesTLS = usesTLS
  }

  /// Reads a URL.
  /// - Throws: `.usage`, with what is wrong and without the password.
  package init(parsing url: String) throws(MQTTError) {
    let utf8 = url.utf8[...]
    guard let schemeEnd = utf8.firstIndex(of: UInt8(ascii: ":")), utf8[schemeEnd...].starts(with: "://".utf8) else {
      throw .usage("an MQTT address begins with mqtt:// or mqtts://")
    }
    let usesTLS: Bool
    switch String(utf8[..<schemeEnd])?.lowercased() {
    case "mqtt": usesTLS = false
    case "mqtts": usesTLS = true
    default: throw .usage("an MQTT address begins with mqtt:// or mqtts://")
    }
    var rest = utf8[utf8.index(schemeEnd, offsetBy: 3)...]
    guard !rest.contains(UInt8(ascii: "#")) else {
      throw .usage("an MQTT address has no fragment (write %23 for # in a password)")
    }

    var query: Substring.UTF8View?
    if let mark = rest.firstIndex(of: UInt8(ascii: "?")) {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    if let slash = rest.firstIndex(of: UInt8(ascii: "/")) {
      guard rest.index(after: slash) == rest.endIndex else {
        throw .usage("an MQTT address has no path (write %2F for / in a password)")
      }
      rest = rest[..<slash]
    }
    // The last @: one in a password is often forgotten to be encoded, and a host has none.
    let at = rest.lastIndex(of: UInt8(ascii: "@"))
    let authority = at.map { rest[rest.index(after: $0)...] } ?? rest
    let (host, port) = try Self.hostAndPort(authority)
    self.init(host: host, port: port, usesTLS: usesTLS)
    if let at {
      let user = rest[..<at]
      let colon = user.firstIndex(of: UInt8(ascii: ":"))
      username = try Self.decoded(user[..<(colon ?? user.endIndex)], "user name")
      if let colon { password = try Self.decoded(user[user.index(after: colon)...], "password") }
    }
    if let query { try read(query: query) }
  }

  private static func hostAndPort(_ authority: Substring.UTF8View) throws(MQTTError) -> (String, UInt16?) {
    var host = authority
    var port: Substring.UTF8View?
    if authority.first == UInt8(ascii: "[") {
      guard let end = authority.firstIndex(of: UInt8(ascii: "]")) else {
        throw .usage("the address in brackets does not end")
      }
      host = authority[authority.index(after: authority.startIndex)..<end]
      let after = authority[authority.index(after: end)...]
      if after.first == UInt8(ascii: ":") {
        port = after.dropFirst()
      } else if !after.isEmpty {
        throw .usage("after the address in brackets comes a port or nothing")
      }
    } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
      host = authority[..<colon]
      port = authority[authority.index(after: colon)...]
    }
    let name = try decoded(host, "host")
    guard !name.isEmpty else { throw .usage("the MQTT address names no host") }
    guard let port else { return (name, nil) }
    guard let text = String(port), let number = UInt16(text), number > 0 else {
      throw .usage("the port is a number from 1 to 65535")
    }
    return (name, number)
  }

  private mutating func read(query: Substring.UTF8View) throws(MQTTError) {
    for pair in query.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[1].isEmpty else { throw .usage("the query is name=value, joined by &") }
      let value = try Self.decoded(parts[1], "query")
      switch try Self.decoded(parts[0], "query") {
      case "cafile": caFile = value
      case "certfile": certificateFile = value
      case "keyfile": keyFile = value
      case let name: throw .usage("unknown option \(name) in the MQTT address; known are cafile, certfile and keyfile")
      }
    }
    guard usesTLS else { throw .usage("certificates need mqtts://") }
    guard (certificateFile == nil) == (keyFile == nil) else { throw .usage("a certificate and its key come together") }
  }

  private static func decoded(_ bytes: Substring.UTF8View, _ what: String) throws(MQTTError) -> String {
    var result: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      var byte = bytes[index]
      bytes.formIndex(after: &index)
      if byte == UInt8(ascii: "%") {
        let digits = bytes[index...].prefix(2)
        guard digits.count == 2, let text = String(digits), let value = UInt8(text, radix: 16),
          digits.first != UInt8(ascii: "+")
        else { throw .usage("% in the \(what) is followed by two hexadecimal digits (write %25 for %)") }
        byte = value
        index = digits.endIndex
      }
      result.append(byte)
    }
    guard !result.contains(0), let text = String(validating: result, as: UTF8.self) else {
      throw .usage("the \(what) is not text")
    }
    return text
  }

  /// The address without user and password.
  package var description: String {
    let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    return "\(usesTLS ? "mqtts" : "mqtt")://\(name):\(port)"
  }
}
