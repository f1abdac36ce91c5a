import HTTP

/// The routes of the API, each with its description: there is no way to add one without the other.
struct APITable: Sendable {
  private(set) var router = Router()
  private(set) var routes: [Entry] = []

  struct Entry: Sendable {
    let method: Method
    /// As `Router` takes it.
    let pattern: String
    let operation: Operation

    /// As OpenAPI writes it, which knows no parameter for several segments.
    var path: String { pattern.replacing("...}", with: "}") }
  }

  /// Adds a route.
  mutating func on(_ method: Method, _ pattern: String, _ operation: Operation, _ action: @escaping Router.Action) {
    router.on(method, pattern, action)
    routes.append(Entry(method: method, pattern: pattern, operation: operation))
  }

  /// Adds `/openapi.json` and `/`, which tell of all routes so far and of themselves.
  mutating func describe(limits: IngestLimits, asksForKeys: Bool) {
    // Known only when all routes are.
    for (pattern, operation) in [("/openapi.json", Operation.document), ("/", .startPage)] {
      routes.append(Entry(method: .get, pattern: pattern, operation: operation))
    }
    let document = Response(
      status: 200, headers: [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")],
      body: .bytes(Array(OpenAPIDocument(routes, limits: limits, asksForKeys: asksForKeys).text.utf8))
    ).prepared()
    let page = StartPage(routes, asksForKeys: asksForKeys).response.prepared()
    router.on(.get, "/openapi.json") { _, _ in .respond(document) }
    router.on(.get, "/") { _, _ in .respond(page) }
  }
}

extension Operation {
  fileprivate static let document = Operation(
    name: "getDescription", group: "This server", summary: "This description, for tools",
    answers: [Answer(status: 200, notes: "OpenAPI 3.1", schemas: ["Anything"])]
  ).answering(anyPath)

  fileprivate static let startPage = Operation(
    name: "getStartPage", group: "This server", summary: "The page for people: every way in, and a form to try one",
    answers: [
      Answer(status: 200, notes: "A page without anything from elsewhere", type: "text/html", schemas: ["Text"])
    ]
  ).answering(anyPath)

  /// What is answered at every path.
  static let anyPath = [
    Answer(status: 400, notes: "The request is malformed", schemas: ["Error"]),
    Answer(status: 403, notes: "The page that sends is of a foreign origin", schemas: ["Error"]),
    Answer(status: 405, notes: "Another method", schemas: ["Error"], headers: ["Allow"]),
    Answer(status: 431, notes: "The header is too long", schemas: ["Error"]),
    Answer(status: 501, notes: "Another transfer encoding than chunked", schemas: ["Error"]),
    Answer(status: 503, notes: "The server is stopping", schemas: ["Error"], headers: ["Retry-After"]),
  ]
}
