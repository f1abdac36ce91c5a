import HTTP
import Readings

/// What is answered about jobs.
enum JobAnswers {
  static let accepted = "application/x-ndjson, text/csv, application/json"
  static let unsupportedType = Response.error(
    415, code: "unsupported_media_type",
    message: "Content-Type must be application/x-ndjson or text/csv for a body of readings, or application/json for an "
      + "address to fetch them from",
    headers: [("Accept", accepted)]
  ).prepared()
  static let notFound = Response.error(404, code: "not_found", message: "there is no such job").prepared()
  static let notAllowed = Response.error(
    403, code: "url_not_allowed",
    message: "jobs may not fetch from there; SLUICE_JOBS_FETCH_ALLOW says from where they may"
  ).prepared()

  static func refused(_ refusal: JobService.Refusal) -> Response {
    let headers = [("Retry-After", "10")]
    return switch refusal {
    case .stopping: .error(503, code: "stopping", message: "sluice is stopping; send the job again", headers: headers)
    case .full:
      .error(
        503, code: "unavailable", message: "as many jobs as are allowed are running; send it later", headers: headers)
    case .share:
      .error(
        429, code: "too_many_jobs",
        message: "this client has as many jobs running as leave room for others; send it later",
        headers: headers)
    }
  }

  static func record(_ status: Int, _ record: JobRecord, headers: [(String, String)] = []) -> Response {
    .json(status, record.json(), headers: headers)
  }

  /// The jobs of a client, without their errors.
  static func list(_ records: [JobRecord]) -> Response {
    var out = ByteBuffer(capacity: 256 + records.count * 384)
    out.append(#"{"jobs":["#)
    for (index, record) in records.enumerated() {
      if index > 0 { out.append(",") }
      record.append(to: &out, faults: false)
    }
    out.append("]}")
    return .json(200, Array(out.bytes))
  }

  /// 202, with where to look.
  static func taken(_ record: JobRecord) -> Response { Self.record(202, record, headers: [location(record)]) }

  /// The answer to the request whose body was the job, once everything in it is accounted for, or it ended before.
  static func ended(_ record: JobRecord, _ end: JobEnd?) -> Response {
    guard let end else { return taken(record) }
    let (status, code) =
      switch end {
      case .broken: (400, "malformed")
      case .key: (401, "unauthorized")
      case .silent, .gone: (408, "timeout")
      case .cancelled: (409, "cancelled")
      case .kafka: (503, "undelivered")
      case .stopped: (503, "stopping")
      case .unreachable: (502, "unreachable")
      }
    let headers = [location(record)] + (status == 503 ? [("Retry-After", "10")] : [])
    return .error(
      status, code: code,
      message: "\(end.reason); accepted until then: \(record.accepted), rejected: \(record.rejected), in doubt: "
        + "\(record.inDoubt), all lines up to \(record.lines) are accounted for",
      headers: headers)
  }

  private static func location(_ record: JobRecord) -> (String, String) {
    ("Location", "\(JobsRoute.path)/\(record.id)")
  }
}
