import Dialects
import Readings
import Testing

@Suite struct LineProtocolTests {
  private func lines(
    _ body: String, _ precision: LineProtocol.Precision = .nanoseconds,
    mapping: LineProtocol.Mapping = .init(device: "d"), limit: Int = 100, bounds: TimeBounds = wideBounds
  ) -> [String] {
    outcome(body, limit: limit, bounds: bounds) { body, context, batch, errors in
      try LineProtocol.decode(
        body: body, precision: precision, mapping: mapping, now: arrival, context: context, into: batch, errors: &errors
      )
    }
  }

  @Test(arguments: [
    // The forms of InfluxDB's documentation and of the tests of its parser.
    ("cpu value=1", [reading("d", "cpu.value", "1")]),
    ("cpu value=64i", [reading("d", "cpu.value", "64")]),
    ("cpu value=-9223372036854775808i", [reading("d", "cpu.value", "-9.223372036854776e+18")]),
    ("cpu value=18446744073709551615u", [reading("d", "cpu.value", "1.8446744073709552e+19")]),
    ("cpu value=0009223372036854775807i", [reading("d", "cpu.value", "9.223372036854776e+18")]),
    ("cpu value=.1", [reading("d", "cpu.value", "0.1")]), ("cpu value=5.", [reading("d", "cpu.value", "5")]),
    ("cpu value=+1.5E-3", [reading("d", "cpu.value", "0.0015")]),
    ("cpu value=1.7976931348623157e308", [reading("d", "cpu.value", "1.7976931348623157e+308")]),
    ("cpu value=123456789012345678901234567890", [reading("d", "cpu.value", "1.2345678901234568e+29")]),
    ("cpu value=0.1000000000000000055511151231257827", [reading("d", "cpu.value", "0.1")]),
    ("cpu value=1e-400", [reading("d", "cpu.value", "0")]),
    (
      "m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE",
      "abcdefghij".map { reading("d", "m.\($0)", $0 < "f" ? "true" : "false") }
    ),
    (
      #"m s="foo \" bar",t="a\\",u="a\b,c =",v="""#,
      [
        reading("d", "m.s", #""foo \" bar""#), reading("d", "m.t", #""a\\""#), reading("d", "m.u", #""a\\b,c =""#),
        reading("d", "m.v", #""""#),
      ]
    ),
    (
      "m s=\"foo\nbar\",v=1\nm v=2",
      [reading("d", "m.s", #""foo\nbar""#), reading("d", "m.v", "1"), reading("d", "m.v", "2")]
    ),
    (#"cpu value="wè""#, [reading("d", "cpu.value", #""wè""#)]),
    // Telegraf.
    (
      "cpu,cpu=cpu0,host=raspi usage_idle=97.2,usage_user=1.1 1795227318000000000",
      ["usage_idle|97.2", "usage_user|1.1"].map {
        let parts = $0.split(separator: "|")
        return reading(
          "raspi", "cpu.\(parts[0])", "\(parts[1])", #","ts":"2026-11-21T02:15:18.000Z","tags":{"cpu":"cpu0"}"#)
      }
    ),
    ("m,host=h,device=x v=1", [reading("x", "m.v", "1", #","tags":{"host":"h"}"#)]),
    // Escapes, and characters that names here do not have.
    (#"foo\,bar\ baz v=1"#, [reading("d", "foo_bar_baz.v", "1")]),
    (
      #"cpu=load,equals\=foo=tag\=value value=1i"#,
      [reading("d", "cpu_load.value", "1", #","tags":{"equals_foo":"tag=value"}"#)]
    ),
    (#"cpu,regions=\\,\,\=east value=1.0"#, [reading("d", "cpu.value", "1", #","tags":{"regions":"\\,,=east"}"#)]),
    (#"cpu,reg\\=ion=east value=1.0"#, [reading("d", "cpu.value", "1", #","tags":{"reg__ion":"east"}"#)]),
    (#"cpu,a\ b=c\ d value\ ms=1.0"#, [reading("d", "cpu.value_ms", "1", #","tags":{"a_b":"c d"}"#)]),
    (#"cpu,t="host" v=1"#, [reading("d", "cpu.v", "1", #","tags":{"t":"\"host\""}"#)]),
    ("°C,host=Küche,domain=sensor value=21.5", [reading("K_che", "C.value", "21.5", #","tags":{"domain":"sensor"}"#)]),
    // Comments, blank lines, line ends and spaces.
    ("# comment\n\n  \t\r\n m v=1 \r\n\n#m v=2\nm   v=3   \n#", [reading("d", "m.v", "1"), reading("d", "m.v", "3")]),
    ("\u{feff}m v=1", [reading("d", "m.v", "1")]),
  ])
  func takes(_ body: String, _ readings: [String]) { #expect(lines(body) == readings) }

  @Test(arguments: [
    ("m v=1 1795227318000000000", LineProtocol.Precision.nanoseconds, #","ts":"2026-11-21T02:15:18.000Z""#),
    ("m v=1 1795227318000999", .microseconds, #","ts":"2026-11-21T02:15:18.000Z""#),
    ("m v=1 1795227318001\r\n", .milliseconds, #","ts":"2026-11-21T02:15:18.001Z""#),
    ("m v=1   1795227318  ", .seconds, #","ts":"2026-11-21T02:15:18.000Z""#),
    ("m v=1 29920455", .minutes, #","ts":"2026-11-21T02:15:00.000Z""#),
    ("m v=1 498674\n", .hours, #","ts":"2026-11-21T02:00:00.000Z""#),
  ])
  func readsTimes(_ body: String, _ precision: LineProtocol.Precision, _ ts: String) {
    #expect(lines(body, precision) == [reading("d", "m.v", "1", ts)])
  }

  @Test func knowsThePrecisionsOfBothVersions() {
    let names: [(String?, LineProtocol.Precision?)] = [
      (nil, .nanoseconds), ("", .nanoseconds), ("ns", .nanoseconds), ("n", .nanoseconds), ("us", .microseconds),
      ("u", .microseconds), ("µ", .microseconds), ("ms", .milliseconds), ("s", .seconds), ("m", .minutes),
      ("h", .hours),
      ("d", nil), ("MS", nil),
    ]
    for (name, precision) in names { #expect(LineProtocol.Precision(name) == precision) }
  }

  private static let number =
    "must be a number, a number with i or u within 64 bits, true, false or a string in quotes"
  private static let badTime = "ts: bad timestamp: must be a whole number of ns within 64 bits"
  private static let long = String(repeating: "x", count: 1_025)

  @Test(arguments: [
    ("cpu", "malformed missing fields"), ("cpu,host=a", "malformed missing fields"), ("=", "malformed missing fields"),
    ("cpu ", "malformed missing fields"), (",a=b v=1", "malformed missing measurement"),
    ("cpu, v=1", "malformed missing tag key"), ("cpu,", "malformed missing tag key"),
    ("cpu,host=a,=b v=1", "malformed missing tag key"), ("cpu,host", "malformed missing tag value"),
    ("cpu,host= v=1", "malformed missing tag value"), ("cpu,host v=1", "malformed missing tag value"),
    ("cpu,host=f=o,", "malformed invalid tag format"), ("cpu =1", "malformed missing field key"),
    ("cpu v=1,=2", "malformed missing field key"), ("cpu v", "malformed v: missing field value"),
    ("cpu v=", "malformed v: missing field value"), ("cpu v= 1", "malformed v: missing field value"),
    ("cpu v=,w=1", "malformed v: missing field value"), ("cpu v=1,b", "malformed b: missing field value"),
    (#"cpu v="test"#, "malformed v: unbalanced quotes"), (#"cpu v="test"""#, "malformed v: unbalanced quotes"),
    ("cpu v=1a", "malformed v: \(number)"), ("cpu v=1.0i", "malformed v: \(number)"),
    ("cpu v=-123u", "malformed v: \(number)"), ("cpu v=1.1.1", "malformed v: \(number)"),
    ("cpu v=9223372036854775808i", "malformed v: \(number)"), ("cpu v=18446744073709551616u", "malformed v: \(number)"),
    ("cpu v=-", "malformed v: \(number)"), ("cpu v=.", "malformed v: \(number)"), ("cpu v=i", "malformed v: \(number)"),
    ("cpu v=1e", "malformed v: \(number)"), ("cpu v=tRUE", "malformed v: \(number)"),
    ("cpu v=\0", "malformed v: \(number)"), ("cpu v=hello", "malformed v: \(number)"),
    ("cpu v=NaN", "invalid v: must be finite; leave a reading out that has no value"),
    ("cpu v=-Inf", "invalid v: must be finite; leave a reading out that has no value"),
    (#"cpu v="nan""#, "invalid v: must be finite; leave a reading out that has no value"),
    ("cpu v=1e309", "invalid v: is beyond the largest number, 1.8e308"),
    ("cpu v=\"\(long)\"", "invalid v: must be at most 1024 bytes of text"),
    ("cpu v=1 1x", "invalid \(badTime)"), (#"cpu v=1 0\"#, "invalid \(badTime)"),
    ("cpu v=1 1.5", "invalid \(badTime)"), ("cpu v=1 9223372036854775808", "invalid \(badTime)"),
    ("cpu v=1 1 2", "malformed ts: bad timestamp: something follows it"),
    ("cpu,a=1,a=2 v=1", "repeated tags: has a name twice"),
    ("° v=1", nil), ("° °=1", "invalid sensor: must have a letter or a digit"),
    ("\(long) v=1", "invalid sensor: must be at most 128 characters"),
    ("m,host=° v=1", "invalid device: must have a letter or a digit"),
    (
      "m,\((0...17).map { "t\($0)=1" }.joined(separator: ",")) v=1",
      "invalid tags: must be at most 16 besides the device's"
    ),
    ("m,\((0...16).map { "t\($0)=1" }.joined(separator: ",")) v=1", "invalid tags: must be at most 16"),
    ("m,t=\(long) v=1", "invalid tags: a value must be a text of at most 256 bytes of UTF-8"),
  ])
  func refusesALine(_ line: String, _ refusal: String?) {
    guard let refusal else { return #expect(lines(line) == [reading("d", "v", "1")]) }
    // The others of the body are taken, and a line is refused whole.
    #expect(
      lines("a v=1\n\n\(line)\nb v=2\n") == [reading("d", "a.v", "1"), reading("d", "b.v", "2"), "2 \(refusal)"])
  }

  @Test func findsTheEndOfALineThatItRefuses() {
    let good = reading("d", "m.v", "1")
    #expect(lines("m v=\"open\nm v=1\nm v=1") == [good, good, "0 malformed v: unbalanced quotes"])
    #expect(
      lines("m a=1,v=\"x\ny\"z\nm v=1") == [good, "0 malformed v: unbalanced quotes", "1 malformed missing fields"])
    #expect(lines("m v=1,w=x 5\nm v=1") == [good, "0 malformed w: \(Self.number)"])
  }

  @Test func refusesTimesOutOfBoundsAndDevicesThatAreNotNamed() {
    let bounds = TimeBounds(futureTolerance: 300_000, retention: 86_400_000)
    #expect(
      lines("m v=1,w=2 1795227618071", .milliseconds, bounds: bounds)
        == [
          "0 future ts: is more than 300 s in the future: it says 2026-11-21T02:20:18.071Z, and now is 2026-11-21T02:15:18.070Z"
        ])
    #expect(lines("m v=1 9223372036854775807", .milliseconds).map { $0.prefix(8) } == ["0 future"])
    #expect(lines("m v=1 9223372036854775807", .seconds).map { $0.prefix(9) } == ["0 invalid"])
    #expect(lines("m v=1 -1", bounds: bounds).map { $0.prefix(9) } == ["0 expired"])
    #expect(
      lines("m,a=b v=1", mapping: .init(deviceTags: ["node", "host"]))
        == ["0 missing device: is required: no tag node or host"])
  }

  @Test func refusesWhatIsNotUTF8() {
    let body =
      Array("m v=\"".utf8) + [0xc3, 0x28] + Array("\"\nm,t=".utf8) + [0xff] + Array(" v=1\nm".utf8) + [0xff]
      + Array(" v=1".utf8)
    let result = outcome(body) { body, context, batch, errors in
      try LineProtocol.decode(
        body: body, precision: .nanoseconds, mapping: .init(device: "d"), now: arrival, context: context, into: batch,
        errors: &errors)
    }
    #expect(
      result == [
        reading("d", "m_.v", "1"), "0 invalid v: is not UTF-8",
        "1 invalid tags: a value must be a text of at most 256 bytes of UTF-8",
      ])
  }

  @Test func refusesBodiesThatAreEmptyOrTooMuch() {
    for body in ["", "\n", "# only a comment", " \r\n"] { #expect(lines(body) == ["empty"]) }
    #expect(lines("m a=1,b=2,c=3", limit: 3).count == 3)
    #expect(lines("m a=1,b=2,c=3", limit: 2) == ["tooManyReadings(limit: 2)"])
    #expect(lines("m a=1\nx\nm b=1", limit: 2) == ["tooManyReadings(limit: 2)"])
    #expect(lines("x\nx\nx", limit: 2) == ["tooManyReadings(limit: 2)"])
  }
}
