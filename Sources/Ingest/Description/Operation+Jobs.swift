/// Jobs: bodies of any size, and what became of them.
extension Operation {
  static let postJob = Operation(
    name: "postJob", group: "Jobs", summary: "Readings of any number, sent as a file or fetched from an address",
    notes:
      "A body that is sent is answered when all of it is accounted for; one that is to be fetched at once, and then its "
      + "record says how far it is.",
    parameters: [
      Parameter(
        name: "device", place: .query, notes: "The device of CSV without such a column"),
      Parameter(name: "map", place: .query, notes: "What the columns of CSV are, as for /v1/readings"),
      .idempotencyKey,
    ],
    bodies: [
      Body(
        type: "application/x-ndjson", schema: ref("Lines"),
        example: #"{"device":"greenhouse-3","sensor":"temperature","value":21.5}"#),
      Body(type: "text/csv", schema: ref("CSV"), example: "device,temperature,humidity\ngreenhouse-3,21.5,40"),
      Body(type: "application/json", schema: ref("JobFetch")),
    ],
    answers: [
      Answer(
        status: 202, notes: "All of the body is accounted for, or is going to be fetched", schemas: ["Job"],
        headers: ["Location"]),
      Answer(status: 400, notes: "The body is not what it is said to be", schemas: ["Error"]),
      Answer(
        status: 401, notes: "No key, or one that is unknown, expired or revoked", schemas: ["Error"],
        headers: ["WWW-Authenticate"]),
      Answer(
        status: 403, notes: "The key may not be used for this, or there nothing may be fetched from", schemas: ["Error"]
      ),
      Answer(status: 408, notes: "The body came too slowly", schemas: ["Error"]),
      Answer(status: 409, notes: "The job was cancelled", schemas: ["Error"]),
      Answer(status: 411, notes: "Neither Content-Length nor Transfer-Encoding: chunked", schemas: ["Error"]),
      Answer(status: 413, notes: "A body that names an address is too long", schemas: ["Error"]),
      Answer(
        status: 415, notes: "Another type, or Content-Encoding is none of gzip, deflate, identity", schemas: ["Error"]),
      Answer(
        status: 429, notes: "This client has too many jobs running", schemas: ["Error"], headers: ["Retry-After"]),
      Answer(
        status: 503, notes: "Kafka does not answer, or not in time, or too many jobs are running", schemas: ["Error"],
        headers: ["Retry-After"]),
    ],
    credentials: usualCredentials
  ).answering(anyPath)

  static let listJobs = looking(
    "listJobs", "The latest jobs of this client, at most a hundred, without their errors",
    [Answer(status: 200, notes: "The latest first", schemas: ["JobList"])])

  static let getJob = looking(
    "getJob", "How far a job is, and its first errors",
    [
      Answer(status: 200, notes: "Its record", schemas: ["Job"]),
      Answer(status: 404, notes: "This client has no such job", schemas: ["Error"]),
    ], parameters: [.job])

  static let cancelJob = looking(
    "cancelJob", "Ends a job; what is taken stays",
    [
      Answer(status: 200, notes: "It is over", schemas: ["Job"]),
      Answer(status: 202, notes: "It takes nothing more; what is on its way is still counted", schemas: ["Job"]),
      Answer(status: 404, notes: "This client has no such job", schemas: ["Error"]),
    ], parameters: [.job])

  private static func looking(
    _ name: String, _ summary: String, _ answers: [Answer], parameters: [Parameter] = []
  ) -> Operation {
    Operation(
      name: name, group: "Jobs", summary: summary, parameters: parameters,
      answers: answers + [
        Answer(
          status: 401, notes: "No key, or one that is unknown, expired or revoked", schemas: ["Error"],
          headers: ["WWW-Authenticate"])
      ],
      credentials: usualCredentials
    ).answering(anyPath)
  }
}

extension Operation.Parameter {
  fileprivate static let job = Operation.Parameter(
    name: "id", place: .path, notes: "As Location and the record say it", schema: #"{"type":"string","minLength":1}"#,
    example: "A1b2C3d4E5f6G7h8")
}
