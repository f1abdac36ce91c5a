import Compression
import Dialects
import HTTP
import JSON
import Keys

/// `/v1/jobs`: bodies of any size, or what is to be fetched, and what became of them.
final class JobsRoute: Sendable {
  static let path = "/v1/jobs"
  /// Jobs that are listed, at most.
  private static let listLimit = 100

  private let readings: ReadingsRoute
  private let jobs: JobService

  init(_ readings: ReadingsRoute, _ jobs: JobService) {
    self.readings = readings
    self.jobs = jobs
  }

  func add(to routes: inout APITable) {
    routes.on(.post, Self.path, .postJob) { head, _ in self.begin(head) }
    routes.on(.get, Self.path, .listJobs) { head, _ in
      self.admitted(head) { owner in
        JobAnswers.list(
          self.jobs.list(owner: owner, seesAll: !self.readings.authenticator.asksForKeys, limit: Self.listLimit))
      }
    }
    routes.on(.get, "\(Self.path)/{id}", .getJob) { head, path in
      self.found(head, path) { JobAnswers.record(200, $0.record) }
    }
    routes.on(.delete, "\(Self.path)/{id}", .cancelJob) { head, path in
      self.found(head, path) { job in
        job.cancel()
        let record = job.record
        // What is under way is still counted.
        return JobAnswers.record(record.isOver ? 200 : 202, record)
      }
    }
  }

  /// The name of a format in the keys file.
  static func dialect(_ format: JobRecord.Format) -> String {
    switch format {
    case .ndjson: "sluice"
    case .csv: "csv"
    }
  }

  // MARK: Looking

  private func admitted(_ head: borrowing RequestHead, _ answer: (_ owner: String?) -> Response) -> Disposition {
    switch readings.authenticator.authenticate(head, dialect: nil) {
    case .success(let grant): .respond(answer(grant.key?.key.id))
    case .failure(let refusal): .respond(refusal.response)
    }
  }

  private func found(
    _ head: borrowing RequestHead, _ path: Router.Parameters, _ answer: (Job) -> Response
  ) -> Disposition {
    admitted(head) { owner in
      jobs.find(path["id"] ?? "", owner: owner, seesAll: !readings.authenticator.asksForKeys).map(answer)
        ?? JobAnswers.notFound
    }
  }

  // MARK: Beginning

  private func begin(_ head: borrowing RequestHead) -> Disposition {
    var type: MediaType.Format?
    head.lendHeader("Content-Type") { type = MediaType.format($0) }
    let format: JobRecord.Format?
    switch type {
    case .readings(.lines): format = .ndjson
    case .csv: format = .csv
    case .readings(.json): format = nil
    default: return .respond(JobAnswers.unsupportedType)
    }
    let grant: Grant
    switch readings.authenticator.authenticate(head, dialect: format.map(Self.dialect)) {
    case .success(let given): grant = given
    case .failure(let refusal): return .respond(refusal.response)
    }
    var encoding: MediaType.Encoding? = .identity
    head.lendHeader("Content-Encoding") { encoding = MediaType.encoding($0) }
    guard let encoding, format != nil || encoding == .identity else { return .respond(Answers.unsupportedEncoding) }
    let key: IdempotencyKey?
    switch IdempotencyKey.given(head) {
    case .none: key = nil
    case .one(let given): key = given
    case .invalid: return .respond(Answers.invalidKey)
    }
    let mapping: CSVMapping
    do throws(CSVMapping.Failure) {
      let pairs = (head.query("map") ?? "").split(separator: ",").map(String.init)
      mapping = try CSVMapping(pairs, device: head.query("device"))
    } catch {
      return .respond(.error(400, code: "invalid_map", message: "map: \(error)"))
    }
    guard head.contentLength != nil || head.isChunked else { return .respond(Answers.lengthRequired) }
    if let reason = readings.publisher.unavailability { return .respond(Answers.unavailable(reason)) }
    var traceparent: [UInt8]?
    head.lendHeader("traceparent") { traceparent = Array($0.prefix(128)) }
    let plan = Plan(grant: grant, mapping: mapping, key: key, traceparent: traceparent)
    guard let format else { return .receive(JobRequest { [self] in fetch($0, plan) }) }
    let packing: JobTask.Packing =
      switch encoding {
      case .identity: .plain
      case .gzip: .packed(.gzip)
      case .deflate: .packed(.deflate)
      }
    do throws(JobService.Refusal) {
      try jobs.reserve(for: grant)
    } catch {
      return .respond(JobAnswers.refused(error))
    }
    return .receive(JobUpload(task(plan, format, packing, url: nil), jobs))
  }

  /// What a request says about a job, besides what it is to read.
  private struct Plan: Sendable {
    let grant: Grant
    let mapping: CSVMapping
    let key: IdempotencyKey?
    let traceparent: [UInt8]?
  }

  private func task(_ plan: Plan, _ format: JobRecord.Format, _ packing: JobTask.Packing, url: FetchURL?) -> JobTask {
    JobTask(
      job: jobs.make(owner: plan.grant.key?.key.id, format: format, url: url, now: readings.now()), route: readings,
      grant: plan.grant, packing: packing, mapping: plan.mapping, key: plan.key, traceparent: plan.traceparent, url: url
    )
  }

  private func fetch(_ body: [UInt8], _ plan: Plan) -> Response {
    let wanted: JobFetch
    do throws(JobFetch.Malformed) {
      wanted = try JobFetch(body)
    } catch {
      return Answers.malformed(error.reason)
    }
    // The key was looked at before it was known what is to be read.
    if case .failure(let refusal) = readings.authenticator.renew(plan.grant, dialect: Self.dialect(wanted.format)) {
      return refusal.response
    }
    guard jobs.settings.allowance.allows(wanted.url) else { return JobAnswers.notAllowed }
    do throws(JobService.Refusal) {
      try jobs.reserve(for: plan.grant)
    } catch {
      return JobAnswers.refused(error)
    }
    let packing: JobTask.Packing =
      switch wanted.isPacked {
      case true?: .packed(.gzip)
      case false?: .plain
      case nil: .unknown
      }
    let task = task(plan, wanted.format, packing, url: wanted.url)
    let answer = JobAnswers.taken(task.job.record)
    jobs.start(task)
    return answer
  }
}
