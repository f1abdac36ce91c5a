import Dialects
import JSON
import Readings
import Testing

/// The time of arrival in these tests: 2026-11-21T02:15:18.070Z.
let arrival: Int64 = 1_795_227_318_070
/// Wide enough for the examples of documents that are years old.
let wideBounds = TimeBounds(futureTolerance: 300_000, retention: 30 * 365 * 86_400_000)

/// Decodes a body and tells what came of it: the canonical JSON of each reading, without its time where that is the time of
/// arrival; then each refused item as `index code field: reason`; or else why the whole body is refused.
///
/// The batch holds a reading before, which has to stay as it is.
func outcome(
  _ body: [UInt8], limit: Int = 100, bounds: TimeBounds = wideBounds, hasRelativeTimes: Bool = false,
  _ decode: (
    UnsafeRawBufferPointer, DecodingContext, ReadingBatch, inout [ItemError]
  ) throws -> Void
) -> [String] {
  let batch = ReadingBatch()
  let context = DecodingContext(parser: JSONParser(), bounds: bounds, readingsLimit: limit)
  let first = Array("sensors/first/one".utf8)
  first.withUnsafeBytes { topic in
    Array("1".utf8).withUnsafeBytes {
      try! SensorTopic.decode(topic: topic, payload: $0, now: arrival, context: context, into: batch)
    }
  }
  let text = batch.textCount
  var errors: [ItemError] = []
  let padded = body + [UInt8](repeating: 0xff, count: JSONParser.padding)
  do {
    try padded.withUnsafeBytes {
      try decode(UnsafeRawBufferPointer(rebasing: $0[..<body.count]), context, batch, &errors)
    }
  } catch {
    #expect(batch.count == 1 && batch.textCount == text && batch.nextTag == 0 && errors.isEmpty)
    return ["\(error)"]
  }
  var lines = batch.readings.dropFirst().map { reading in
    // Whether a repeat is known by its time depends on whose time it is.
    #expect(reading.isTimed == (reading.ts != arrival) || hasRelativeTimes && !reading.isTimed)
    var out = ByteBuffer()
    ReadingEncoder.encode(reading, of: batch, into: &out)
    let json = String(decoding: out.bytes, as: UTF8.self)
    let ts = #","ts":"2026-11-21T02:15:18.070Z""#
    guard let range = json.firstRange(of: ts) else { return json }
    return json.replacingCharacters(in: range)
  }
  lines += errors.map { "\($0.index) \($0.error.code) \($0.error)" }
  return lines
}

extension String {
  fileprivate func replacingCharacters(in range: Range<String.Index>) -> String {
    String(self[..<range.lowerBound] + self[range.upperBound...])
  }
}

func outcome(
  _ body: String, limit: Int = 100, bounds: TimeBounds = wideBounds, hasRelativeTimes: Bool = false,
  _ decode: (UnsafeRawBufferPointer, DecodingContext, ReadingBatch, inout [ItemError]) throws -> Void
) -> [String] {
  outcome(Array(body.utf8), limit: limit, bounds: bounds, hasRelativeTimes: hasRelativeTimes, decode)
}

/// A canonical reading.
func reading(_ device: String, _ sensor: String, _ value: String, _ more: String = "") -> String {
  #"{"device":"\#(device)","sensor":"\#(sensor)","value":\#(value)\#(more)}"#
}
