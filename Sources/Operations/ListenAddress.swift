/// Where a server listens: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:8080` for every address.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  /// An address or a name, without the brackets of an IPv6 address.
  package let host: String
  /// 0 is any free port.
  package let port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
  package init?(_ text: String) {
    guard let (host, port) = Self.split(text), let port, let number = UInt16(port), port.utf8.allSatisfy(isDigit)
    else { return nil }
    self.init(host: host, port: number)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The host, and what stands behind the colon after it; nil when there is no host or it cannot be one.
  static func split(_ text: String) -> (host: String, port: String?)? {
    let host: Substring
    let rest: Substring
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<end]
      rest = text[text.index(after: end)...]
      guard host.contains(":") else { return nil }
    } else {
      let colon = text.firstIndex(of: ":") ?? text.endIndex
      host = text[..<colon]
      rest = text[colon...]
    }
    let isHost = host.utf8.allSatisfy { QuotedText.isPlain($0) && !"/,#$*[]<>()".utf8.contains($0) }
    guard !host.isEmpty, isHost else { return nil }
    if rest.isEmpty { return (String(host), nil) }
    guard rest.hasPrefix(":") else { return nil }
    return (String(host), String(rest.dropFirst()))
  }
}

/// A port is written in ASCII digits only, while Swift also takes a sign.
private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
