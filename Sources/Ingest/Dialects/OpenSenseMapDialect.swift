import Dialects
import HTTP
import Kafka
import Readings

/// Measurements of a box, answered as the openSenseMap API answers.
struct OpenSenseMapDialect: RequestDialect {
  enum Form {
    case several(OpenSenseMap.Format)
    /// The sensor's id is in the path.
    case single(sensor: String)
  }

  let box: String
  let form: Form
  let boxes: BoxesFile

  var name: String { "opensensemap" }
  var source: StaticString { "opensensemap" }

  static let unsupportedType = answer(415, "UnsupportedMediaType", "Unsupported content-type.").prepared()
  static let badToken = answer(
    401, "Unauthorized", "Box access token not valid!", [("WWW-Authenticate", "Token realm=\"sluice\"")]
  ).prepared()
  private static let savedOne = saved(#""Measurement saved in box""#)
  private static let savedSeveral = saved(#""Measurements saved in box""#)

  private static func saved(_ text: StaticString) -> Response {
    Response(status: 201, headers: [("Content-Type", "application/json; charset=utf-8")], body: .constant(text))
      .prepared()
  }

  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response? {
    var box = box
    let refusal = box.withUTF8 { box -> OpenSenseMap.Refusal? in
      let box = UnsafeRawBufferPointer(box)
      do throws(OpenSenseMap.Refusal) {
        switch form {
        case .several(let format):
          try OpenSenseMap.decode(
            padded: body, format: format, box: box, boxes: boxes, now: now, context: context, into: batch)
        case .single(let sensor):
          let sensor = Array(sensor.utf8)
          try Self.lending(sensor) { (sensor) throws(OpenSenseMap.Refusal) in
            try OpenSenseMap.decodeSingle(
              padded: body, box: box, sensor: sensor, boxes: boxes, now: now, context: context, into: batch)
          }
        }
        return nil
      } catch {
        return error
      }
    }
    return refusal.map { Self.answer($0.status, $0.code, $0.message) }
  }

  /// Whether a request has the token that the file asks of the box, if it does: alone, without a scheme.
  func isAuthorized(_ head: borrowing RequestHead) -> Bool {
    guard let found = boxes.box(Array(box.utf8)), let token = found.accessToken else { return true }
    if !found.usesToken {
      guard case .several(.hackAIR) = form else { return true }
    }
    let given = Array((head.header("Authorization") ?? "").utf8)
    // Takes as long whichever characters are right.
    let difference = zip(given, token.utf8).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
    return given.count == token.utf8.count && difference == 0
  }

  /// The functions that lend bytes do not know typed errors.
  private static func lending(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(OpenSenseMap.Refusal) -> Void
  ) throws(OpenSenseMap.Refusal) {
    let refusal = bytes.withUnsafeBytes { bytes -> OpenSenseMap.Refusal? in
      do throws(OpenSenseMap.Refusal) {
        try body(bytes)
        return nil
      } catch {
        return error
      }
    }
    if let refusal { throw refusal }
  }

  func answer(_ outcome: Outcome) -> Response {
    if outcome.isComplete {
      if case .single = form { return Self.savedOne }
      return Self.savedSeveral
    }
    if outcome.isWorthRepeating {
      return Self.answer(
        503, "ServiceUnavailable", "Kafka did not acknowledge all measurements in time; repeat the request",
        [("Retry-After", "2")])
    }
    // All of a request are of one box.
    if outcome.isForbidden { return Self.answer(403, "Forbidden", "this key may not write this box") }
    return Self.answer(413, "RequestEntityTooLarge", "Kafka does not take a measurement as large as this")
  }

  func told(_ response: Response) -> Response {
    guard let problem = response.problem else { return response }
    let code =
      switch response.status {
      case 401: "Unauthorized"
      case 403: "Forbidden"
      case 411: "LengthRequired"
      case 413: "RequestEntityTooLarge"
      case 415: "UnsupportedMediaType"
      case 429: "TooManyRequests"
      case 500...: "ServiceUnavailable"
      default: "BadRequest"
      }
    return Self.answer(
      response.status, code, problem.message, response.headers.filter { $0.0 != "Content-Type" })
  }

  private static func answer(
    _ status: Int, _ code: String, _ message: String, _ headers: [(String, String)] = []
  ) -> Response {
    .json(status, JSONText.object([("code", code), ("message", message)]), headers: headers)
  }
}
