import JSON

/// What a job is to fetch: `{"url":"https://…","format":"ndjson"}`, with `"gzip":true` or `false` where its first bytes are
/// not to say that.
struct JobFetch: Equatable {
  /// What is wrong with it, for people.
  struct Malformed: Error, Equatable {
    let reason: String
  }

  let url: FetchURL
  let format: JobRecord.Format
  let isPacked: Bool?

  init(_ body: [UInt8]) throws(Malformed) {
    let result = body.withUnsafeBytes { bytes -> Result<JobFetch, Malformed> in
      do {
        return .success(try JSONParser().parse(copying: bytes) { (root) throws(Malformed) in try JobFetch(root) })
      } catch JSONParsing<Malformed>.refused(let error) {
        return .failure(error)
      } catch {
        return .failure(Malformed(reason: "the body is not JSON"))
      }
    }
    self = try result.get()
  }

  private init(_ root: JSONValue) throws(Malformed) {
    guard root.kind == .object else { throw Malformed(reason: "the body must be an object with url and format") }
    var url: String?
    var format: String?
    var isPacked: Bool?
    for member in root.members {
      if member.hasName("url"), url == nil {
        url = member.value.string.map { String(decoding: $0, as: UTF8.self) }
      } else if member.hasName("format"), format == nil {
        format = member.value.string.map { String(decoding: $0, as: UTF8.self) }
      } else if member.hasName("gzip"), isPacked == nil, member.value.kind == .boolean {
        isPacked = member.value.boolean
      } else {
        throw Malformed(reason: "the body may have the members url, format, and gzip (true or false), each once")
      }
    }
    guard let url = url.flatMap(FetchURL.init) else {
      throw Malformed(
        reason: "url must be like https://host/path: without a user, a fragment, or a path that leads upwards")
    }
    guard let format = format.flatMap(JobRecord.Format.init) else {
      throw Malformed(reason: "format must be ndjson or csv")
    }
    self.url = url
    self.format = format
    self.isPacked = isPacked
  }
}
