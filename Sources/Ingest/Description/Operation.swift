/// What one method of one path takes and answers: for `/openapi.json`, and for the start page.
///
/// Schemas are JSON texts; `Operation.ref("Name")` refers to one of `Schemas`.
struct Operation: Sendable {
  /// Where a parameter stands.
  enum Place: String, Sendable { case path, query, header }

  struct Parameter: Sendable {
    let name: String
    let place: Place
    let notes: String
    var schema = #"{"type":"string"}"#
    /// Taken for the examples; a parameter without one is left out there.
    var example: String?
  }

  /// One of the types that a body may have.
  struct Body: Sendable {
    let type: String
    let schema: String
    /// As it is sent; nil: it is none that can be printed.
    var example: String?

    /// Whether the body is one JSON value.
    var isJSON: Bool { type == "application/json" || type.hasSuffix("+json") }
  }

  /// All that is answered with one status.
  struct Answer: Sendable {
    let status: Int
    var notes: String
    var type = "application/json"
    /// Names of `Schemas`, of which the body is one; none: there is no body.
    var schemas: [String] = []
    /// Names of `Schemas.headers` that are always there.
    var headers: [String] = []
  }

  /// Unique: generators make functions of it.
  let name: String
  /// Whose clients use it.
  let group: String
  let summary: String
  var notes = ""
  var parameters: [Parameter] = []
  var bodies: [Body] = []
  /// Whether a request without a body is refused.
  var needsBody = true
  var answers: [Answer]
  /// Where a key may stand, by the names of `Schemas.credentials`; empty: none is asked for.
  var credentials: [String] = []
  /// What to type on a command line instead of the curl that follows from the rest; `ORIGIN` stands
  /// for this server's WebSockets.
  var command: String?

  static func ref(_ schema: String) -> String { ##"{"$ref":"#/components/schemas/\##(schema)"}"## }

  /// The same with answers more; those of a status that there is already may then be either.
  func answering(_ more: [Answer]) -> Operation {
    var copy = self
    for answer in more {
      if let index = copy.answers.firstIndex(where: { $0.status == answer.status }) {
        copy.answers[index].notes += "; \(answer.notes)"
        copy.answers[index].schemas += answer.schemas.filter { !copy.answers[index].schemas.contains($0) }
      } else {
        copy.answers.append(answer)
      }
    }
    copy.answers.sort { $0.status < $1.status }
    return copy
  }
}

extension Operation {
  /// What every route answers that takes readings, through `ReadingsRoute` or before a request comes to it.
  ///
  /// - Parameter words: the schema of what the dialect's `told` makes of a refusal.
  func takingReadings(words: String = "Error") -> Operation {
    let either = words == "Error" ? ["Error"] : [words, "Error"]
    var operation = answering([
      Answer(status: 400, notes: "The request or its body is malformed", schemas: either),
      Answer(
        status: 401, notes: "No key, or one that is unknown, expired or revoked", schemas: [words],
        headers: ["WWW-Authenticate"]),
      Answer(
        status: 403, notes: "The key may not be used for this, or the page that sends is of a foreign origin",
        schemas: either),
      Answer(status: 405, notes: "Another method", schemas: ["Error"], headers: ["Allow"]),
      Answer(status: 408, notes: "The body came too slowly", schemas: ["Error"]),
      Answer(status: 411, notes: "Neither Content-Length nor Transfer-Encoding: chunked", schemas: [words]),
      Answer(status: 413, notes: "Too many bytes, or too many readings", schemas: [words]),
      Answer(status: 415, notes: "Content-Encoding is none of gzip, deflate, identity", schemas: [words]),
      Answer(
        status: 429, notes: "More readings than the rate of the key or of the address allows; nothing was taken",
        schemas: [words], headers: ["Retry-After", "RateLimit", "RateLimit-Policy"]),
      Answer(status: 431, notes: "The header is too long", schemas: ["Error"]),
      Answer(status: 501, notes: "Another transfer encoding than chunked", schemas: ["Error"]),
      Answer(
        status: 503, notes: "Kafka does not answer, or not in time, or there is no room: repeat the request",
        schemas: either, headers: ["Retry-After"]),
    ])
    operation.parameters.append(.idempotencyKey)
    if operation.credentials.isEmpty { operation.credentials = Self.usualCredentials }
    return operation
  }

  static let usualCredentials = ["bearer", "apiKey", "basic", "authorization", "certificate"]
}

extension Operation.Parameter {
  static let idempotencyKey = Operation.Parameter(
    name: "Idempotency-Key", place: .header,
    notes:
      "The same in every repeat of a request: what is stored already is then left out. Also between double quotes.",
    schema:
      #"{"type":"string","pattern":"^([!#-~][!-~]{0,\#(IdempotencyKey.limit - 1)}|\"([!#-\\[\\]-~]|\\\\[\"\\\\]){1,\#(IdempotencyKey.limit)}\")$"}"#
  )
}
