import Dialects
import JSON
import Readings
import Testing

@Suite struct SensorTopicTests {
  private static let now: Int64 = 1_795_227_318_070
  private let context = DecodingContext(
    parser: JSONParser(), bounds: TimeBounds(futureTolerance: 300_000, retention: 86_400_000), readingsLimit: 5)

  /// The canonical readings, a line each, or `code field` of the refusal.
  private func outcome(_ topic: String, _ payload: [UInt8]) -> String {
    let batch = ReadingBatch()
    // One that is there already, and has to stay as it is.
    _ = decode("sensors/first/one", Array("1".utf8), into: batch)
    let text = batch.textCount
    if let error = decode(topic, payload, into: batch) {
      if batch.count != 1 || batch.textCount != text || batch.nextTag > 0 { return "left something behind" }
      return "\(error.code) \(error.field)"
    }
    var out = ByteBuffer()
    for reading in batch.readings.dropFirst() {
      if out.count > 0 { out.append("\n") }
      ReadingEncoder.encode(reading, of: batch, into: &out)
    }
    return String(decoding: out.bytes, as: UTF8.self)
  }

  private func decode(_ topic: String, _ payload: [UInt8], into batch: ReadingBatch) -> ReadingError? {
    Array(topic.utf8).withUnsafeBytes { topic in
      // A copy of exactly that size: what is read behind it would be found by the address sanitizer.
      payload.withUnsafeBytes { payload in
        do throws(ReadingError) {
          try SensorTopic.decode(topic: topic, payload: payload, now: Self.now, context: context, into: batch)
          return nil
        } catch {
          return error
        }
      }
    }
  }

  private static let ts = #","ts":"2026-11-21T02:15:18.070Z""#

  private static func reading(_ value: String, _ more: String = ts, sensor: String = "t") -> String {
    #"{"device":"d-1","sensor":"\#(sensor)","value":\#(value)\#(more)}"#
  }

