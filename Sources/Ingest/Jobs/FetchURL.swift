/// The address of a text to fetch, parted by stricter rules than RFC 3986's, so that nobody who reads it after this one can
/// take it for another: no user, no fragment, no backslash, no path that leads upwards, in whichever way it is written.
package struct FetchURL: Equatable, Sendable {
  package let isTLS: Bool
  /// In lower case; an IPv6 address in brackets.
  package let host: String
  package let port: UInt16
  /// Begins with a slash.
  package let path: String
  let query: String?

  private static let limit = 2_048

  /// - Returns: nil for what is none.
  package init?(_ text: String) {
    guard text.utf8.count <= Self.limit, text.utf8.allSatisfy(Self.isAllowed),
      let end = text.firstRange(of: "://")
    else { return nil }
    switch text[..<end.lowerBound].lowercased() {
    case "https": isTLS = true
    case "http": isTLS = false
    default: return nil
    }
    let rest = text[end.upperBound...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    guard let (host, port) = Self.part(authority) else { return nil }
    self.host = host
    self.port = port ?? (isTLS ? 443 : 80)
    let target = rest[authority.endIndex...]
    let path = target.prefix { $0 != "?" }
    guard Self.staysBelow(path) else { return nil }
    self.path = path.isEmpty ? "/" : String(path)
    query = path.endIndex == target.endIndex ? nil : String(target[target.index(after: path.endIndex)...])
  }

  /// What is asked for.
  var text: String { withoutQuery + (query.map { "?\($0)" } ?? "") }

  /// What may be shown.
  var withoutQuery: String {
    let isUsual = port == (isTLS ? 443 : 80)
    return (isTLS ? "https://" : "http://") + host + (isUsual ? "" : ":\(port)") + path
  }

  /// Unreserved characters, delimiters and escapes (RFC 3986, 2), but not `@` and `#`.
  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "-._~%:/?[]!$&'()*+,;=".utf8.contains(byte)
    }
  }

  private static func part(_ authority: Substring) -> (host: String, port: UInt16?)? {
    var host = authority
    var port: UInt16?
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      host = authority[...end]
      let address = host.dropFirst().dropLast()
      guard address.contains(":"), address.utf8.allSatisfy({ "0123456789abcdefABCDEF:.".utf8.contains($0) }) else {
        return nil
      }
    } else {
      host = authority.prefix { $0 != ":" }
      guard (1...253).contains(host.utf8.count),
        host.utf8.allSatisfy({ ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || "-._".utf8.contains($0) })
      else { return nil }
    }
    let rest = authority[host.endIndex...]
    if !rest.isEmpty {
      let digits = rest.dropFirst()
      guard rest.first == ":", digits.utf8.allSatisfy({ $0 &- 0x30 < 10 }), let number = UInt16(digits), number > 0
      else {
        return nil
      }
      port = number
    }
    return (host.lowercased(), port)
  }

  /// No segment is `.` or `..`, not even escaped, with parameters behind it, or with an escaped separator around it.
  private static func staysBelow(_ path: Substring) -> Bool {
    let plain = path.lowercased()
    guard !["%2f", "%5c", "%00"].contains(where: plain.contains) else { return false }
    return plain.split(separator: "/").allSatisfy { segment in
      let name = segment.replacing("%2e", with: ".").prefix { $0 != ";" }
      return name != "." && name != ".."
    }
  }
}
