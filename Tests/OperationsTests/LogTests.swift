import Foundation
import Synchronization
import Testing

@testable import Operations

/// Collects what a log writes.
final class Lines: Sendable {
  private let lines = Mutex<[[UInt8]]>([])

  func append(_ line: [UInt8]) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 }.map { String(decoding: $0, as: UTF8.self) } }

  /// A log that writes here, at a fixed time.
  func log(_ component: String = "sink", level: Log.Level = .info, format: Log.Format = .text) -> Log {
    Log(
      component: component, level: level, format: format, output: { self.append($0) }, now: { 1_795_227_318_070 })
  }
}

@Suite struct LogTests {
  private let lines = Lines()

  @Test func textLine() {
    lines.log().info("batch written", ["readings": 5000, "ms": 1.5, "full": true, "to": "readings"])
    #expect(
      lines.all == ["2026-11-21T02:15:18.070Z info sink \"batch written\" readings=5000 ms=1.5 full=true to=readings\n"]
    )
  }

  @Test func jsonLine() {
    lines.log(format: .json).error("no", ["n": -1, "x": 0.25, "f": false, "s": "a b"])
    #expect(
      lines.all == [
        """
        {"time":"2026-11-21T02:15:18.070Z","level":"error","component":"sink","message":"no","n":-1,"x":0.25,\
        "f":false,"s":"a b"}

        """
      ])
  }

  @Test(arguments: [
    ("plain", "plain"), ("a/b.c:1@d", "a/b.c:1@d"), ("", "\"\""), ("a b", "\"a b\""), ("a=b", "\"a=b\""),
    ("say \"x\"", #""say \"x\"""#), ("back\\slash", #""back\\slash""#), ("two\nlines", #""two\nlines""#),
    ("\u{1B}[31m", #""\u001b[31m""#), ("\u{9B}31m", #""\u009b31m""#), ("\u{202E}abc", #""\u202eabc""#),
    ("a\u{2028}b", #""a\u2028b""#), ("\0", #""\u0000""#), ("\u{7F}", #""\u007f""#), ("Grün", "\"Grün\""),
    ("😀", "\"😀\""), ("\r\n\t", #""\r\n\t""#),
  ])
  func textValues(value: String, written: String) {
    lines.log().info("m", ["v": .string(value)])
    #expect(lines.all == ["2026-11-21T02:15:18.070Z info sink \"m\" v=\(written)\n"])
  }

  /// Every character that could need escaping, and some of each longer form, survives a JSON reader.
  @Test func jsonHoldsEveryCharacter() throws {
    let scalars = (0...0x3000).compactMap { Unicode.Scalar($0) } + ["\u{FEFF}", "\u{1F600}", "\u{10FFFF}"]
    for start in stride(from: 0, to: scalars.count, by: 100) {
      var text = ""
      text.unicodeScalars.append(contentsOf: scalars[start..<min(start + 100, scalars.count)])
      let own = Lines()
      own.log(format: .json).info(text, ["key \(text)": .string(text)])
      let line = try #require(own.all.first)
      #expect(line.utf8.filter { $0 < 0x20 } == [0x0A], "one newline, at the end, and no other control")
      let read = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect((read["message"] as? String).map { Array($0.utf8) } == Array(text.utf8))
      #expect((read["key \(text)"] as? String).map { Array($0.utf8) } == Array(text.utf8))
    }
  }

  @Test func jsonHasNoMemberTwiceAndNoNumberThatIsNone() throws {
    lines.log(format: .json).info("m", ["message": "other", "time": 1, "n": .double(.nan), "i": .double(-.infinity)])
    let line = try #require(lines.all.first)
    let read = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect(read["message"] as? String == "m")
    #expect(read["message_"] as? String == "other")
    #expect(read["time_"] as? Int == 1)
    #expect(read["n"] as? String == "nan")
    #expect(read["i"] as? String == "-inf")
  }

  @Test func longValuesAreCut() {
    lines.log().info("m", ["v": .string(String(repeating: "ü", count: 100_000))])
    let line = lines.all[0]
    #expect(line.utf8.count < 5_000)
    #expect(line.hasSuffix("ü…\"\n"))
  }

  @Test func namesStandWithoutQuotes() {
    lines.log("my part").info("m", ["a key": 1, "": 2, "x=y\n": 3])
    #expect(lines.all == ["2026-11-21T02:15:18.070Z info my_part \"m\" a_key=1 _=2 x_y_=3\n"])
  }

  @Test(arguments: Log.Level.allCases) func levels(level: Log.Level) {
    let log = lines.log(level: level)
    log.debug("debug")
    log.info("info")
    log.warning("warning")
    log.error("error")
    let written = Log.Level.allCases.filter { $0 >= level }.map(\.rawValue)
    #expect(lines.all.map { String($0.split(separator: " ")[1]) } == written)
    #expect(Log.Level.allCases.filter { log.isEnabled($0) }.map(\.rawValue) == written)
  }

  @Test func belowTheLevelNothingIsEvaluated() {
    let evaluated = Atomic(0)
    func text() -> String {
      evaluated.wrappingAdd(1, ordering: .relaxed)
      return "x"
    }
    let log = lines.log(level: .warning)
    log.debug(text(), ["a": .string(text())])
    log.info(text(), ["a": .string(text())])
    let before = evaluated.load(ordering: .relaxed)
    log.warning(text(), ["a": .string(text())])
    let after = evaluated.load(ordering: .relaxed)
    #expect(before == 0 && after == 2)
  }

  @Test func contextComesFirstAndIsReplacedByFields() {
    let log = lines.log().with(["node": "a", "try": 1]).component("bridge").with(["topic": "t"])
    log.info("m", ["try": 2, "x": 3])
    #expect(lines.all == ["2026-11-21T02:15:18.070Z info bridge \"m\" node=a try=2 topic=t x=3\n"])
  }

  @Test func fieldsCanBeChanged() {
    var fields: LogFields = ["a": 1, "b": 2]
    fields["a"] = nil
    fields["c"] = "x"
    fields["b"] = 3
    #expect(fields["a"] == nil)
    lines.log().info("m", fields)
    #expect(lines.all == ["2026-11-21T02:15:18.070Z info sink \"m\" b=3 c=x\n"])
  }

  @Test func standardErrorGetsWholeLinesFromManyThreads() async throws {
    let result = try #require(
      await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
        let log = Log(component: "test", format: .json)
        let supervisor = Supervisor(log: Log(component: "s", level: .error))
        for thread in 0..<4 {
          supervisor.start("writer \(thread)", mayEnd: true) {
            for number in 0..<250 {
              log.info(
                "line", ["thread": .int(thread), "n": .int(number), "pad": .string("\(thread * number) pad pad")])
            }
          }
        }
        _ = supervisor.join()
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    let written = text.split(separator: "\n")
    #expect(written.count == 1_000)
    for line in written { _ = try JSONSerialization.jsonObject(with: Data(line.utf8)) }
  }
}

@Suite struct StateLogTests {
  @Test func outageSaysWhenItBeganAndEnded() {
    var outage = Outage()
    #expect(outage.succeeded(at: .seconds(1)) == nil)
    #expect(!outage.isOngoing)
    #expect(outage.failed(at: .seconds(2)) == .began)
    #expect(outage.isOngoing)
    for second in 3..<100 { #expect(outage.failed(at: .seconds(second)) == nil) }
    #expect(outage.succeeded(at: .seconds(102)) == .ended(after: .seconds(100), failures: 98))
    #expect(outage == Outage())
    #expect(outage.succeeded(at: .seconds(103)) == nil)
    #expect(outage.failed(at: .seconds(104)) == .began)
    #expect(outage.succeeded(at: .seconds(104)) == .ended(after: .zero, failures: 1))
  }

  @Test func oneLineWhenItFailsAndOneWhenItWorksAgain() {
    let lines = Lines()
    let time = Mutex(Duration.seconds(10))
    let health = Health(now: { 0 })
    let state = StateLog("kafka", log: lines.log(), health: health.component("kafka"), now: { time.withLock { $0 } })
    state.ok()
    #expect(lines.all.isEmpty)
    #expect(health.component("kafka").state == .ok)
    for number in 0..<1_000 { state.failing("refused \(number)") }
    #expect(health.component("kafka").state == .failing("refused 999"))
    time.withLock { $0 = .milliseconds(12_345) }
    state.ok()
    state.ok()
    #expect(
      lines.all == [
        "2026-11-21T02:15:18.070Z warning sink \"kafka is failing\" reason=\"refused 0\"\n",
        "2026-11-21T02:15:18.070Z info sink \"kafka works again\" after_ms=2345 failures=1000\n",
      ])
  }
}
