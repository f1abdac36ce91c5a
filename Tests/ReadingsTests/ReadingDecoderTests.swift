import Readings
import Testing

@Suite struct ReadingDecoderTests {
  @Test(arguments: [
    (
      #"{"device":"greenhouse-3","sensor":"temperature","value":21.5,"unit":"Cel","ts":"2026-11-21T02:15:18.070Z","location":[7.68,51.97,66],"id":"x1","tags":{"site":"north"}}"#,
      #"{"device":"greenhouse-3","sensor":"temperature","value":21.5,"unit":"Cel","ts":"2026-11-21T02:15:18.070Z","location":[7.68,51.97,66],"id":"x1","tags":{"site":"north"}}"#
    ),
    (
      #"{"value":true,"sensor":"door","device":"d"}"#,
      #"{"device":"d","sensor":"door","value":true,"ts":"2026-11-21T02:15:18.070Z"}"#
    ),
    (
      #"{"device":"d","sensor":"s","value":"a\"\\\u0001\n€","ts":"2026-11-21T03:15:18+01:00"}"#,
      #"{"device":"d","sensor":"s","value":"a\"\\\u0001\n€","ts":"2026-11-21T02:15:18.000Z"}"#
    ),
    (
      #"{"device":"d","sensor":"s","value":-0.0,"location":[-180,90],"tags":{}}"#,
      #"{"device":"d","sensor":"s","value":-0.0,"ts":"2026-11-21T02:15:18.070Z","location":[-180,90]}"#
    ),
    (
      #"{"device":"A/b_c:d-e.9","sensor":"0","value":1e300}"#,
      #"{"device":"A/b_c:d-e.9","sensor":"0","value":1e+300,"ts":"2026-11-21T02:15:18.070Z"}"#
    ),
    (
      #"{"device":"d","sensor":"s","value":""}"#,
      #"{"device":"d","sensor":"s","value":"","ts":"2026-11-21T02:15:18.070Z"}"#
    ),
  ])
  func decodesAndEncodes(_ json: String, _ expected: String) throws {
    #expect(try canonical(json) == expected)
    // What is canonical stays as it is.
    #expect(try canonical(expected) == expected)
  }

