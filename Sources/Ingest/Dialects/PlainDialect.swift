import Dialects
import HTTP
import Readings

/// A dialect whose clients take Sluice's own answers: they have none of their own to expect, or look at the status only.
struct PlainDialect: RequestDialect {
  typealias Decode =
    @Sendable (UnsafeRawBufferPointer, Int64, DecodingContext, ReadingBatch, inout [ItemError]) throws(BodyError) ->
    Void

  let name: String
  let source: StaticString
  /// What is answered to a body without a reading; nil: that it is refused.
  var empty: Response?
  let decode: Decode

  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response? {
    do throws(BodyError) {
      try decode(body, now, context, batch, &errors)
      return nil
    } catch {
      if case .empty = error, let empty { return empty }
      return Answers.refused(error)
    }
  }

  func answer(_ outcome: Outcome) -> Response { Answers.outcome(outcome) }
}

extension PlainDialect {
  /// Sluice's own format; `StreamDialect` is that of streams.
  static func readings(_ framing: SluiceFormat.Framing) -> PlainDialect { framing == .json ? json : lines }

  private static let json = PlainDialect(name: "sluice", source: "http") {
    (body, now, context, batch, errors) throws(BodyError) in
    try SluiceFormat.decode(
      padded: body, framing: .json, now: now, context: context, into: batch, errors: &errors)
  }
  private static let lines = PlainDialect(name: "sluice", source: "http") {
    (body, now, context, batch, errors) throws(BodyError) in
    try SluiceFormat.decode(
      padded: body, framing: .lines, now: now, context: context, into: batch, errors: &errors)
  }

  /// - Parameter device: that of records whose names have none.
  static func senML(device: String?) -> PlainDialect {
    PlainDialect(name: "senml", source: "senml") { (body, now, context, batch, errors) throws(BodyError) in
      try SenML.decode(padded: body, device: device, now: now, context: context, into: batch, errors: &errors)
    }
  }

  static func csv(_ mapping: CSVMapping) -> PlainDialect {
    PlainDialect(name: "csv", source: "csv") { (body, now, context, batch, errors) throws(BodyError) in
      try CSVFormat.decode(body: body, mapping: mapping, now: now, context: context, into: batch, errors: &errors)
    }
  }

  /// The airrohr firmware takes each status from 200 to 208 for a success, and does not repeat anything.
  static func sensorCommunity(sensor: String?, pin: String?) -> PlainDialect {
    PlainDialect(name: "sensor-community", source: "sensor-community") {
      (body, now, context, batch, errors) throws(BodyError) in
      try SensorCommunity.decode(
        padded: body, sensor: sensor, pin: pin, now: now, context: context, into: batch, errors: &errors)
    }
  }

  /// A webhook: each status of 2xx is a success. Joins and acknowledgements are no readings, and nothing is wrong with them.
  static let theThingsNetwork = PlainDialect(
    name: "ttn", source: "ttn", empty: Response.json(200, Array(#"{"accepted":0}"#.utf8)).prepared()
  ) { (body, now, context, batch, errors) throws(BodyError) in
    try TheThingsNetwork.decode(padded: body, now: now, context: context, into: batch, errors: &errors)
  }
}
