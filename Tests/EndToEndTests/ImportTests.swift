import Compression
import Foundation
import Kafka
import Operations
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable

/// `sluice import` with real servers.
@Suite(
  .enabled(if: TestServers.runsLongTests, "takes minutes: make test-long"),
  .enabled(if: servers, "needs Kafka and MongoDB")) struct ImportTests
{
  private func write(_ roles: Roles, _ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    let path = "\(roles.folder)/\(name)"
    try Data(bytes).write(to: URL(filePath: path))
    return path
  }

  /// Rows without ids and times, numbered by a tag.
  private func rows(_ range: Range<Int>) -> String {
    range.reduce(into: "name;what;value;seq\n") { $0 += "dev-\($1 % 50);t;\($1 % 7),5;\($1)\n" }
  }

  private static let mapping = ["--map", "name=device", "--map", "what=sensor", "--map", "seq=tag:seq"]

  private func start(_ roles: Roles, _ words: [String]) throws -> (process: ChildProcess, output: String) {
    let output = "\(roles.folder)/\(UUID().uuidString)"
    return (
      try ChildProcess([TestServers.sluice, "import"] + words, environment: roles.environment, output: output), output
    )
  }

  private func text(_ file: String) -> String { (try? String(contentsOfFile: file, encoding: .utf8)) ?? "" }

  /// What the state file says is acknowledged.
  private func acknowledged(_ state: String) -> Int {
    text(state).split(separator: "\n").dropFirst().reduce(0) { $0 + (Int($1.split(separator: " ")[2]) ?? 0) }
  }

  private func expectStored(_ roles: Roles, _ count: Int) throws {
    try eventually(timeout: .seconds(240), "\(count) readings are stored") { try roles.count() >= count }
    let stored = try roles.stored()
    #expect(stored.count == count)
    #expect(stored.values.allSatisfy { $0 == 1 }, "something is stored twice")
  }

  @Test func killedTwiceAndResumed() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let sink = try roles.launch("sink")
    try sink.waitUntilReady()
    let count = TestServers.runsLongTests ? 200_000 : 80_000
    let words = [
      try write(roles, "rows.csv.gz", gzip(Array(rows(0..<count).utf8))), "--resume", "\(roles.folder)/state",
    ]
    var before = 0
    for _ in 0..<2 {
      let (process, output) = try start(roles, words + Self.mapping)
      try eventually("some rows are acknowledged") {
        if !process.isRunning { throw TestServerError("import ended: \(text(output))") }
        return acknowledged(words[2]) > before + count / 8
      }
      process.kill()
      before = acknowledged(words[2])
      #expect(before < count, "it was killed too late to show anything")
    }
    let end = try roles.run(["import"] + words + Self.mapping)
    #expect(end.code == 0 && end.output.hasSuffix("accepted=\(count) rejected=0\n"), "\(end.output)")
    try expectStored(roles, count)
    let repeated = sink.metric("sluice_sink_repeated_total")
    // A copy of what was imported is known, without a state file too.
    for name in ["some.csv", "copy.csv"] {
      let file = try write(roles, name, rows(count..<(count + 1_000)).utf8)
      let result = try roles.run(["import", file, "--quiet"] + Self.mapping)
      #expect(result.output == "accepted=1000 rejected=0\n", "\(result.output)")
    }
    try eventually(timeout: .seconds(240), "the sink has left out the copy") {
      sink.metric("sluice_sink_repeated_total") >= repeated + 1_000
    }
    try expectStored(roles, count + 1_000)
  }

  @Test func saysWhatIsWrongAndTakesTheRest() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let good = #"{"sensor":"t","value":1}"#
    let lines = (0..<300).map { $0 % 2 == 0 ? good : "no" }.joined(separator: "\r\n")
    let json = try write(roles, "a.ndjson", [0xef, 0xbb, 0xbf] + Array(lines.utf8))
    let points = try write(roles, "b", Array("m,host=h f=1,g=\"x\ny\"\nm,host=h f=\n".utf8))
    let result = try roles.run(["import", json, points, "--device", "d", "--quiet"])
    #expect(result.code == 1)
    #expect(result.output.hasSuffix("accepted=152 rejected=151\n"), "\(result.output.suffix(200))")
    #expect(result.output.split(separator: "\n").count { $0.hasPrefix("\(json):") } == 100)
    #expect(result.output.contains("\(json):2: the line is not JSON"), "\(result.output.prefix(300))")
    #expect(result.output.contains("51 more errors are not shown"))
    let wrong = try roles.run(["import", try write(roles, "c.csv", Array("device,value\na,1\n".utf8))])
    #expect(wrong.code == 1 && wrong.output.contains("c.csv: a column sensor is required"), "\(wrong.output)")
    #expect(try roles.run(["import"]).code == 2)
    #expect(try roles.run(["import", "\(roles.folder)/none"]).code == 2)
    // A file in the place of one that was imported.
    let state = "\(roles.folder)/state"
    #expect(try roles.run(["import", json, "--device", "d", "--resume", state]).code == 1)
    _ = try write(roles, "a.ndjson", Array(good.utf8))
    let other = try roles.run(["import", json, "--device", "d", "--resume", state])
    #expect(other.code == 1 && other.output.contains("is another file than"), "\(other.output)")
  }

  @Test func kafkaIsFrozen() throws {
    let kafka = try KafkaServer(nodes: 1)
    defer { try? kafka.stop() }
    let roles = try Roles(
      kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri, settings: ["SLUICE_KAFKA_DELIVERY_TIMEOUT": "5s"])
    try roles.start("sink")
    let count = 40_000
    let state = "\(roles.folder)/state"
    let words = [try write(roles, "rows.csv", rows(0..<count).utf8), "--resume", state] + Self.mapping
    let (process, output) = try start(roles, words)
    try eventually("some rows are acknowledged") { acknowledged(state) > 0 }
    try kafka.pause()
    try eventually("it says that it waits: \(text(output))") { text(output).contains("is failing") }
    let gaveUp = try roles.run(["import"] + words + ["--timeout", "1s"])
    #expect(gaveUp.code == 1 && gaveUp.output.contains("has acknowledged nothing for 1"), "\(gaveUp.output)")
    process.signal(SIGINT)
    #expect(process.wait(timeout: .seconds(30)) == 1, "interrupted while it waits: \(text(output))")
    #expect(text(output).contains("accepted="))
    let second = try start(roles, words)
    try eventually("it says that it waits: \(text(second.output))") { text(second.output).contains("kafka is failing") }
    try kafka.resume()
    #expect(second.process.wait(timeout: .seconds(120)) == 0, "\(text(second.output))")
    #expect(text(second.output).hasSuffix("accepted=\(count) rejected=0\n"))
    #expect(text(second.output).split(separator: "\n").count { $0.contains("kafka is failing") } == 1)
    try expectStored(roles, count)
  }

  @Test func memoryDoesNotGrowWithTheFile() throws {
    let roles = try Roles(kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri)
    let output = "\(roles.folder)/out"
    // Most of it is refused, so that the time goes into reading rather than into Kafka.
    let process = try ChildProcess(
      [
        "sh", "-c",
        #"(yes '{"device":"d","sensor":"s","value":1}' | head -n 20000; line=$(printf '%060000d' 0); "#
          + #"yes "{\"device\":\"$line\"}" | head -n 5000) > \#(output).ndjson; "#
          + #"exec "$0" import \#(output).ndjson --quiet"#, TestServers.sluice,
      ],
      environment: roles.environment, output: output)
    var peak = 0
    while process.isRunning {
      let status = text("/proc/\(process.pid)/status")
      if status.hasPrefix("Name:\tsluice"),
        let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM") })
      {
        peak = max(peak, Int(line.split(whereSeparator: \.isWhitespace)[1]) ?? 0)
      }
      usleep(20_000)
    }
    #expect(text(output).contains("accepted=20000 rejected=5000"), "\(text(output).suffix(300))")
    #expect(peak > 0 && peak < 100 << 10, "\(peak) KiB")
    try FileManager.default.removeItem(atPath: "\(output).ndjson")
  }
}

