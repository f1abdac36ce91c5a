import Dialects
import JSON
import Readings
import Testing

@Suite struct MQTTDialectsTests {
  private let all = MQTTDialects(MQTTDialects.Dialect.allCases, zigbeeBase: "home/z2m")

  private func dialect(_ topic: String, _ dialects: MQTTDialects) -> String {
    Array(topic.utf8).withUnsafeBytes { dialects.dialect(of: $0)?.rawValue ?? "-" }
  }

  @Test(arguments: [
    ("sensors/d/t", "sluice"), ("sensors/d", "sluice"), ("sensorsd/t", "-"), ("tele/a/SENSOR", "tasmota"),
    ("home/z2m/a/b", "zigbee2mqtt"), ("home/z2mx/a", "-"), ("home/z2m", "-"), ("v3/a@t/devices/d/up", "ttn"),
    ("zigbee2mqtt/a", "-"), ("", "-"),
  ])
  func topicsSayWhatIsInThem(_ topic: String, _ expected: String) {
    #expect(dialect(topic, all) == expected)
    #expect(dialect(topic, MQTTDialects()) == (expected == "sluice" ? "sluice" : "-"))
  }

  @Test func onlyWhatIsChosenIsSubscribedTo() {
    #expect(MQTTDialects().filters == ["sensors/+/+", "sensors/+"])
    #expect(
      MQTTDialects([.ttn, .zigbee2mqtt], zigbeeBase: "z").filters == ["z/#", "v3/+/devices/+/up"])
    #expect(all.filters.count == 6)
  }

  /// Whole or not at all: a letter of it can be put back without anything being there twice.
  @Test func aMessageWithOneBadValueIsRefusedWhole() {
    let batch = ReadingBatch()
    let context = DecodingContext(
      parser: JSONParser(), bounds: TimeBounds(futureTolerance: 0, retention: 1_000), readingsLimit: 10)
    func decode(_ payload: String) -> String {
      Array("home/z2m/a".utf8).withUnsafeBytes { topic in
        Array(payload.utf8).withUnsafeBytes { payload in
          do throws(ReadingError) {
            let holds = try all.decode(topic: topic, payload: payload, now: 0, context: context, into: batch)
            return "\(holds) \(batch.count)"
          } catch {
            return "\(error.code.rawValue) \(batch.count)"
          }
        }
      }
    }
    #expect(decode(#"{"a":1,"text":"\#(String(repeating: "x", count: 2_000))"}"#) == "invalid 0")
    #expect(decode("{") == "malformed 0")
    #expect(decode("{}") == "false 0")
    #expect(decode(#"{"a":1,"b":2}"#) == "true 2")
  }
}
