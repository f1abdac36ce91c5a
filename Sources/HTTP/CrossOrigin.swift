/// Which pages of other origins may use a server from a browser (CORS; the Fetch standard).
package struct CrossOrigin: Sendable, Equatable {
  /// `https://example.org`, as browsers write an origin; `*` stands for all of them.
  package var origins: [String] = []
  /// What such a page may send besides what it may send without asking.
  package var methods = ["GET", "POST", "DELETE"]
  package var requestHeaders: [String] = []
  /// What it may read of an answer, besides what it may read anyway.
  package var exposedHeaders: [String] = []
  /// Seconds for which a browser need not ask again.
  package var maximumAge = 600
  /// Whose requests are answered when `origins` do not name them.
  package var others = Others.answered

  /// What becomes of a request that a browser sends for a page of another origin. Browsers keep such a page from reading an
  /// answer, and not from sending.
  package enum Others: Sendable, Equatable {
    /// It is answered as any other: something else tells who may send, and asks `refusal` where that is not what the page
    /// itself has to know.
    case answered
    /// It is refused; only the server's own pages may send.
    case refused
    /// The same on a loopback address, where the server's own pages are those under a numeric address or `localhost`: any
    /// other name may be a foreign page's, which was let point here (DNS rebinding).
    case refusedLocally
  }

  package init() {}

  var isOn: Bool { !origins.isEmpty }

  /// Header fields for every answer to a request with this `Origin`.
  func headers(for origin: String?) -> [(String, String)] {
    if origins.contains("*") {
      return origin == nil ? [] : [("Access-Control-Allow-Origin", "*")] + exposed
    }
    // What stands in a cache depends on who asked.
    guard let origin, origins.contains(origin) else { return [("Vary", "Origin")] }
    return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")] + exposed
  }

  /// The answer to a browser that asks before it sends (preflight); nil: it is another kind of request.
  func preflight(_ head: borrowing RequestHead) -> Response? {
    guard head.method == .options, let origin = head.header("Origin"),
      head.header("Access-Control-Request-Method") != nil
    else { return nil }
    guard origins.contains("*") || origins.contains(origin) else { return Response(status: 204) }
    return Response(
      status: 204,
      headers: [
        ("Access-Control-Allow-Methods", methods.joined(separator: ", ")),
        ("Access-Control-Allow-Headers", requestHeaders.joined(separator: ", ")),
        ("Access-Control-Max-Age", "\(maximumAge)"),
      ])
  }

  /// The answer to a page that may not send; nil for all other requests.
  package func refusal(_ head: borrowing RequestHead) -> Response? {
    guard others != .answered, let origin = head.header("Origin"), !origins.contains("*"), !origins.contains(origin)
    else { return nil }
    if let host = head.header("Host"), origin == "http://\(host)" || origin == "https://\(host)",
      others == .refused || Self.isAddress(host)
    {
      return nil
    }
    return Self.foreignOrigin
  }

  private static let foreignOrigin = Response.error(
    403, code: "foreign_origin", message: "pages of this origin may not send here"
  ).prepared()

  /// Whether a `Host` is a numeric address, or this machine's own name for itself (RFC 6761, 6.3).
  private static func isAddress(_ host: String) -> Bool {
    if host.hasPrefix("[") { return ClientAddress(String(host.dropFirst().prefix { $0 != "]" })) != nil }
    let name = host.prefix { $0 != ":" }
    return name == "localhost" || name.hasSuffix(".localhost") || ClientAddress(String(name)) != nil
  }

  private var exposed: [(String, String)] {
    exposedHeaders.isEmpty ? [] : [("Access-Control-Expose-Headers", exposedHeaders.joined(separator: ", "))]
  }
}
