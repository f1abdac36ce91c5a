import MQTT
import Readings
import Testing

@testable import Bridge

/// Which readings get an id by which their redelivery is recognised, and which of them get the same.
@Suite struct RedeliveryIDTests {
  private static let now: Int64 = 1_795_227_318_070
  private static let timed = #"{"value":1,"ts":"2026-11-21T02:15:18Z"}"#

  /// The ids of what a message holds, "-" for none.
  private func ids(
    _ payload: String, _ topic: String = "sensors/d/t", qos: Int = 1, now: Int64 = now,
    deduplicates: Bool = true
  ) throws -> [String] {
    let translation = Translation(
      bounds: TimeBounds(futureTolerance: 300_000, retention: 86_400_000), payloadLimit: 1 << 20, readingsLimit: 1_000,
      deduplicates: deduplicates)
    // Another before it: a batch holds the readings of many messages.
    _ = translation.add(MQTTMessage(topic: "sensors/other/t", payload: Array(Self.timed.utf8), qos: 0), now: now)
    _ = translation.add(
      MQTTMessage(topic: topic, payload: Array(payload.utf8), qos: qos), now: now)
    #expect(translation.refused.isEmpty)
    let ids = translation.readings.readings.map { reading in
      reading.id.isEmpty ? "-" : String(decoding: translation.readings[reading.id], as: UTF8.self)
    }
    #expect(ids.first == "-")
    return Array(ids.dropFirst())
  }

  /// The same in every process and version: otherwise what an earlier one left unacknowledged would be stored again.
  @Test func isTheSameForEver() throws {
    #expect(try ids(Self.timed) == ["mqtt-4CQufE4kQoLVZtMBNcq50C"])
  }

  @Test func isTheSameAtEachDelivery() throws {
    let id = try ids(Self.timed)
    #expect(id[0].hasPrefix("mqtt-") && id[0].utf8.count == 27)
    #expect(try ids(Self.timed, now: Self.now + 3_600_000) == id)
    #expect(try ids(Self.timed, qos: 2) == id)
  }

  @Test(arguments: [
    "1", "true", #""open""#, #"{"value":1}"#, #"{"value":1,"tags":{"ts":"2026-11-21T02:15:18Z"}}"#,
  ])
  func isAbsentWhereTheSenderGaveNoTime(_ payload: String) throws {
    #expect(try ids(payload) == ["-"])
  }

  @Test func isAbsentWhereItHasNoUse() throws {
    #expect(try ids(Self.timed, qos: 0) == ["-"])
    #expect(try ids(Self.timed, deduplicates: false) == ["-"])
    #expect(try ids(#"{"a":1,"b":2}"#, "sensors/d") == ["-", "-"])
  }

  @Test func leavesTheSendersOwnIDs() throws {
    #expect(try ids(#"{"value":1,"ts":"2026-11-21T02:15:18Z","id":"mine"}"#) == ["mine"])
    #expect(try ids(#"{"a":1,"ts":"2026-11-21T02:15:18Z","id":"mine"}"#, "sensors/d") == ["mine/a"])
  }

  @Test func differsWhereAnythingDoes() throws {
    let messages = [
      ("sensors/d/t", Self.timed), ("sensors/d/u", Self.timed), ("sensors/e/t", Self.timed),
      ("sensors/d/t", #"{"value":2,"ts":"2026-11-21T02:15:18Z"}"#),
      ("sensors/d/t", #"{"value":true,"ts":"2026-11-21T02:15:18Z"}"#),
      ("sensors/d/t", #"{"value":"1","ts":"2026-11-21T02:15:18Z"}"#),
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18.001Z"}"#),
      // Times are kept to the millisecond; these are two measurements all the same.
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18.0011Z"}"#),
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18Z","unit":"V"}"#),
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18Z","tags":{"axis":"x"}}"#),
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18Z","tags":{"axis":"y"}}"#),
      ("sensors/d/t", #"{"value":1,"ts":"2026-11-21T02:15:18Z","location":[0,0]}"#),
      ("sensors/d", #"{"t":1,"ts":"2026-11-21T02:15:18Z"}"#),
      ("sensors/d", #"{"sensor":"t","value":1,"ts":"2026-11-21T02:15:18Z"}"#),
      ("sensors/d", #"{"t":1,"u":1,"v":1,"ts":"2026-11-21T02:15:18Z"}"#),
    ]
    let all = try messages.flatMap { try ids($0.1, $0.0) }
    #expect(all.count == messages.count + 2)
    #expect(Set(all).count == all.count)
    #expect(all.allSatisfy { $0.hasPrefix("mqtt-") })
  }
}
