import HTTP

/// The body of a request that is a job: goes to the job's thread, which answers, and makes the client wait while that has as
/// much of it as it may.
final class JobUpload: BodyReceiver {
  private let task: JobTask
  private let service: JobService

  init(_ task: JobTask, _ service: JobService) {
    self.task = task
    self.service = service
  }

  private var inbox: JobInbox { task.job.inbox }
  /// Used on the connection's thread alone.
  private var exchange: Exchange?

  /// How long nothing may come is the job's to say: with its thread held up by Kafka, or by its key's rate, a client that
  /// is silent meanwhile keeps nobody waiting.
  var keepsTime: Bool { true }

  func began(_ exchange: Exchange) {
    self.exchange = exchange
    inbox.begin(exchange)
    service.start(task)
  }

  func receive(_ piece: UnsafeRawBufferPointer) -> Response? {
    guard inbox.put(piece) == .enough, let exchange else { return nil }
    exchange.pause()
    // The job's thread may have taken it all before the pause began, and nobody would end that then.
    if !inbox.isFull { exchange.resume() }
    return nil
  }

  func finish(_ exchange: Exchange) -> Response? {
    // Before the job's thread can answer.
    exchange.suspend()
    inbox.complete()
    return nil
  }

  func abandoned() { inbox.leave() }
}

/// The body of a request that names what is to be fetched.
final class JobRequest: BodyReceiver {
  private static let limit = 16 << 10
  private static let tooLarge = Response.error(
    413, code: "too_large", message: "a body that names what is to be fetched may have at most \(limit) bytes"
  ).prepared()

  private var body: [UInt8] = []
  private let answer: ([UInt8]) -> Response

  /// - Parameter answer: gets the whole body.
  init(_ answer: @escaping ([UInt8]) -> Response) { self.answer = answer }

  func receive(_ piece: UnsafeRawBufferPointer) -> Response? {
    guard body.count + piece.count <= Self.limit else { return Self.tooLarge }
    body.append(contentsOf: piece)
    return nil
  }

  func finish(_ exchange: Exchange) -> Response? { answer(body) }

  func abandoned() {}
}
