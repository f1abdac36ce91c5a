/// Where a server listens: a host and a port.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  /// A name or a numeric address without brackets; empty means every interface, IPv6 and IPv4.
  package let host: String
  /// 0 lets the system choose.
  package let port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `127.0.0.1:8080`, `[::1]:80`, `localhost:0` or `:8080`.
  ///
  /// - Throws: `HTTPServerError` with the code `badAddress`, which quotes the text and says what is wrong with it.
  package init(parsing text: String) throws(HTTPServerError) {
    func bad(_ reason: String) -> HTTPServerError {
      HTTPServerError(.badAddress, "'\(text)' is no address to listen on: \(reason); an example is 127.0.0.1:8080")
    }
    guard let colon = text.lastIndex(of: ":") else { throw bad("the port is missing") }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits) else {
      throw bad("the port must be a number from 0 to 65535")
    }
    var host = text[..<colon]
    if host.hasPrefix("[") {
      guard host.hasSuffix("]"), host.count > 2 else { throw bad("the bracket is not closed") }
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw bad("an IPv6 address needs brackets, [::1]:80")
    }
    guard !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "[") })
    else { throw bad("the host has a character that no host has") }
    self.init(host: String(host), port: port)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