  @Test(arguments: [
    ("21.5", "21.5"), (" 21.5\n", "21.5"), ("\t-3e2\r\n", "-300"), ("0", "0"), ("-0.0", "-0.0"), ("1e-3", "0.001"),
    ("18446744073709551615", "1.8446744073709552e+19"), ("9007199254740993", "9007199254740992.0"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ("1e-400", "0"), ("true", "true"), (" false ", "false"),
    (#""open""#, #""open""#), (#""""#, #""""#), (#""a \"b\"\nc""#, #""a \"b\"\nc""#), (#""\u00e9ü""#, #""éü""#),
    (#""21.5""#, #""21.5""#), (#""nana""#, #""nana""#),
    ("\"\(String(repeating: "x", count: 1_024))\"", "\"\(String(repeating: "x", count: 1_024))\""),
  ])
  func takesABareValue(_ payload: String, _ value: String) {
    #expect(outcome("sensors/d-1/t", Array(payload.utf8)) == Self.reading(value))
  }

  @Test(arguments: [
    // Nothing, and what is not JSON.
    ("", "malformed "), (" \n", "malformed "), ("ON", "malformed "), ("open", "malformed "), ("TRUE", "malformed "),
    ("21,5", "malformed "), ("+21.5", "malformed "), (".5", "malformed "), ("5.", "malformed "), ("021", "malformed "),
    ("0x1F", "malformed "), ("21.5 C", "malformed "), ("21.5\0", "malformed "), ("1 2", "malformed "),
    ("1e999", "malformed "), ("-1e309", "malformed "), ("'a'", "malformed "), (#""a"#, "malformed "),
    (#""\ud800""#, "malformed "), ("{", "malformed "), (#"{"value":1"#, "malformed "),
    (#"{"value":NaN}"#, "malformed "),
    ("\u{feff}1", "malformed "), ("nano", "malformed "), ("inf 1", "malformed "),
    // Not finite, as printf and others write it.
    ("nan", "invalid value"), (" NaN\n", "invalid value"), ("-inf", "invalid value"), ("+Infinity", "invalid value"),
    (#""nan""#, "invalid value"), (#"{"value":"-inf"}"#, "invalid value"),
    // JSON of the wrong shape.
    ("null", "shape value"), ("[1]", "shape "), ("[]", "shape "), (#"[{"value":1}]"#, "shape "),
    (#"{"value":null}"#, "shape value"), (#"{"value":[1]}"#, "shape value"), (#"{"value":{}}"#, "shape value"),
    // Objects that are no readings.
    ("{}", "missing value"), (#"{"temperature":1}"#, "unknown temperature"),
    (#"{"value":1,"value":2}"#, "repeated value"),
    (#"{"value":1,"device":"other"}"#, "invalid device"), (#"{"value":1,"sensor":"other"}"#, "invalid sensor"),
    (#"{"value":1,"unit":""}"#, "invalid unit"), (#"{"value":1,"ts":1700000000}"#, "shape ts"),
    (#"{"value":1,"ts":"2026-11-21T02:15:18"}"#, "invalid ts"),
    (#"{"value":1,"ts":"2026-11-21T02:20:18.071Z"}"#, "future ts"),
    (#"{"value":1,"ts":"2026-11-20T02:15:18.069Z"}"#, "expired ts"),
    ("\"\(String(repeating: "x", count: 1_025))\"", "invalid value"),
  ])
  func refusesAPayload(_ payload: String, _ refusal: String) {
    #expect(outcome("sensors/d-1/t", Array(payload.utf8)) == refusal)
  }

  @Test func refusesBinary() {
    #expect(outcome("sensors/d-1/t", [0]) == "malformed ")
    #expect(outcome("sensors/d-1/t", [0xff, 0xd8, 0xff, 0xe0]) == "malformed ")
    #expect(outcome("sensors/d-1/t", Array("\"".utf8) + [0xc3, 0x28] + Array("\"".utf8)) == "malformed ")
    #expect(outcome("sensors/d-1", Array(0...255)) == "malformed ")
    #expect(outcome("sensors/d-1/t", [UInt8](repeating: UInt8(ascii: "["), count: 5_000)) == "malformed ")
  }

  @Test func takesAnObjectOfOneReading() {
    func outcome(_ payload: String) -> String { self.outcome("sensors/d-1/t", Array(payload.utf8)) }
    #expect(outcome(#"{"value":21.5}"#) == Self.reading("21.5"))
    #expect(outcome(#"{"device":"d-1","sensor":"t","value":true}"#) == Self.reading("true"))
    let all =
      #"{"value":1,"unit":"Cel","ts":"2026-11-21T03:15:00+01:00","location":[7.5,52],"id":"a1","tags":{"site":"n"}}"#
    #expect(
      outcome(all)
        == Self.reading(
          "1",
          #","unit":"Cel","ts":"2026-11-21T02:15:00.000Z","location":[7.5,52],"id":"a1","tags":{"site":"n"}"#))
  }

  @Test func takesAnObjectOfSeveralReadings() {
    func outcome(_ payload: String) -> String { self.outcome("sensors/d-1", Array(payload.utf8)) }
    #expect(
      outcome(#"{"t":21.5,"door":"open","h":{"value":40,"unit":"%RH"},"id":"a","ts":"2026-11-21T02:15:00Z"}"#)
        == [
          Self.reading("21.5", #","ts":"2026-11-21T02:15:00.000Z","id":"a/t""#),
          Self.reading(#""open""#, #","ts":"2026-11-21T02:15:00.000Z","id":"a/door""#, sensor: "door"),
          Self.reading("40", #","unit":"%RH","ts":"2026-11-21T02:15:00.000Z","id":"a/h""#, sensor: "h"),
        ].joined(separator: "\n"))
    // One that names its sensor is one reading, not two of the sensors "sensor" and "value".
    #expect(outcome(#"{"sensor":"t","value":21.5,"unit":"Cel"}"#) == Self.reading("21.5", #","unit":"Cel""# + Self.ts))
    #expect(outcome(#"{"value":21.5}"#) == Self.reading("21.5", sensor: "value"))
    #expect(outcome(#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#).split(separator: "\n").count == 5)
  }

  @Test(arguments: [
    ("", "malformed "), ("21.5", "shape "), ("true", "shape "), (#""a""#, "shape "), ("null", "shape "),
    ("[1]", "shape "), ("{}", "missing "), (#"{"ts":"2026-11-21T02:15:18Z"}"#, "missing "),
    (#"{"t":nan}"#, "malformed "),
    (#"{"t":null}"#, "shape t"), (#"{"t":1,"t":2}"#, "repeated t"), (#"{"t":1,"bad name":2}"#, "invalid sensor"),
    (#"{"t":1,"device":"other"}"#, "invalid device"), (#"{"sensor":"t","value":1,"x":2}"#, "unknown x"),
    (#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#, "invalid "),
  ])
  func refusesAPayloadForADevice(_ payload: String, _ refusal: String) {
    #expect(outcome("sensors/d-1", Array(payload.utf8)) == refusal)
  }

  private static let longest = "a" + String(repeating: "b", count: 127)

  @Test(arguments: [
    ("sensors", "invalid topic", nil), ("sensors/", "invalid device", nil), ("sensors//t", "invalid device", nil),
    ("sensors/d/", "invalid sensor", "d"), ("sensors/d/t/x", "invalid topic", nil),
    ("sensors/d/t/", "invalid topic", nil),
    ("sensor/d/t", "invalid topic", nil), ("/sensors/d/t", "invalid topic", nil), ("Sensors/d/t", "invalid topic", nil),
    ("sensorsd/t", "invalid topic", nil), ("", "invalid topic", nil), ("$SYS/broker/load", "invalid topic", nil),
    ("sensors/+/t", "invalid device", nil), ("sensors/d/+", "invalid sensor", "d"),
    ("sensors/d/#", "invalid sensor", "d"),
    ("sensors/#", "invalid device", nil), ("sensors/-d/t", "invalid device", nil),
    ("sensors/.d/t", "invalid device", nil),
    ("sensors/d 1/t", "invalid device", nil), ("sensors/d/t 1", "invalid sensor", "d"),
    ("sensors/küche/t", "invalid device", nil), ("sensors/d/t\u{1}", "invalid sensor", "d"),
    ("sensors/\(longest)b/t", "invalid device", nil), ("sensors/d/\(longest)b", "invalid sensor", "d"),
    ("sensors/d/" + String(repeating: "t", count: 240), "invalid sensor", "d"),
  ])
  func refusesATopic(_ topic: String, _ refusal: String, _ device: String?) {
    // Even with a payload that would name what the topic does not.
    #expect(outcome(topic, Array(#"{"device":"x","sensor":"y","value":1}"#.utf8)) == refusal)
    #expect(self.device(topic) == device)
  }

  @Test func takesTheLongestAndOddestNames() {
    let topic = "sensors/\(Self.longest)/\(Self.longest)"
    #expect(outcome(topic, Array("1".utf8)).hasPrefix(#"{"device":"\#(Self.longest)","sensor":"\#(Self.longest)","#))
    #expect(device(topic) == Self.longest)
    #expect(outcome("sensors/0/0", Array("1".utf8)).hasPrefix(#"{"device":"0","sensor":"0","value":1,"#))
    #expect(outcome("sensors/a.b_c:d-/T:1", Array("1".utf8)).hasPrefix(#"{"device":"a.b_c:d-","sensor":"T:1","#))
    #expect(device("sensors/d") == "d")
  }

  private func device(_ topic: String) -> String? {
    Array(topic.utf8).withUnsafeBytes { SensorTopic.device(of: $0).map { String(decoding: $0, as: UTF8.self) } }
  }

  @Test func saysWhatIsAccepted() {
    func reason(_ payload: String) -> String {
      decode("sensors/d/t", Array(payload.utf8), into: ReadingBatch())?.description ?? "accepted"
    }
    #expect(reason("ON").hasSuffix("; a bare value is a number, true, false or a text in quotes"))
    #expect(reason("").hasSuffix("is empty"))
    #expect(reason("NaN") == "value: must be finite; leave a reading out that has no value")
    #expect(!reason("{").contains("quotes"))
  }
}
