import HTTP
import Testing

@Suite struct RouterTests {
  /// A router whose routes answer with their name and parameters.
  private var router: Router {
    var router = Router()
    for (method, pattern) in [
      (Method.get, "/"), (.get, "/v1/jobs"), (.post, "/v1/jobs"), (.get, "/v1/jobs/{id}"), (.delete, "/v1/jobs/{id}"),
      (.get, "/v1/jobs/all"), (.put, "/v1/{kind}/{id}/parts/{part}"), (.get, "/files/{path...}"),
    ] {
      router.on(method, pattern) { head, parameters in
        let values = ["id", "kind", "part", "path"].compactMap { name in parameters[name].map { "\(name)=\($0)" } }
        return .respond(Response(status: 200, headers: [("Route", ([pattern] + values).joined(separator: " "))]))
      }
    }
    return router
  }

  private func dispatch(_ method: Method, _ path: String) -> Response {
    guard case .respond(let response) = router.dispatch(RequestHead(method: method, path: path)) else {
      Issue.record("no response")
      return Response(status: 500)
    }
    return response
  }

  @Test(arguments: [
    (Method.get, "/", "/"), (.get, "/v1/jobs", "/v1/jobs"), (.head, "/v1/jobs", "/v1/jobs"),
    (.get, "/v1/jobs/7", "/v1/jobs/{id} id=7"), (.get, "/v1/jobs/a%2Fb%20", "/v1/jobs/{id} id=a/b "),
    (.get, "/v1/jobs/all", "/v1/jobs/all"), (.delete, "/v1/jobs/x", "/v1/jobs/{id} id=x"),
    (.put, "/v1/a/b/parts/c", "/v1/{kind}/{id}/parts/{part} id=b kind=a part=c"),
    (.get, "/files/", "/files/{path...} path="), (.get, "/files/a/b.txt", "/files/{path...} path=a/b.txt"),
  ])
  func `Found`(method: Method, path: String, route: String) {
    let response = dispatch(method, path)
    #expect(response.status == 200)
    #expect(response.headers.first?.1 == route)
  }

  @Test(arguments: ["", "*", "/v1", "/v1/", "/v1/jobs/", "/v1/jobs/7/", "/V1/jobs", "//v1/jobs", "/v1/a//parts/c"])
  func `Not found`(path: String) {
    #expect(dispatch(.get, path).status == 404)
    #expect(router.pattern(for: path) == nil)
  }

  @Test func `Not allowed, or asked what is`() {
    for (path, allow) in [
      ("/v1/jobs", "GET, POST, HEAD, OPTIONS"), ("/v1/jobs/7", "GET, DELETE, HEAD, OPTIONS"),
      ("/v1/a/b/parts/c", "PUT, OPTIONS"),
    ] {
      let refused = dispatch(.other("BREW"), path)
      #expect(refused.status == 405 && refused.headers.contains { $0 == ("Allow", allow) })
      let options = dispatch(.options, path)
      #expect(options.status == 204 && options.headers.contains { $0 == ("Allow", allow) })
    }
  }

  @Test func `Patterns are labels`() {
    #expect(router.pattern(for: "/v1/jobs/123") == "/v1/jobs/{id}")
    #expect(router.pattern(for: "/files/x/y") == "/files/{path...}")
  }

  @Test func `Errors are JSON whatever the message holds`() {
    let response = Response.error(400, code: "bad", message: "a \"quoted\"\n\\ \u{1} é")
    guard case .bytes(let bytes) = response.body else {
      Issue.record("no bytes")
      return
    }
    #expect(
      String(decoding: bytes, as: UTF8.self)
        == #"{"error":{"code":"bad","message":"a \"quoted\"\n\\ \u0001 é"}}"#)
  }
}
