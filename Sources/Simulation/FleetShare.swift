import Readings
import Timestamps

/// A reading's identity within a run, for counting.
struct ReadingIdentity: Equatable {
  /// The device's index within its share.
  var device: Int
  /// From 0 for each device and run, without gaps.
  var sequence: Int
}

/// The devices that one connection speaks for, and the texts of their readings. They take turns, and each sends all readings
/// of a turn before the next has its own. For one thread.
final class FleetShare {
  private var devices: [FleetDevice] = []
  private var sequences: [Int] = []
  private var names: [ByteRange] = []
  private var locations: [ByteRange] = []
  private var text = ByteBuffer(capacity: 4_096)
  private let run: ByteRange
  private let hasIDs: Bool
  private var turn = 0
  private var step = 0

  /// - Parameters:
  ///   - indices: of the devices within the whole fleet; at least one.
  ///   - run: identifies the run among all others: letters and digits.
  ///   - hasIDs: whether each reading has an `id`.
  init(_ fleet: Fleet, seed: UInt64, prefix: String, indices: some Sequence<Int>, run: String, hasIDs: Bool) {
    self.hasIDs = hasIDs
    self.run = Self.keep(run, in: &text)
    for index in indices {
      let device = fleet.device(index, seed: seed)
      devices.append(device)
      sequences.append(0)
      names.append(Self.keep("\(prefix)\(index)", in: &text))
      let place = device.location
      let height = place.height.map { ",\(Int($0))" } ?? ""
      locations.append(Self.keep(#","location":[\#(place.longitude),\#(place.latitude)\#(height)]"#, in: &text))
    }
    precondition(!devices.isEmpty)
  }

  private static func keep(_ words: String, in text: inout ByteBuffer) -> ByteRange {
    let offset = text.count
    text.append(text: words)
    return ByteRange(offset: UInt32(offset), count: UInt32(text.count - offset))
  }

  var count: Int { devices.count }

  /// A device's name.
  func name(_ device: Int) -> UnsafeRawBufferPointer { text.bytes(names[device]) }

  /// Appends the next reading as the HTTP API takes it: an object that names its device and sensor.
  /// - Parameter now: when it is measured, in milliseconds since 1970.
  func appendReading(at now: Int64, to out: inout ByteBuffer) -> ReadingIdentity {
    let (identity, step) = next()
    out.append(#"{"device":""#)
    out.append(text.bytes(names[identity.device]))
    out.append(#"","sensor":""#)
    out.append(devices[identity.device].sensor(step))
    out.append(#"","value":"#)
    appendMembers(identity, step, now, to: &out)
    return identity
  }

  /// Appends the next reading as an MQTT payload: an object without the names that are in the topic.
  func appendPayload(at now: Int64, to out: inout ByteBuffer) -> (identity: ReadingIdentity, topic: String) {
    let (identity, step) = next()
    out.append(#"{"value":"#)
    appendMembers(identity, step, now, to: &out)
    return (identity, topic(identity.device, devices[identity.device].sensor(step)))
  }

  /// What follows `"value":`.
  private func appendMembers(
    _ identity: ReadingIdentity, _ step: Int, _ now: Int64, to out: inout ByteBuffer
  ) {
    let measurement = devices[identity.device].measure(step, at: now)
    switch measurement.value {
    case .number(let number): ReadingEncoder.append(number, to: &out)
    case .boolean(let boolean): out.append(boolean ? "true" : "false")
    case .text(let range): ReadingEncoder.append(string: text.bytes(range), to: &out)
    }
    if measurement.unit.utf8CodeUnitCount > 0 {
      out.append(#","unit":""#)
      out.append(measurement.unit)
      out.append(UInt8(ascii: "\""))
    }
    out.append(#","ts":""#)
    out.append(count: Timestamp.formattedCount) { Timestamp.format(measurement.ts, into: $0) }
    out.append(UInt8(ascii: "\""))
    out.append(text.bytes(locations[identity.device]))
    if hasIDs {
      out.append(#","id":""#)
      out.append(text.bytes(run))
      out.append(UInt8(ascii: "-"))
      ReadingEncoder.append(Int64(identity.sequence), to: &out)
      out.append(UInt8(ascii: "\""))
    }
    out.append(#","tags":{"run":""#)
    out.append(text.bytes(run))
    out.append(#"","seq":""#)
    ReadingEncoder.append(Int64(identity.sequence), to: &out)
    out.append(#""}}"#)
  }

  private func topic(_ device: Int, _ sensor: StaticString) -> String {
    let name = text.bytes(names[device])
    let prefix: StaticString = "sensors/"
    let count = prefix.utf8CodeUnitCount + name.count + 1 + sensor.utf8CodeUnitCount
    return String(unsafeUninitializedCapacity: count) { out in
      var end = UnsafeMutableRawBufferPointer(out)
      func put(_ bytes: UnsafeRawBufferPointer) {
        end.copyMemory(from: bytes)
        end = UnsafeMutableRawBufferPointer(rebasing: end[bytes.count...])
      }
      put(UnsafeRawBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
      put(name)
      end[0] = UInt8(ascii: "/")
      end = UnsafeMutableRawBufferPointer(rebasing: end[1...])
      put(UnsafeRawBufferPointer(start: sensor.utf8Start, count: sensor.utf8CodeUnitCount))
      return count
    }
  }

  private func next() -> (ReadingIdentity, step: Int) {
    // Every turn has at least one reading, so this ends.
    while true {
      if let step = devices[turn].step(from: step) {
        self.step = step + 1
        let identity = ReadingIdentity(device: turn, sequence: sequences[turn])
        sequences[turn] += 1
        return (identity, step)
      }
      step = 0
      turn = turn + 1 == devices.count ? 0 : turn + 1
    }
  }
}
