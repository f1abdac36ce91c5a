import Dialects
import HTTP
import Kafka
import Readings

/// Line protocol, answered as InfluxDB answers.
///
/// What is answered when only a part is taken is chosen for Telegraf, which sends a batch again, or not, as a whole. Both
/// of its outputs drop a batch at 400, so that is said when what was not taken will not be taken another time either; and
/// both repeat it at 503. At 413 `influxdb_v2` sends halves, and `influxdb` drops the batch. At 429 `influxdb_v2` waits,
/// but `influxdb` drops: so version 1 is told 503 instead. (plugins/outputs/influxdb_v2/http.go and influxdb/http.go)
struct InfluxDialect: RequestDialect {
  /// Of InfluxDB's API.
  enum Version { case one, two }

  let version: Version
  let precision: LineProtocol.Precision
  let mapping: LineProtocol.Mapping

  var name: String { "influxdb" }
  var source: StaticString { "influxdb" }
  var credentials: CredentialPlaces { version == .one ? .influxQuery : [] }

  private static let written = Response(status: 204).prepared()

  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response? {
    do throws(BodyError) {
      try LineProtocol.decode(
        body: body, precision: precision, mapping: mapping, now: now, context: context, into: batch, errors: &errors)
      return nil
    } catch {
      switch error {
      // Clients try so whether they may write.
      case .empty: return Self.written
      case .malformed(let message): return answer(400, "unable to parse: \(message)")
      case .tooManyReadings(let limit):
        return answer(413, "a request may hold at most \(limit) fields; send several")
      }
    }
  }

  func answer(_ outcome: Outcome) -> Response {
    if outcome.isComplete { return Self.written }
    // Also when others were taken: a line that is lost is worse than one that comes twice.
    if outcome.isWorthRepeating {
      return answer(
        503, "Kafka did not acknowledge \(outcome.undelivered.count) of \(outcome.produced) fields in time; repeat",
        [("Retry-After", "2")])
    }
    let errors = outcome.errors
    if outcome.isForbidden { return answer(403, "this key may not write these devices") }
    let reason =
      errors.first.map { "line \($0.index + 1): \($0.error)" }
      ?? "line \((outcome.undelivered.first?.item ?? 0) + 1): Kafka does not take a value as large as this"
    let dropped = Set(errors.map(\.index) + outcome.undelivered.map(\.item)).count
    return answer(
      400, outcome.accepted == 0 ? "unable to parse: \(reason)" : "partial write: \(reason) dropped=\(dropped)")
  }

  func told(_ response: Response) -> Response {
    guard let problem = response.problem else { return response }
    let headers = response.headers.filter { $0.0 != "Content-Type" }
    return answer(version == .one && response.status == 429 ? 503 : response.status, problem.message, headers)
  }

  func answer(_ status: Int, _ message: String, _ headers: [(String, String)] = []) -> Response {
    switch version {
    case .one: .json(status, JSONText.object([("error", message)]), headers: headers)
    case .two: .json(status, JSONText.object([("code", Self.code(status)), ("message", message)]), headers: headers)
    }
  }

  /// The codes of the second version (kit/platform/errors).
  private static func code(_ status: Int) -> String {
    switch status {
    case 401: "unauthorized"
    case 403: "forbidden"
    case 413: "request too large"
    case 429: "too many requests"
    case 500...: "unavailable"
    default: "invalid"
    }
  }
}
