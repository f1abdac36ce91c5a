/// An answer: a status, header fields, and a body.
///
/// `Date`, `Content-Length` and `Connection` are added when it is sent. A field that HTTP does not allow (a line break in
/// its value, a name that is no token, `Content-Length`) is left out.
package struct Response: Sendable {
  /// The bytes behind the header.
  package enum Body: Sendable {
    case bytes([UInt8])
    case constant(StaticString)
    case none
  }

  /// An answer is copied some times on its way: with all in one object that counts one reference, not one for each text.
  private final class Content: Sendable {
    let status: Int
    let headers: [(String, String)]
    let body: Body
    let problem: Problem?
    let made: PreparedResponse?

    init(status: Int, headers: [(String, String)], body: Body, problem: Problem?, made: PreparedResponse?) {
      self.status = status
      self.headers = headers
      self.body = body
      self.problem = problem
      self.made = made
    }
  }

  private let content: Content

  /// 200 to 599.
  package var status: Int { content.status }
  package var headers: [(String, String)] { content.headers }
  package var body: Body { content.body }
  /// What `error` was given, for whoever has to say the same in another form.
  package var problem: Problem? { content.problem }
  /// What the library needs to send it, if that was made beforehand.
  var made: PreparedResponse? { content.made }

  /// Why a request is refused.
  package struct Problem: Sendable {
    /// A short name for machines.
    package let code: String
    /// A sentence for people.
    package let message: String
  }

  package init(status: Int, headers: [(String, String)] = [], body: Body = .none) {
    self.init(status: status, headers: headers, body: body, problem: nil, made: nil)
  }

  private init(status: Int, headers: [(String, String)], body: Body, problem: Problem?, made: PreparedResponse?) {
    content = Content(
      status: (200...599).contains(status) ? status : 500, headers: headers, body: body, problem: problem, made: made)
  }

  /// With `Content-Type: application/json`, which no browser is to take for anything else.
  package static func json(_ status: Int, _ body: [UInt8], headers: [(String, String)] = []) -> Response {
    Response(
      status: status,
      headers: [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")] + headers,
      body: .bytes(body))
  }

  /// `{"error":{"code":"…","message":"…"}}`, the form that every refusal has.
  package static func error(
    _ status: Int, code: String, message: String, headers: [(String, String)] = []
  ) -> Response {
    let text = "{\"error\":{\"code\":\"\(escaped(code))\",\"message\":\"\(escaped(message))\"}}"
    return Response(
      status: status, headers: [("Content-Type", "application/json")] + headers, body: .bytes(Array(text.utf8)),
      problem: Problem(code: code, message: message), made: nil)
  }

  /// The same answer, made once so that sending it again and again costs no allocation.
  package func prepared() -> Response {
    Response(status: status, headers: headers, body: body, problem: problem, made: made ?? PreparedResponse(self))
  }

  /// The same answer with one more header field; not prepared.
  package func adding(_ name: String, _ value: String) -> Response {
    Response(status: status, headers: headers + [(name, value)], body: body, problem: problem, made: nil)
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
