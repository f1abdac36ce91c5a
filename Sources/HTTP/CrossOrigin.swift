/// Which pages of other origins may use a server from a browser (CORS; the Fetch standard).
package struct CrossOrigin: Sendable, Equatable {
  /// `https://example.org`, as browsers write an origin; `*` stands for all of them.
  package var origins: [String] = []
  /// What such a page may send besides what it may send without asking.
  package var methods = ["GET", "POST"]
  package var requestHeaders: [String] = []
  /// What it may read of an answer, besides what it may read anyway.
  package var exposedHeaders: [String] = []
  /// Seconds for which a browser need not ask again.
  package var maximumAge = 600

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

  private var exposed: [(String, String)] {
    exposedHeaders.isEmpty ? [] : [("Access-Control-Expose-Headers", exposedHeaders.joined(separator: ", "))]
  }
}
