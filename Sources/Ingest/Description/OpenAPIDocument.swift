import HTTP
import Readings

/// The description of the API (OpenAPI 3.1), of the routes that there are and with the limits that they have.
struct OpenAPIDocument {
  let text: String

  init(_ routes: [APITable.Entry], limits: IngestLimits, asksForKeys: Bool) {
    var paths: [(path: String, operations: [String])] = []
    for route in routes {
      let operation = "\(Self.string(route.method.description.lowercased())):\(Self.text(route.operation, asksForKeys))"
      if let index = paths.firstIndex(where: { $0.path == route.path }) {
        paths[index].operations.append(operation)
      } else {
        paths.append((route.path, [operation]))
      }
    }
    let described = paths.map { "\(Self.string($0.path)):{\($0.operations.joined(separator: ","))}" }
    text =
      #"{"openapi":"3.1.0","info":{"title":"Sluice","version":"1","license":{"name":"Apache-2.0","identifier":"Apache-2.0"},"description":\#(Self.string(Self.notes))},"servers":[{"url":"/"}],"paths":{\#(described.joined(separator: ","))},"components":{"schemas":\#(Schemas.text(limits)),"headers":\#(Schemas.headers),"securitySchemes":\#(Schemas.credentials)}}"#
  }

  private static let notes = """
    Sensor readings in, and an answer once Kafka has them. Bodies may be compressed with `Content-Encoding: gzip` or \
    `deflate`. In JSON a whole number of more than 64 bits needs an exponent. Where GET is answered, HEAD is too; OPTIONS \
    says what a path allows; any other path is 404.
    """

  private static func text(_ operation: Operation, _ asksForKeys: Bool) -> String {
    var members = [
      #""operationId":\#(string(operation.name))"#, #""tags":[\#(string(operation.group))]"#,
      #""summary":\#(string(operation.summary))"#,
    ]
    if !operation.notes.isEmpty { members.append(#""description":\#(string(operation.notes))"#) }
    if !operation.parameters.isEmpty {
      members.append(#""parameters":[\#(operation.parameters.map(text).joined(separator: ","))]"#)
    }
    if !operation.bodies.isEmpty {
      let types = operation.bodies.map { body in
        let example = body.example.map { #","example":\#(body.isJSON ? $0 : string($0))"# } ?? ""
        return #"\#(string(body.type)):{"schema":\#(body.schema)\#(example)}"#
      }
      members.append(
        #""requestBody":{"required":\#(operation.needsBody),"content":{\#(types.joined(separator: ","))}}"#)
    }
    members.append(#""responses":{\#(operation.answers.map(text).joined(separator: ","))}"#)
    let credentials = asksForKeys ? operation.credentials : []
    members.append(#""security":[\#(credentials.map { "{\(string($0)):[]}" }.joined(separator: ","))]"#)
    return "{\(members.joined(separator: ","))}"
  }

  private static func text(_ parameter: Operation.Parameter) -> String {
    let example = parameter.example.map { #","example":\#(string($0))"# } ?? ""
    return
      #"{"name":\#(string(parameter.name)),"in":"\#(parameter.place)","required":\#(parameter.place == .path),"description":\#(string(parameter.notes)),"schema":\#(parameter.schema)\#(example)}"#
  }

  private static func text(_ answer: Operation.Answer) -> String {
    var members = [#""description":\#(string(answer.notes))"#]
    if !answer.headers.isEmpty {
      let headers = answer.headers.map { ##"\##(string($0)):{"$ref":"#/components/headers/\##($0)"}"## }
      members.append(#""headers":{\#(headers.joined(separator: ","))}"#)
    }
    if !answer.schemas.isEmpty {
      let schemas = answer.schemas.map(Operation.ref)
      let schema = schemas.count == 1 ? schemas[0] : #"{"anyOf":[\#(schemas.joined(separator: ","))]}"#
      members.append(#""content":{\#(string(answer.type)):{"schema":\#(schema)}}"#)
    }
    return #""\#(answer.status)":{\#(members.joined(separator: ","))}"#
  }

  /// A JSON string.
  private static func string(_ text: String) -> String {
    var buffer = ByteBuffer(capacity: text.utf8.count + 2)
    JSONText.append(text, to: &buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
  }
}
