import Dialects
import HTTP
import Kafka
import Keys
import Readings

/// The answers of the API: codes, headers and bodies.
enum Answers {
  static let acceptedOne = Response.json(202, Array(#"{"accepted":1}"#.utf8)).prepared()
  static let lengthRequired = Response.error(
    411, code: "length_required", message: "send Content-Length, or Transfer-Encoding: chunked"
  ).prepared()
  static let unsupportedType = Response.error(
    415, code: "unsupported_media_type", message: "Content-Type must be one of \(MediaType.accepted)",
    headers: [("Accept", MediaType.accepted)]
  ).prepared()
  static let unsupportedEncoding = Response.error(
    415, code: "unsupported_encoding", message: "Content-Encoding must be one of \(MediaType.acceptedEncodings)",
    headers: [("Accept-Encoding", MediaType.acceptedEncodings)]
  ).prepared()
  static let invalidKey = Response.error(
    400, code: "invalid_idempotency_key",
    message: "Idempotency-Key must be given once, as 1 to \(IdempotencyKey.limit) visible ASCII characters, "
      + "with or without double quotes around them"
  ).prepared()
  static let busy = unavailable(
    "as many requests as memory allows are in progress, or as many of this client's as leave room for others"
  ).prepared()
  static let shareTaken = unavailable("this client has as many readings on their way as leave room for others")
    .prepared()
  static let queueFull = unavailable("the queue to Kafka is full").prepared()

  static func tooLarge(limit: Int) -> Response {
    .error(413, code: "too_large", message: "a body may have at most \(limit) bytes, also when it is unpacked")
  }

  static func unavailable(_ reason: String) -> Response {
    .error(
      503, code: "unavailable", message: "nothing was accepted: \(reason); repeat the request",
      headers: [("Retry-After", "2")])
  }

  /// 429, with how long to wait (RFC 9110, 10.2.3; draft-ietf-httpapi-ratelimit-headers-10).
  ///
  /// - Parameters:
  ///   - name: of the policy: `key` or `address`.
  ///   - wait: nanoseconds until there are enough.
  static func tooManyRequests(_ name: String, _ policy: RatePolicy, remaining: Int, wait: Int64) -> Response {
    let seconds = max(1, (wait + 999_999_999) / 1_000_000_000)
    return .error(
      429, code: "rate_limited",
      message: "nothing was accepted: more readings than the rate of this \(name) allows; repeat in \(seconds) s",
      headers: [
        ("Retry-After", "\(seconds)"),
        ("RateLimit-Policy", "\"\(name)\";q=\(policy.burst);qu=\"readings\";w=\(policy.window)"),
        ("RateLimit", "\"\(name)\";r=\(remaining);t=\(seconds)"),
      ])
  }

  static func moreThanBurst(_ policy: RatePolicy) -> Response {
    .error(
      413, code: "too_many_readings",
      message: "the rate allows at most \(policy.burst) readings at once; send several requests")
  }

  static func malformed(_ message: String) -> Response { .error(400, code: "malformed", message: message) }

  static func refused(_ error: BodyError) -> Response {
    switch error {
    case .malformed(let message): malformed(message)
    case .empty: .error(422, code: "no_readings", message: "the body holds no reading")
    case .tooManyReadings(let limit):
      .error(413, code: "too_many_readings", message: "a request may hold at most \(limit) readings; send several")
    }
  }

  /// The answer once it is known what became of each item.
  static func outcome(_ outcome: Outcome) -> Response {
    let accepted = outcome.accepted
    let errors = outcome.errors
    let undelivered = outcome.undelivered
    if accepted == 1, outcome.isComplete { return acceptedOne }
    if accepted == 0, let first = undelivered.first {
      if !outcome.isWorthRepeating {
        return .error(413, code: "too_large", message: "Kafka does not take a reading as large as this")
      }
      return .error(
        503, code: "undelivered",
        message: undelivered.contains(where: \.mayBeStored)
          ? "Kafka did not acknowledge in time; readings may still be delivered: repeat with the same ids or Idempotency-Key"
          : "nothing was accepted: \(first.error); repeat the request",
        headers: [("Retry-After", "2")])
    }
    if outcome.isComplete {
      return .json(202, Array("{\"accepted\":\(accepted)}".utf8))
    }
    let items = rejections(errors, undelivered)
    var body = ByteBuffer(capacity: 64 + items.count * 96)
    body.append(#"{"accepted":"#)
    ReadingEncoder.append(Int64(accepted), to: &body)
    body.append(#","rejected":"#)
    ReadingEncoder.append(Int64(items.count), to: &body)
    body.append(#","errors":["#)
    for (position, item) in items.enumerated() {
      body.append(position == 0 ? #"{"index":"# : #",{"index":"#)
      ReadingEncoder.append(Int64(item.index), to: &body)
      body.append(#","field":"#)
      JSONText.append(item.field, to: &body)
      body.append(#","reason":"#)
      JSONText.append(item.reason, to: &body)
      body.append("}")
    }
    body.append("]")
    // With nothing accepted, a device that is refused is what the sender has to see to first.
    let isForbidden = accepted == 0 && errors.contains { $0.error.code == .forbidden }
    if isForbidden {
      body.append(#","error":{"code":"forbidden","message":"this key may not write these devices; see errors"}"#)
    } else if accepted == 0 {
      body.append(#","error":{"code":"invalid_readings","message":"none of the items is a reading; see errors"}"#)
    }
    body.append("}")
    return .json(accepted > 0 ? 207 : isForbidden ? 403 : 422, Array(body.bytes))
  }

  /// An item that is not stored for sure.
  private struct Rejection {
    let index: Int
    let field: String
    let reason: String
  }

  /// All items that are not stored for sure, in their order; both lists are in theirs. One item may hold several readings.
  private static func rejections(_ errors: [ItemError], _ undelivered: [Outcome.Undelivered]) -> [Rejection] {
    var items: [Rejection] = []
    items.reserveCapacity(errors.count + undelivered.count)
    var refused = errors[...]
    func skip(before index: Int) {
      while let error = refused.first, error.index < index {
        items.append(Rejection(index: error.index, field: error.error.field, reason: error.error.reason))
        refused.removeFirst()
      }
    }
    for failure in undelivered {
      skip(before: failure.item)
      items.append(
        Rejection(
          index: failure.item, field: "",
          reason: failure.mayBeStored
            ? "Kafka did not acknowledge in time; it may still be delivered: repeat with the same id or Idempotency-Key"
            : "not stored: \(failure.error)"))
    }
    skip(before: .max)
    return items
  }
}