/// Files to which something is being added while they are imported.
@Suite struct GrowingFileTests {
  private let folder = TestServers.temporaryFolder("growing")

  private func append(_ text: some Sequence<UInt8>, to name: String) throws -> String {
    let path = "\(folder)/\(name)"
    let before = (try? Data(contentsOf: URL(filePath: path))) ?? Data()
    try (before + Data(text)).write(to: URL(filePath: path))
    return path
  }

  private func sluice(_ cluster: MockCluster, _ words: [String]) throws -> (code: Int32, lines: [Substring]) {
    let output = "\(folder)/\(UUID().uuidString)"
    let process = try ChildProcess(
      [TestServers.sluice, "import", "--quiet"] + words,
      environment: DevProcess.environment.merging(["SLUICE_KAFKA_BROKERS": cluster.bootstrapServers]) { $1 },
      output: output)
    let code = try #require(process.wait(timeout: .seconds(60)))
    return (code, try String(contentsOfFile: output, encoding: .utf8).split(separator: "\n"))
  }

  @Test func aLineThatIsBeingWrittenIsLeft() throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("sensor-data", partitions: 1)
    let file = try append("device,sensor,value\r\na,t,1\r\nimq,t,12".utf8, to: "f.csv")
    let words = [file, "--resume", "\(folder)/state"]
    let first = try sluice(cluster, words)
    #expect(first.code == 1)
    #expect(
      first.lines == [
        "\(file):3: has no end yet: it is taken when it has one, or without --resume", "accepted=1 rejected=0",
      ])
    _ = try append("34.5\r\nb,t,2\r\n".utf8, to: "f.csv")
    let second = try sluice(cluster, words)
    #expect(second.code == 0 && second.lines == ["accepted=3 rejected=0"], "\(second)")
    let stored = try TopicReader(cluster.bootstrapServers, "sensor-data", partitions: 1).read(3)
    let values = stored.map { String(decoding: $0.value ?? [], as: UTF8.self) }
    for (value, number) in zip(values, ["1", "1234.5", "2"]) { #expect(value.contains("\"value\":\(number),")) }
  }

  /// It names no columns, and there is no row to be refused for that.
  @Test(arguments: ["device,sensor,value\rd,t,1\rd,t,2\r", "a,value\n", "t\n"])
  func aHeaderAloneIsLookedAtToo(text: String) throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("sensor-data", partitions: 1)
    let result = try sluice(cluster, [try append(text.utf8, to: "h.csv")])
    #expect(result.code == 1 && result.lines.last == "accepted=0 rejected=0" && result.lines.count == 2, "\(result)")
  }

  /// Of some, an end without a line end is one all the same.
  @Test func whatIsCompleteIsTaken() throws {
    let cluster = try MockCluster()
    defer { cluster.close() }
    try cluster.createTopic("sensor-data", partitions: 1)
    let resume = ["--resume", "\(folder)/state", "--device", "d"]
    let rows = Array("device,sensor,value\na,t,1\nb,t,12".utf8)
    let packed = try append(try gzip(rows), to: "rows.csv.gz")
    let objects = try append("{\"sensor\":\"t\",\"value\":1}\n{\"sensor\":\"t\",\"value\":12}".utf8, to: "o.ndjson")
    let packs = try append("[{\"n\":\"t\",\"v\":1}][{\"n\":\"t\",\"v\":12}]".utf8, to: "p.senml")
    for file in [packed, objects, packs] {
      let result = try sluice(cluster, [file] + resume)
      #expect(result.code == 0 && result.lines == ["accepted=2 rejected=0"], "\(file): \(result)")
    }
    let plain = try append(rows, to: "rows.csv")
    let result = try sluice(cluster, [plain])
    #expect(result.code == 0 && result.lines == ["accepted=2 rejected=0"], "\(result)")
    // What is too long is left as well, until it has an end: what follows is no line of its own.
    let long = try append(
      "{\"sensor\":\"t\",\"value\":1}\n".utf8 + Array(repeating: 0x31, count: 1_500_000), to: "l.ndjson")
    for (more, lines) in [
      ("", ["\(long):2: is longer than 1 MiB", "accepted=1 rejected=0"]),
      ("1\n{\"sensor\":\"t\",\"value\":2}\n", ["\(long):2: is longer than 1 MiB", "accepted=2 rejected=1"]),
    ] {
      _ = try append(more.utf8, to: "l.ndjson")
      let result = try sluice(cluster, [long] + resume)
      #expect(result.code == 1 && result.lines.map(String.init) == lines, "\(result)")
    }
  }
}
