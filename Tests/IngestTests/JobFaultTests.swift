import Foundation
import HTTP
import HTTPClient
import Ingest
import Kafka
import Operations
import Synchronization
import TestServers
import Testing

/// Jobs while Kafka is away or hangs, when the process ends, and after it was started again.
@Suite struct JobFaultTests {
  /// Sends until the server takes no more for a while, and says how much that was.
  private final class Flood: Sendable {
    private let sent = Atomic(0)
    private let background: Mutex<Background<Void>?> = Mutex(nil)

    var bytes: Int { sent.load(ordering: .relaxed) }

    init(_ job: JobConnection, _ pieces: Int, _ piece: @escaping @Sendable (Int) -> String) {
      let work = Background { [self] in
        for number in 0..<pieces {
          let bytes = Array(piece(number).utf8)
          guard job.send(bytes) else { return }
          sent.add(bytes.count, ordering: .relaxed)
        }
        job.finish()
      }
      background.withLock { $0 = work }
    }

    func waitUntilHeldUp() throws {
      var last = (-1, ContinuousClock.now)
      try eventually("the client is held up") {
        if bytes != last.0 { last = (bytes, .now) }
        return bytes > 0 && .now - last.1 > .seconds(1)
      }
    }

    /// The answer, once all is sent.
    func answer(of job: JobConnection) throws -> (status: Int, text: String) {
      try eventually(timeout: .seconds(300), "it is answered") { job.connection.isReadable }
      defer { try? finish() }
      return try job.connection.receive()
    }

    func finish() throws { try background.withLock { $0.take() }?.value() }
  }

  /// More than all buffers on the way take.
  private static let pieces = 150
  private static func piece(_ number: Int) -> String { numbered((number * 3_000)..<((number + 1) * 3_000)) }

