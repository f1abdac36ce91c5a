import Foundation
import HTTPClient
import Operations
import TestServers
import Testing

@Suite(.enabled(if: DevProcess.isAvailable, "needs mosquitto and .venv: make install-dependencies"))
struct DevTests {
  private func reading(_ device: String, _ value: Int) -> String {
    #"{"device":"\#(device)","sensor":"s","value":\#(value)}"#
  }

  /// The Kafka of the second start counts its messages from zero again, and the database knows those of the first.
  @Test(arguments: ["timeseries", "documents"]) func storesWhatItTakesAlsoAfterARestart(layout: String) throws {
    let dev = try DevProcess(["--mongodb-layout", layout])
    #expect(try dev.post(reading("d", 1)).status == 202)
    let published = try TestServers.run([
      "mosquitto_pub", "-p", "\(dev.mqtt)", "-q", "1", "-t", "sensors/d/s", "-m", "2",
    ])
    #expect(published.code == 0, "\(published.output)")
    try eventually("both are stored") { try dev.stored() == (2, 2) }
    let children = try dev.children()
    #expect(children.map(\.name).sorted() == ["mosquitto", "secantusd-py"])

    dev.process.signal(SIGTERM)
    #expect(dev.process.wait(timeout: .seconds(60)) == 0, "\(dev.log)")
    #expect(!children.contains { DevProcess.isAlive($0.pid) })
    #expect(!dev.log.contains("lost with"))

    try dev.restart()
    for value in 3...4 { #expect(try dev.post(reading("d", value)).status == 202) }
    try eventually("what came after the restart is stored too") { try dev.stored() == (4, 4) }
  }

  /// Kafka is in memory: at a stop it takes no more, and stores what it took.
  @Test func storesEverythingBeforeItStops() throws {
    let dev = try DevProcess(["--shutdown-timeout", "120s"])
    for request in 0..<20 {
      let body = "[" + (0..<500).map { reading("d\($0 % 50)", request * 500 + $0) }.joined(separator: ",") + "]"
      #expect(try dev.post(body).status == 202)
    }
    dev.process.signal(SIGTERM)
    #expect(dev.process.wait(timeout: .seconds(150)) == 0, "\(dev.log)")
    #expect(!dev.log.contains("lost with"))
    try dev.restart()
    #expect(try dev.stored() == (10_000, 10_000))
  }

  @Test func nothingItStartedSurvivesAKill() throws {
    let dev = try DevProcess()
    let children = try dev.children()
    #expect(children.count == 2)
    dev.process.kill()
    try eventually("its servers are gone") { !children.contains { DevProcess.isAlive($0.pid) } }
  }

  @Test(arguments: ["mosquitto", "secantusd-py"]) func endsWhenAServerDies(name: String) throws {
    let dev = try DevProcess()
    let children = try dev.children()
    kill(try #require(children.first { $0.name == name }).pid, SIGKILL)
    #expect(dev.process.wait(timeout: .seconds(60)) == 1)
    #expect(dev.log.contains("(\(name)) ended with 137"), "\(dev.log)")
    #expect(!children.contains { DevProcess.isAlive($0.pid) })
  }

  /// The embedded Kafka drops the oldest of a partition when it has more than 5 MiB: it must not get that far.
  @Test func takesNoMoreThanKafkaKeeps() throws {
    let dev = try DevProcess()
    // Joined, and so nothing but the database holds it up.
    #expect(try dev.post(reading("first", -1)).status == 202)
    try eventually("the first is stored") { try dev.stored() == (1, 1) }
    let database = try #require(try dev.children().first { $0.name == "secantusd-py" }).pid
    kill(database, SIGSTOP)
    defer { kill(database, SIGCONT) }
    var accepted = 1
    var refusal: HTTPResponse?
    // All of one device, and so of one partition.
    for request in 0..<60 where refusal == nil {
      let body = "[" + (0..<1_000).map { reading("d", request * 1_000 + $0) }.joined(separator: ",") + "]"
      let answer = try dev.post(body)
      if answer.status == 202 { accepted += 1_000 } else { refusal = answer }
    }
    let answer = try #require(refusal, "60,000 readings were taken, which Kafka cannot keep")
    #expect(answer.status == 503 && answer.header("Retry-After") != nil)
    #expect(answer.text.contains("MongoDB is behind"), "\(answer.text)")
    #expect(accepted > 2_000)
    #expect(dev.readiness == 503)

    kill(database, SIGCONT)
    try eventually(timeout: .seconds(120), "\(accepted) readings are stored") {
      try dev.stored().documents >= accepted
    }
    #expect(try dev.stored() == (accepted, accepted))
    try eventually("it takes readings again") { try dev.post(reading("last", -2)).status == 202 }
    try eventually("it is ready again") { dev.readiness == 200 }
  }
}

/// What is wrong before anything is started.
@Suite struct DevRefusalTests {
  private func run(_ words: [String]) throws -> (code: Int32, output: String) {
    let folder = TestServers.temporaryFolder("refusal")
    let ports = (0..<4).map { _ in TestServers.freePort() }
    let flags = [
      "--data", "\(folder)/data", "--http-listen", "127.0.0.1:\(ports[0])", "--management-listen",
      "127.0.0.1:\(ports[1])", "--mqtt-port", "\(ports[2])", "--mongodb-port", "\(ports[3])",
    ]
    let process = try ChildProcess(
      [TestServers.sluice, "dev"] + flags + words, environment: DevProcess.environment, output: "\(folder)/log")
    let code = try #require(process.wait(timeout: .seconds(60)))
    return (code, try String(contentsOfFile: "\(folder)/log", encoding: .utf8))
  }

  @Test(arguments: [
    (["--kafka", ""], Int32(2), "--kafka"), (["--mongodb", "http://x"], 2, "--mongodb"),
    (["--mqtt", "x"], 2, "--mqtt"),
    (["--mqtt-port", "0"], 2, "--mqtt-port"), (["--mongodb-port", "x"], 2, "--mongodb-port"), (["more"], 2, "more"),
    (["--data", ""], 2, "--data"), (["--data", "/proc/none"], 1, "--data"),
    (["--secantusd", "/no/where"], 1, "--secantusd"),
  ])
  func saysWhichFlagIsWrong(flags: [String], code: Int32, name: String) throws {
    let result = try run(flags)
    #expect(result.code == code, "\(result.output)")
    #expect(result.output.hasPrefix("sluice: ") && result.output.contains(name), "\(result.output)")
    #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
  }

  @Test(
    .enabled(if: MosquittoServer.isAvailable),
    arguments: ["--http-listen", "--management-listen", "--mqtt-port", "--mongodb-port"])
  func saysWhichPortIsInUse(flag: String) throws {
    let other = try MosquittoServer()
    let result = try run([flag, flag.hasSuffix("listen") ? "127.0.0.1:\(other.port)" : "\(other.port)"])
    #expect(result.code == 1)
    #expect(result.output.hasPrefix("sluice: \(flag): cannot listen on 127.0.0.1:\(other.port)"), "\(result.output)")
    #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
  }
}
