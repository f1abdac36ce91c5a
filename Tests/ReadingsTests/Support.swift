import JSON
import Readings
import Testing

/// The time of arrival in these tests: 2026-11-21T02:15:18.070Z.
let now: Int64 = 1_795_227_318_070
let bounds = TimeBounds(futureTolerance: 300_000, retention: 90 * 86_400_000)

/// Decodes one object and returns the canonical JSON of what came of it, a line each.
func canonical(
  _ json: String, unknown: ReadingDecoder.UnknownMembers = .refuse, device: String = "", sensor: String = "",
  several: Bool = false
) throws -> String {
  let batch = ReadingBatch()
  try decode(json, unknown: unknown, device: device, sensor: sensor, several: several, into: batch)
  var out = ByteBuffer()
  for (index, reading) in batch.readings.enumerated() {
    if index > 0 { out.append(UInt8(ascii: "\n")) }
    ReadingEncoder.encode(reading, of: batch, into: &out)
  }
  return String(decoding: out.bytes, as: UTF8.self)
}

func decode(
  _ json: String, unknown: ReadingDecoder.UnknownMembers = .refuse, device: String = "", sensor: String = "",
  several: Bool = false, into batch: ReadingBatch
) throws {
  let decoder = ReadingDecoder(unknownMembers: unknown, bounds: bounds)
  let device = Array(device.utf8)
  let sensor = Array(sensor.utf8)
  try Array(json.utf8).withUnsafeBytes { text in
    try device.withUnsafeBytes { device in
      try sensor.withUnsafeBytes { sensor in
        var implied = ReadingDecoder.Implied(now: now)
        if !device.isEmpty { implied.device = device }
        if !sensor.isEmpty { implied.sensor = sensor }
        do {
          try JSONParser().parse(copying: text) { (root) throws(ReadingError) in
            if several {
              try decoder.decodeSeveral(root, implied: implied, into: batch)
            } else {
              try decoder.decode(root, implied: implied, into: batch)
            }
          }
        } catch JSONParsing<ReadingError>.refused(let error) {
          throw error
        }
      }
    }
  }
}

/// What a text is refused for: `code field`.
func refusal(_ json: String, device: String = "", sensor: String = "", several: Bool = false) -> String {
  let batch = ReadingBatch()
  do {
    try decode(json, device: device, sensor: sensor, several: several, into: batch)
    return "accepted"
  } catch let error as ReadingError {
    // A refused reading leaves nothing behind.
    if !batch.isEmpty || batch.textCount > 0 || batch.nextTag > 0 { return "left something behind" }
    return "\(error.code) \(error.field)"
  } catch {
    return "\(error)"
  }
}
