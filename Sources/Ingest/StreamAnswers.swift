import HTTP
import WebSocket

/// What a stream says: to its handshake, to its messages, and at its end.
enum StreamAnswers {
  static let outOfMemory = CloseReason(1013, "as many messages as memory allows are in progress; try again later")
  static let forbidden = CloseReason(1008, "the key is not valid any more")
  static let tooManyStreams = Response.error(
    503, code: "unavailable", message: "there are as many streams as are allowed; try again later",
    headers: [("Retry-After", "2")]
  ).prepared()

  private static let needsWebSocket = Response.error(
    426, code: "upgrade_required", message: "this path is a WebSocket (RFC 6455, version \(Handshake.version))",
    headers: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", Handshake.version)]
  ).prepared()
  private static let badKey = Response.error(
    400, code: "malformed", message: "Sec-WebSocket-Key must be 16 bytes in base64"
  ).prepared()

  static func refused(_ refusal: Handshake.Refusal) -> Response {
    switch refusal {
    case .noUpgrade, .version: needsWebSocket
    case .key: badKey
    }
  }

  /// The body of an HTTP answer, which is a JSON object, with `seq` as its first member; and with `retry_after` in its
  /// error, in seconds, where HTTP has the header field.
  static func frame(_ response: Response, sequence: Int64) -> [UInt8] {
    let body: [UInt8] =
      switch response.body {
      case .bytes(let bytes): bytes
      case .constant(let text): text.withUTF8Buffer { Array($0) }
      case .none: Array("{}".utf8)
      }
    var frame: [UInt8] = []
    frame.reserveCapacity(body.count + 64)
    frame += "{\"seq\":\(sequence)".utf8
    if body.count > 2 { frame += ",".utf8 }
    let retryAfter = response.headers.first { $0.0 == "Retry-After" }?.1
    if let retryAfter, body.suffix(2).elementsEqual("}}".utf8) {
      frame += body.dropFirst().dropLast(2)
      frame += ",\"retry_after\":\(retryAfter)}}".utf8
    } else {
      frame += body.dropFirst()
    }
    return frame
  }
}