  @Test func makesTheClientWaitWhileKafkaHangs() throws {
    var options = Served.Options()
    options.deliveryTimeout = .seconds(60)
    try withServed(options) { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("first")).status == 202)
      try cluster.setRoundTripTime(.seconds(2), broker: 1)
      let job = try JobConnection(served.server.port)
      let flood = Flood(job, Self.pieces, Self.piece)
      try eventually("the job is held up") { served.metric("sluice_kafka_queue_messages") > 5_000 }
      // What waits is bounded: by the job's window, and not by how much the client has.
      for _ in 0..<20 {
        #expect(served.metric("sluice_kafka_queue_messages") < 30_000)
        usleep(20_000)
      }
      #expect(flood.bytes < 15 << 20)
      try cluster.setRoundTripTime(.zero, broker: 1)
      let answer = try flood.answer(of: job)
      let count = Self.pieces * 3_000
      #expect(answer.status == 202 && answer.text.contains("\"accepted\":\(count),"), "\(answer)")
      #expect(served.metric("sluice_kafka_acknowledged_total") == count + 1)
    }
  }

  @Test func waitsForAKafkaThatIsGoneAndSendsAgainWhatIsNotStored() throws {
    var options = Served.Options()
    options.deliveryTimeout = .seconds(2)
    try withServed(options) { served in
      let cluster = try #require(served.cluster)
      let job = try JobConnection(served.server.port, "Content-Type: application/x-ndjson", "Idempotency-Key: k")
      let flood = Flood(job, Self.pieces, Self.piece)
      try eventually("some are acknowledged") { try served.onlyJobWhenThere().accepted > 3_000 }
      try cluster.setBroker(1, up: false)
      try served.waitUntilUnavailable()
      try flood.waitUntilHeldUp()
      #expect(try served.onlyJob().state == "running")
      try cluster.setBroker(1, up: true)
      let answer = try flood.answer(of: job)
      let count = Self.pieces * 3_000
      // With ids everything can be sent again, and nothing is left in doubt.
      #expect(answer.status == 202, "\(answer)")
      #expect(answer.text.contains("\"accepted\":\(count),") && answer.text.contains("\"in_doubt\":0"), "\(answer)")
    }
  }

  @Test func givesUpWhenKafkaStaysAway() throws {
    var options = Served.Options.jobs { $0.patience = .seconds(3) }
    options.deliveryTimeout = .seconds(2)
    try withServed(options) { served in
      let cluster = try #require(served.cluster)
      let job = try JobConnection(served.server.port)
      let flood = Flood(job, Self.pieces, Self.piece)
      try eventually("some are acknowledged") { try served.onlyJobWhenThere().accepted > 3_000 }
      try cluster.setRoundTripTime(.seconds(60), broker: 1)
      let answer = try job.connection.receive()
      #expect(answer.status == 503 && answer.text.contains("Kafka has acknowledged nothing for 3"), "\(answer)")
      let view = try served.onlyJob()
      #expect(view.state == "failed" && view.ended != nil)
      // What hung may be stored, and is not counted as stored.
      #expect(view.inDoubt > 0 && view.errors?.first?.reason.contains("it may be stored") == true)
      #expect(view.accepted + view.inDoubt >= view.lines)
      #expect(view.accepted == served.metric("sluice_kafka_acknowledged_total"))
      try cluster.setRoundTripTime(.zero, broker: 1)
      let stored = try served.stored().count
      #expect(stored >= view.accepted && stored <= view.accepted + view.inDoubt)
      try flood.finish()
    }
  }

  @Test func refusesAtOnceWhatCannotBeginForKafkaIsAway() throws {
    var options = Served.Options()
    options.isKafkaUp = false
    try withServed(options) { served in
      let answer = try served.postJob(Array(numbered(0..<1).utf8))
      #expect(answer.status == 503)
      #expect(try served.jobs().isEmpty)
    }
  }

  // MARK: The end of the process

  @Test func endsWhatIsComingInAndFinishesWhatIsComplete() throws {
    try withServed { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("first")).status == 202)
      let open = try JobConnection(served.server.port)
      open.send(Array(numbered(0..<5_000).utf8))
      try eventually("some are acknowledged") { try served.onlyJobWhenThere().accepted > 1_000 }
      try cluster.setRoundTripTime(.seconds(1), broker: 1)
      let complete = try JobConnection(served.server.port)
      complete.send(Array(numbered(0..<2_000).utf8))
      complete.finish()
      try eventually("it is complete") { try served.jobs().contains { $0.bytes > 0 && $0.accepted == 0 } }
      let stopping = Background { served.stop() }
      let cut = try open.connection.receive()
      #expect(cut.status == 503 && cut.text.contains("stopping"), "\(cut)")
      let answer = try complete.connection.receive()
      #expect(answer.status == 202 && answer.text.contains("\"accepted\":2000,"), "\(answer)")
      try stopping.value()
    }
  }

  @Test func recordsAreThereAfterARestart() throws {
    let folder = TestServers.temporaryFolder("jobs") + "/records"
    let options = Served.Options.jobs { ($0.directory, $0.kept) = (folder, 3) }
    var ids: [String] = []
    try withServed(options) { served in
      for count in 1...4 {
        let answer = try served.postJob(Array((numbered(0..<count) + "no\n").utf8))
        ids.append(try JSONDecoder().decode(JobView.self, from: Data(answer.body)).id)
      }
      #expect(try served.jobs().map(\.accepted) == [4, 3, 2])
      #expect(throws: JobDirectory.Failure.self) {
        try JobService(options.jobs!, log: Log(component: "test", level: .error), metrics: Metrics())
      }
    }
    func files() throws -> Set<String> {
      Set(try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") })
    }
    #expect(try files() == Set(ids.dropFirst().map { "\($0).json" }))
    // As a process leaves it that is killed.
    let path = "\(folder)/\(ids[3]).json"
    let running = try String(contentsOfFile: path, encoding: .utf8)
      .replacing("\"state\":\"done\"", with: "\"state\":\"running\"").replacing(/"ended":"[^"]*",/, with: "")
    try running.write(toFile: path, atomically: false, encoding: .utf8)
    try "{".write(toFile: "\(folder)/torn.json", atomically: false, encoding: .utf8)
    for _ in 0..<2 {
      try withServed(options) { served in
        #expect(try served.jobs().map(\.accepted) == [4, 3, 2])
        let killed = try served.job(ids[3])
        #expect(killed.state == "failed" && killed.accepted == 4 && killed.errors?.map(\.line) == [5])
        #expect(killed.reason?.contains("ended while the job was running") == true && killed.ended != nil)
        #expect(try served.job(ids[1]).state == "done")
        #expect(try served.get("/v1/jobs/torn").status == 404)
      }
    }
    try withServed(options) { served in
      let answer = try served.postJob(Array(numbered(0..<9).utf8))
      #expect(answer.status == 202)
      #expect(try served.jobs().map(\.accepted) == [9, 4, 3])
    }
    #expect(try files().count == 4)
  }

  /// Under its lock keys are changed, which may be in the same folder: to change one would wait for the end of the process,
  /// and the process for itself.
  @Test func theFolderOfTheRecordsIsNotLocked() throws {
    let folder = TestServers.temporaryFolder("jobs")
    try withServed(.jobs { $0.directory = folder }) { _ in
      let descriptor = open(folder, O_RDONLY | O_DIRECTORY)
      defer { close(descriptor) }
      #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    }
  }

  @Test func aRecordIsOnTheDiskWhileItsJobRuns() throws {
    let folder = TestServers.temporaryFolder("jobs")
    try withServed(.jobs { $0.directory = folder }) { served in
      let job = try JobConnection(served.server.port)
      job.send(Array(numbered(0..<5_000).utf8))
      let id = try served.onlyJobWhenThere().id
      try eventually("its counts are on the disk") {
        let text = (try? String(contentsOfFile: "\(folder)/\(id).json", encoding: .utf8)) ?? ""
        return text.contains("\"state\":\"running\"") && !text.contains("\"accepted\":0,")
      }
      job.finish()
      #expect(try job.connection.receive().status == 202)
    }
  }
}
