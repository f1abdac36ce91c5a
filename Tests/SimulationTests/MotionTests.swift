import Foundation
import Readings
import Testing

@testable import Simulation

struct MotionTests {
  private struct Sent: Decodable {
    let device, sensor, unit, ts: String
    let value: Double
  }

  private static let now: Int64 = 1_763_691_318_070

  private func texts(seed: UInt64, count: Int = 2_000) -> [String] {
    let share = FleetShare(.motion, seed: seed, prefix: "p-", indices: 0..<7, run: "r", hasIDs: false)
    var out = ByteBuffer()
    for number in 0..<count {
      _ = share.appendReading(at: Self.now + Int64(number / 14) * 1_000, to: &out)
      out.append(UInt8(ascii: "\n"))
    }
    return String(decoding: out.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test func theSeedDecides() {
    #expect(texts(seed: 4) == texts(seed: 4))
    #expect(texts(seed: 4) != texts(seed: 5))
  }

  /// Each device's readings alternate between far and near, in the order of their times: so the Motion dashboard, which
  /// takes what is below 150 after what is not for a trigger, counts every one.
  @Test func everySecondReadingIsATrigger() throws {
    let readings = try texts(seed: 1).map { try JSONDecoder().decode(Sent.self, from: Data($0.utf8)) }
    for (_, own) in Dictionary(grouping: readings, by: \.device) {
      #expect(own.count > 200)
      #expect(own.map(\.ts) == own.map(\.ts).sorted() && Set(own.map(\.ts)).count == own.count)
      for (index, reading) in own.enumerated() {
        #expect(reading.sensor == "distance" && reading.unit == "cm")
        #expect(index % 2 == 0 ? (190...400).contains(reading.value) : (15..<145).contains(reading.value))
      }
    }
  }

  @Test func topics() {
    let share = FleetShare(.motion, seed: 1, prefix: "p-", indices: [3], run: "r", hasIDs: true)
    var out = ByteBuffer()
    let (identity, topic) = share.appendPayload(at: Self.now, to: &out)
    #expect(identity == ReadingIdentity(device: 0, sequence: 0))
    #expect(topic == "sensors/p-3/distance")
    #expect(String(decoding: out.bytes, as: UTF8.self).contains(#""unit":"cm","ts":"2025-11-21T02:15:17.770Z""#))
  }
}
