import Dialects
import HTTP
import Readings

/// Observations of OGC SensorThings, answered as FROST, its reference server, answers.
struct SensorThingsDialect: RequestDialect {
  /// The id of the data stream in the path.
  let stream: String?
  /// What stands in the path before `Observations`, with a slash at its end.
  let root: String
  /// The time of arrival, which is the observation's id: clients want one. Nothing is found under it.
  let id: Int64

  var name: String { "sensorthings" }
  var source: StaticString { "sensorthings" }

  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response? {
    do throws(BodyError) {
      try SensorThings.decode(
        padded: body, stream: stream, now: now, context: context, into: batch, errors: &errors)
      return nil
    } catch {
      return told(Answers.refused(error))
    }
  }

  func answer(_ outcome: Outcome) -> Response {
    if outcome.isComplete {
      return Response(status: 201, headers: [("Location", "\(root)Observations(\(id))")])
    }
    // An array is no request of the standard's, so neither is an answer to a part of it.
    if outcome.accepted > 0 { return Answers.outcome(outcome) }
    if let first = outcome.errors.first, outcome.produced == 0 {
      return Self.answer(outcome.isForbidden ? 403 : 400, "\(first.error)")
    }
    return told(Answers.outcome(outcome))
  }

  func told(_ response: Response) -> Response {
    guard let problem = response.problem else { return response }
    return Self.answer(response.status, problem.message, response.headers.filter { $0.0 != "Content-Type" })
  }

  private static func answer(_ status: Int, _ message: String, _ headers: [(String, String)] = []) -> Response {
    var body = ByteBuffer(capacity: 64 + message.utf8.count)
    body.append(#"{"code":"#)
    ReadingEncoder.append(Int64(status), to: &body)
    body.append(#","type":"error","message":"#)
    JSONText.append(message, to: &body)
    body.append("}")
    return .json(status, Array(body.bytes), headers: headers)
  }
}
