import JSON
package import Readings
import Timestamps

/// What boxes send to the openSenseMap API: `POST /boxes/{box}/data` and `POST /boxes/{box}/{sensor}`.
///
/// As there, a body is taken whole or not at all. The device is the box's name in the boxes file, the sensor the name found
/// there; what the file does not have keeps its id. (Rules: openSenseMap-API, packages/models/src/measurement/decoding.)
package enum OpenSenseMap {
  /// How the measurements of a body are written.
  package enum Format: Sendable, CaseIterable {
    case json, csv
    /// Records of 16 bytes: an id of 12 bytes and a float, little-endian.
    case sbxBytes
    /// The same with the seconds since 1970 behind: 20 bytes.
    case sbxBytesWithTimes
    case luftdaten, hackAIR

    /// The format of a request; nil where that API answers 415 "Unsupported content-type.".
    ///
    /// - Parameters:
    ///   - contentType: the header as it came.
    ///   - luftdaten: whether the query has `luftdaten` with any value.
    ///   - hackAIR: whether the query has `hackair` with any value.
    package init?(contentType: String?, luftdaten: Bool = false, hackAIR: Bool = false) {
      let type = contentType.map { $0.prefix { $0 != ";" }.lowercased() } ?? ""
      switch type.filter({ $0 != " " && $0 != "\t" }) {
      case _ where hackAIR: self = .hackAIR
      case _ where luftdaten: self = .luftdaten
      case "application/json", "json": self = .json
      case "text/csv", "csv": self = .csv
      case "application/sbx-bytes", "sbx-bytes": self = .sbxBytes
      case "application/sbx-bytes-ts", "sbx-bytes-ts": self = .sbxBytesWithTimes
      case "luftdaten": self = .luftdaten
      case "hackair": self = .hackAIR
      default: return nil
      }
    }
  }

  /// What that API answers instead of taking a body: the status, and the members of the JSON object.
  package struct Refusal: Error, Equatable, Sendable {
    package let status: Int
    package let code: String
    package let message: String

    package static let boxNotFound = Refusal(status: 404, code: "NotFound", message: "Box not found")

    static func unprocessable(_ message: String) -> Refusal {
      Refusal(status: 422, code: "UnprocessableEntity", message: message)
    }
  }

  /// Whether an id may be one: 24 letters and digits, except one that the API itself refuses as a mere example.
  static func isID(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count == 24 && !bytes.equals("00112233445566778899aabb")
      && bytes.allSatisfy { ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 &- UInt8(ascii: "0") < 10 }
  }

  /// Decodes the body of `POST /boxes/{box}/data`.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - box: the id from the path.
  ///   - now: the time of arrival, in milliseconds; that of a measurement without one.
  /// - Throws: the answer; the batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, format: Format, box: UnsafeRawBufferPointer, boxes: BoxesFile, now: Int64,
    context: DecodingContext, into batch: ReadingBatch
  ) throws(Refusal) {
    try decode(box, boxes, now, context, batch) { (measurements) throws(BodyError) in
      switch format {
      case .json: try measurements.decodeJSON(body)
      case .csv: try measurements.decodeCSV(body)
      case .sbxBytes: try measurements.decodeRecords(body, hasTimes: false)
      case .sbxBytesWithTimes: try measurements.decodeRecords(body, hasTimes: true)
      case .luftdaten: try measurements.decodeLuftdaten(body)
      case .hackAIR: try measurements.decodeHackAIR(body)
      }
    }
  }

  /// Decodes the body of `POST /boxes/{box}/{sensor}`: `{"value":…,"createdAt":…,"location":…}`.
  ///
  /// - Throws: the answer; the batch is then as it was.
  package static func decodeSingle(
    padded body: UnsafeRawBufferPointer, box: UnsafeRawBufferPointer, sensor: UnsafeRawBufferPointer, boxes: BoxesFile,
    now: Int64, context: DecodingContext, into batch: ReadingBatch
  ) throws(Refusal) {
    try decode(box, boxes, now, context, batch) { (measurements) throws(BodyError) in
      try measurements.decodeSingle(body, sensor)
    }
  }

  private static func decode(
    _ box: UnsafeRawBufferPointer, _ boxes: BoxesFile, _ now: Int64, _ context: DecodingContext, _ batch: ReadingBatch,
    _ decode: (BoxMeasurements) throws(BodyError) -> Void
  ) throws(Refusal) {
    guard isID(box) else { throw .boxNotFound }
    let mark = batch.mark
    var errors: [ItemError] = []
    do {
      try Intake.run(into: batch, context: context, now: now, errors: &errors) { (intake) throws(BodyError) in
        try decode(BoxMeasurements(intake, box, boxes.box(box)))
      }
    } catch {
      switch error {
      case .malformed(let message) where message.hasPrefix(Intake.notJSON):
        throw Refusal(status: 400, code: "InvalidContent", message: message)
      case .malformed(let message): throw .unprocessable(message)
      case .empty: throw .unprocessable("Cannot save empty or invalid measurements.")
      case .tooManyReadings(let limit):
        throw .unprocessable("Too many measurements. Please submit at most \(limit) measurements at once.")
      }
    }
    guard let first = errors.first else { return }
    batch.roll(back: mark)
    if first.error.reason == BoxMeasurements.missingParameter {
      throw Refusal(status: 400, code: "BadRequest", message: first.error.reason)
    }
    throw .unprocessable("\(first.error.reason) in measurement \(first.index)")
  }
}
