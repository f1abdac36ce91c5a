import JSON
import Readings
import Testing
import Timestamps

@testable import Simulation

struct ModelTests {
  /// A quarter of an hour apart, over more than a year.
  private static let times = stride(from: Int64(1_760_000_000_000), to: 1_795_000_000_000, by: 900_000)

  private func number(_ value: Reading.Value) -> Double? {
    if case .number(let number) = value { return number }
    return nil
  }

  @Test func readingsArePlausible() throws {
    var seen: Set<ClimateSensor> = []
    for index in 0..<20 {
      var device = ClimateDevice(index, seed: 7)
      #expect(device.has(.temperature) && device.has(.humidity))
      #expect((7.1...8.1).contains(device.location.longitude) && (51.6...52.3).contains(device.location.latitude))
      for sensor in ClimateSensor.allCases where device.has(sensor) {
        seen.insert(sensor)
        for time in Self.times {
          switch device.measure(sensor, at: time) {
          case .number(let number):
            #expect(sensor != .door && sensor.range.contains(number), "\(sensor) \(number) at \(time)")
          case .boolean: #expect(sensor == .door)
          case .text: Issue.record("\(sensor) is a text")
          }
        }
      }
    }
    #expect(seen == Set(ClimateSensor.allCases))
  }

  /// The mean of what a sensor shows at an hour (UTC, an half behind the sun there) of many days.
  private func mean(_ device: inout ClimateDevice, _ sensor: ClimateSensor, hour: Int64) -> Double {
    let days = stride(from: Int64(1_760_054_400_000), to: 1_791_590_400_000, by: 86_400_000)
    var sum = 0.0
    var count = 0.0
    for day in days {
      sum += number(device.measure(sensor, at: day + hour * 3_600_000)) ?? .nan
      count += 1
    }
    return sum / count
  }

  @Test(arguments: 0..<8) func dayAndNight(index: Int) {
    var device = ClimateDevice(index, seed: 1)
    let (night, day) = (3, 14) as (Int64, Int64)
    #expect(mean(&device, .temperature, hour: day) > mean(&device, .temperature, hour: night) + 4)
    #expect(mean(&device, .humidity, hour: day) < mean(&device, .humidity, hour: night) - 4)
    if device.has(.illuminance) {
      #expect(mean(&device, .illuminance, hour: 12) > 1_000)
      #expect(mean(&device, .illuminance, hour: 0) == 0)
    }
  }

  @Test func nothingJumpsButTheNewBattery() {
    for index in 0..<20 {
      var device = ClimateDevice(index, seed: 3)
      var replaced = 0
      for (sensor, step) in [(ClimateSensor.temperature, 3.0), (.humidity, 12.0), (.pressure, 3.0), (.battery, 3.0)]
      where device.has(sensor) {
        var last: Double?
        for time in Self.times {
          let value = number(device.measure(sensor, at: time))!
          if let last, abs(value - last) > step {
            #expect(sensor == .battery && last < 10 && value > 90, "\(sensor) from \(last) to \(value)")
            replaced += 1
          }
          last = value
        }
      }
      #expect(replaced <= 8)
    }
  }

  @Test func doorsOpenAndClose() {
    var open = 0
    var total = 0
    for index in 0..<50 {
      var device = ClimateDevice(index, seed: 5)
      guard device.has(.door) else { continue }
      for time in Self.times.prefix(2_000) {
        total += 1
        if device.measure(.door, at: time) == .boolean(true) { open += 1 }
      }
    }
    #expect(total > 0 && open > total / 50 && open < total / 3)
  }

  @Test func noiseIsBoundedAndCentred() {
    var generator = SeededGenerator(seed: 1)
    let numbers = (0..<20_000).map { _ in generator.noise(2) }
    #expect(numbers.allSatisfy { $0.magnitude <= 6 })
    let mean = numbers.reduce(0, +) / 20_000
    let variance = numbers.reduce(0) { $0 + $1 * $1 } / 20_000
    #expect(mean.magnitude < 0.05 && (3.6...4.2).contains(variance))
  }

  private func texts(seed: UInt64, count: Int = 5_000, hasIDs: Bool = false) -> [String] {
    let share = FleetShare(.climate, seed: seed, prefix: "p-", indices: 0..<7, run: "r", hasIDs: hasIDs)
    var out = ByteBuffer()
    for number in 0..<count {
      _ = share.appendReading(at: 1_763_691_318_070 + Int64(number) * 1_000, to: &out)
      out.append(UInt8(ascii: "\n"))
    }
    return String(decoding: out.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test func theSeedDecides() {
    #expect(texts(seed: 4) == texts(seed: 4))
    #expect(texts(seed: 4) != texts(seed: 5))
  }

  @Test func sequencesHaveNoGapsAndTextsAreReadings() throws {
    let now: Int64 = 1_763_691_318_070
    let share = FleetShare(.climate, seed: 2, prefix: "p-", indices: [4, 9, 23], run: "r1", hasIDs: true)
    let decoder = ReadingDecoder(
      unknownMembers: .refuse, bounds: TimeBounds(futureTolerance: 0, retention: 1_000_000))
    let parser = JSONParser()
    let batch = ReadingBatch()
    let text = { (range: ByteRange) in String(decoding: batch[range], as: UTF8.self) }
    var next = [0, 0, 0]
    for number in 0..<1_000 {
      var out = ByteBuffer()
      var topic: String?
      let identity: ReadingIdentity
      if number % 2 == 0 {
        identity = share.appendReading(at: now, to: &out)
      } else {
        (identity, topic) = share.appendPayload(at: now, to: &out)
      }
      #expect(identity.sequence == next[identity.device])
      next[identity.device] += 1
      let device = Array("p-\([4, 9, 23][identity.device])".utf8)
      #expect(share.name(identity.device).elementsEqual(device))
      batch.removeAll()
      let levels = topic.map { $0.split(separator: "/").map { Array($0.utf8) } } ?? []
      var implied = ReadingDecoder.Implied(now: now)
      if topic != nil {
        try #require(levels.count == 3 && levels[0] == Array("sensors".utf8))
        #expect(levels[1] == device)
      }
      try (levels.last ?? []).withUnsafeBytes { sensor in
        try device.withUnsafeBytes { device in
          if topic != nil { (implied.device, implied.sensor) = (device, sensor) }
          _ = try parser.parse(copying: out.bytes) { try decoder.decode($0, implied: implied, into: batch) }
        }
      }
      let reading = try #require(batch.readings.first)
      #expect(text(reading.device) == "p-\([4, 9, 23][identity.device])")
      #expect(reading.ts == now)
      #expect(reading.location == Fleet.climate.device([4, 9, 23][identity.device], seed: 2).location)
      #expect(text(reading.id) == "r1-\(identity.sequence)")
      let tags = batch.tags(of: reading).map { "\(text($0.name))=\(text($0.value))" }
      #expect(tags == ["run=r1", "seq=\(identity.sequence)"])
    }
    #expect(next.reduce(0, +) == 1_000 && next.min()! > 100)
    #expect(texts(seed: 4, count: 100).allSatisfy { !$0.contains(#""id""#) })
  }
}