  private static func with(_ members: String) -> String { #"{"device":"d","sensor":"s","value":1,"# + members + "}" }

  @Test(arguments: [
    ("[]", "shape "), ("1", "shape "), ("{}", "missing device"), (#"{"device":"d"}"#, "missing sensor"),
    (#"{"device":"d","sensor":"s"}"#, "missing value"), (#"{"device":"d","sensor":"s","value":null}"#, "shape value"),
    (#"{"device":"d","sensor":"s","value":[1]}"#, "shape value"),
    (#"{"device":"d","sensor":"s","value":{}}"#, "shape value"),
    (#"{"device":7,"sensor":"s","value":1}"#, "shape device"),
    (#"{"device":"","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"a b","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"d\u0000","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"d\n","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"-d","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"é","sensor":"s","value":1}"#, "invalid device"),
    (#"{"device":"d","sensor":"$s","value":1}"#, "invalid sensor"),
    (#"{"device":"d","sensor":"s","value":"NaN"}"#, "invalid value"),
    (#"{"device":"d","sensor":"s","value":"-Infinity"}"#, "invalid value"),
    (#"{"device":"d","sensor":"s","value":"inf"}"#, "invalid value"),
    (#"{"device":"d","device":"d","sensor":"s","value":1}"#, "repeated device"),
    (with(#""value":2"#), "repeated value"), (with(#""colour":"red""#), "unknown colour"),
    (with(#""ts":5"#), "shape ts"),
    (with(#""ts":"yesterday""#), "invalid ts"), (with(#""ts":"2026-11-21T02:15:18""#), "invalid ts"),
    (with(#""ts":"1970-01-01T00:00:00Z""#), "expired ts"), (with(#""ts":"2200-01-01T00:00:00Z""#), "future ts"),
    (with(#""unit":"""#), "invalid unit"), (with(#""unit":5"#), "invalid unit"),
    (with(#""unit":"a\u007f""#), "invalid unit"),
    (with(#""location":[1]"#), "invalid location"), (with(#""location":[1,2,3,4]"#), "invalid location"),
    (with(#""location":[181,0]"#), "invalid location"), (with(#""location":[0,-91]"#), "invalid location"),
    (with(#""location":["7","8"]"#), "invalid location"), (with(#""location":{"lat":1}"#), "invalid location"),
    (with(#""id":"""#), "invalid id"), (with(#""id":"a\u0007""#), "invalid id"), (with(#""id":12"#), "invalid id"),
    (with(#""tags":[]"#), "shape tags"), (with(#""tags":{"a":1}"#), "invalid tags"),
    (with(#""tags":{"a.b":"1"}"#), "invalid tags"),
    (with(#""tags":{"$a":"1"}"#), "invalid tags"), (with(#""tags":{"":"1"}"#), "invalid tags"),
    (with(#""tags":{"a":"1","a":"2"}"#), "repeated tags"),
  ])
  func refuses(_ json: String, _ expected: String) {
    #expect(refusal(json) == expected)
  }

  @Test func keepsItsLimitsToTheByte() {
    func of(device: Int = 1, text: Int = 1, unit: Int = 1, id: Int = 1, tags: Int = 1, tagValue: Int = 1) -> String {
      let word = { String(repeating: "x", count: $0) }
      let pairs = (0..<tags).map { "\"t\($0)\":\"\(word(tagValue))\"" }.joined(separator: ",")
      return
        #"{"device":"\#(word(device))","sensor":"s","value":"\#(word(text))","unit":"\#(word(unit))","id":"\#(word(id))","tags":{\#(pairs)}}"#
    }
    #expect(refusal(of(device: 128, text: 1024, unit: 32, id: 128, tags: 16, tagValue: 256)) == "accepted")
    #expect(refusal(of(device: 129)) == "invalid device")
    #expect(refusal(of(text: 1025)) == "invalid value")
    #expect(refusal(of(unit: 33)) == "invalid unit")
    #expect(refusal(of(id: 129)) == "invalid id")
    #expect(refusal(of(tags: 17)) == "invalid tags")
    #expect(refusal(of(tagValue: 257)) == "invalid tags")
  }

  @Test func keepsItsTimeBoundsToTheMillisecond() throws {
    for (ts, expected) in [
      (now + 300_000, true), (now + 300_001, false), (now - bounds.retention, true),
      (now - bounds.retention - 1, false),
    ] {
      var isAccepted = true
      do { try bounds.check(ts, now: now) } catch { isAccepted = false }
      #expect(isAccepted == expected)
    }
  }

  @Test func identifiersAreExactlyTheirAlphabet() {
    let first = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    let other = first.union("._:/-".utf8)
    for byte in UInt8.min...UInt8.max {
      [byte].withUnsafeBytes { #expect(ReadingRules.isIdentifier($0) == first.contains(byte)) }
      [UInt8(ascii: "a"), byte].withUnsafeBytes { #expect(ReadingRules.isIdentifier($0) == other.contains(byte)) }
      for count in [7, 8, 9, 15, 16, 17, 128] {
        for place in 1..<count {
          var name = [UInt8](repeating: UInt8(ascii: "z"), count: count)
          name[place] = byte
          name.withUnsafeBytes { #expect(ReadingRules.isIdentifier($0) == other.contains(byte)) }
        }
      }
    }
  }

  @Test func countsUnknownMembersWhereTheyAreBorne() throws {
    let json = #"{"device":"d","sensor":"s","value":1,"x":[1,{"y":2}],"z":null,"ts":"2026-11-21T02:15:18.070Z"}"#
    #expect(
      try canonical(json, unknown: .count) == #"{"device":"d","sensor":"s","value":1,"ts":"2026-11-21T02:15:18.070Z"}"#)
  }

  @Test func takesWhatTheTopicImplies() throws {
    #expect(
      try canonical(#"{"value":1}"#, device: "d", sensor: "s")
        == #"{"device":"d","sensor":"s","value":1,"ts":"2026-11-21T02:15:18.070Z"}"#)
    #expect(refusal(#"{"value":1,"device":"e"}"#, device: "d", sensor: "s") == "invalid device")
    #expect(refusal(#"{"value":1,"sensor":"t"}"#, device: "d", sensor: "s") == "invalid sensor")
    #expect(refusal(#"{"value":1,"device":"d"}"#, device: "d", sensor: "s") == "accepted")
  }

  @Test func takesSeveralSensorsOfOneDevice() throws {
    let json =
      #"{"temperature":21.5,"ts":"2026-11-21T02:15:18Z","open":true,"humidity":{"value":40,"unit":"%RH"},"id":"7","tags":{"a":"b"}}"#
    #expect(
      try canonical(json, device: "d", several: true) == """
        {"device":"d","sensor":"temperature","value":21.5,"ts":"2026-11-21T02:15:18.000Z","id":"7/temperature","tags":{"a":"b"}}
        {"device":"d","sensor":"open","value":true,"ts":"2026-11-21T02:15:18.000Z","id":"7/open","tags":{"a":"b"}}
        {"device":"d","sensor":"humidity","value":40,"unit":"%RH","ts":"2026-11-21T02:15:18.000Z","id":"7/humidity","tags":{"a":"b"}}
        """)
    for (json, expected) in [
      ("{}", "missing "), (#"{"ts":"2026-11-21T02:15:18Z"}"#, "missing "), (#"{"a":1,"a":2}"#, "repeated a"),
      (#"{"a":null}"#, "shape a"), (#"{"a":{"unit":"m"}}"#, "missing value"),
      (#"{"a":{"value":1,"x":2}}"#, "unknown x"),
      (#"{"a b":1}"#, "invalid sensor"), (#"{"a":1,"device":"e"}"#, "invalid device"), ("[1]", "shape "),
    ] {
      #expect(refusal(json, device: "d", several: true) == expected)
    }
  }

  @Test func refusesHalfABatchWithoutLosingTheRest() throws {
    let batch = ReadingBatch()
    let good = #"{"device":"d","sensor":"s","value":"text","tags":{"a":"b"}}"#
    try decode(good, into: batch)
    for _ in 0..<3 {
      #expect(throws: ReadingError.self) {
        try decode(#"{"device":"e","sensor":"t","value":"u","tags":{"c":"d","c":"e"}}"#, into: batch)
      }
    }
    try decode(good, into: batch)
    var out = ByteBuffer()
    for reading in batch.readings { ReadingEncoder.encode(reading, of: batch, into: &out) }
    let one = #"{"device":"d","sensor":"s","value":"text","ts":"2026-11-21T02:15:18.070Z","tags":{"a":"b"}}"#
    #expect(String(decoding: out.bytes, as: UTF8.self) == one + one)
  }
}
