import Glibc
import JSON
package import Readings

/// Sluice's own format: a reading, an array of readings, or a reading per line.
package enum SluiceFormat {
  /// How the readings of a body are put together.
  package enum Framing: Sendable {
    /// `application/json`: an object or an array of objects.
    case json
    /// `application/x-ndjson`: an object per line (LF or CRLF); blank lines do not count.
    case lines
    /// A message of a stream: what is in either of the two above, or an object with `reading` or `readings`, and `seq`.
    case message
  }

  /// The largest number that every JSON parser keeps exactly (RFC 8259, 6).
  private static let sequenceLimit: Int64 = (1 << 53) - 1

  /// Decodes a body into a batch.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - device: of readings that name none; empty refuses them.
  ///   - now: the time of arrival, in milliseconds.
  ///   - errors: gets the items that are no readings, in their order.
  /// - Throws: when nothing of the body can be taken; the batch is then as it was.
  package static func decode(
    padded body: UnsafeRawBufferPointer, framing: Framing,
    device: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError]
  ) throws(BodyError) {
    var sequence: Int64?
    try decode(
      padded: body, framing: framing, device: device, now: now, context: context, into: batch, errors: &errors,
      sequence: &sequence)
  }

  /// The same, with the sender's number of a message.
  ///
  /// - Parameter sequence: gets the message's `seq`, if it has one that can be read, also when this throws.
  package static func decode(
    padded body: UnsafeRawBufferPointer, framing: Framing,
    device: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), now: Int64, context: DecodingContext,
    into batch: ReadingBatch, errors: inout [ItemError], sequence: inout Int64?
  ) throws(BodyError) {
    let mark = batch.mark
    let body = body.withoutByteOrderMark()
    var items = Items(batch: batch, context: context, device: device, now: now)
    defer { sequence = items.sequence }
    do throws(BodyError) {
      switch framing {
      case .json: try items.decodeDocument(body)
      case .lines: try items.decodeLines(body)
      case .message where hasLines(body): try items.decodeLines(body)
      case .message: try items.decodeDocument(body, mayBeEnvelope: true)
      }
      if items.count == 0 { throw BodyError.empty }
    } catch {
      batch.roll(back: mark)
      throw error
    }
    errors += items.errors
  }

  /// Whether an object ends at the end of a line and the next begins another one, which no single JSON value allows.
  private static func hasLines(_ body: UnsafeRawBufferPointer) -> Bool {
    var last: UInt8 = 0
    var hasLineEnded = false
    for byte in body {
      switch byte {
      case UInt8(ascii: "\n"): hasLineEnded = true
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): continue
      default:
        if byte == UInt8(ascii: "{"), hasLineEnded, last == UInt8(ascii: "}") { return true }
        last = byte
        hasLineEnded = false
      }
    }
    return false
  }

  /// The items of one body, as they are decoded.
  private struct Items {
    let batch: ReadingBatch
    let context: DecodingContext
    let decoder: ReadingDecoder
    let device: UnsafeRawBufferPointer
    let implied: ReadingDecoder.Implied
    var count = 0
    var errors: [ItemError] = []
    /// The `seq` of an envelope.
    var sequence: Int64?

    init(batch: ReadingBatch, context: DecodingContext, device: UnsafeRawBufferPointer, now: Int64) {
      self.device = device
      self.batch = batch
      self.context = context
      decoder = ReadingDecoder(unknownMembers: .refuse, bounds: context.bounds)
      implied = ReadingDecoder.Implied(now: now)
    }

    mutating func decodeDocument(
      _ body: UnsafeRawBufferPointer, mayBeEnvelope: Bool = false
    ) throws(BodyError) {
      do {
        try context.parser.parse(padded: body) { (root) throws(BodyError) in
          switch root.kind {
          case .object where mayBeEnvelope && Self.isEnvelope(root): try decodeEnvelope(root)
          case .object: try decodeItem(root)
          case .array: for element in root.elements { try decodeItem(element) }
          default: throw .malformed("the body must be a JSON object or an array of objects")
          }
        }
      } catch {
        switch error {
        case .malformed(let error): throw .malformed("the body is not JSON: \(error)")
        case .refused(let error): throw error
        }
      }
    }

    /// A reading has none of these members.
    private static func isEnvelope(_ root: JSONValue) -> Bool {
      root["seq"] != nil || root["reading"] != nil || root["readings"] != nil
    }

    private mutating func decodeEnvelope(_ root: JSONValue) throws(BodyError) {
      if let value = root["seq"] {
        guard let number = value.integer, (0...SluiceFormat.sequenceLimit).contains(number) else {
          throw .malformed("seq must be a whole number from 0 to \(SluiceFormat.sequenceLimit)")
        }
        sequence = number
      }
      let allowed = "a message has the members seq and either reading, an object, or readings, an array; each once"
      let reading = root["reading"]
      let readings = root["readings"]
      let expected = (root["seq"] == nil ? 0 : 1) + 1
      guard (reading == nil) != (readings == nil), root.members.reduce(0, { count, _ in count + 1 }) == expected else {
        throw .malformed(allowed)
      }
      if let reading {
        guard reading.kind == .object else { throw .malformed(allowed) }
        try decodeItem(reading)
      }
      if let readings {
        guard readings.kind == .array else { throw .malformed(allowed) }
        for element in readings.elements { try decodeItem(element) }
      }
    }

    mutating func decodeLines(_ body: UnsafeRawBufferPointer) throws(BodyError) {
      guard let base = body.baseAddress else { return }
      var start = 0
      while start < body.count {
        let end = memchr(base + start, 0x0a, body.count - start).map { UnsafeRawPointer($0) - base } ?? body.count
        let line = UnsafeRawBufferPointer(rebasing: body[start..<end])
        start = end + 1
        if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }) {
          continue
        }
        do {
          try context.parser.parse(padded: line) { (root) throws(BodyError) in try decodeItem(root) }
        } catch {
          switch error {
          case .malformed(let error):
            try admit()
            refuse(ReadingError(.malformed, field: "", "the line is not JSON: \(error)"))
          case .refused(let error): throw error
          }
        }
      }
    }

    private mutating func decodeItem(_ value: JSONValue) throws(BodyError) {
      try admit()
      batch.item = UInt32(truncatingIfNeeded: count - 1)
      var implied = implied
      if !device.isEmpty, value["device"] == nil { implied.device = device }
      do {
        try decoder.decode(value, implied: implied, into: batch)
      } catch {
        refuse(error)
      }
    }

    private mutating func refuse(_ error: ReadingError) {
      errors.append(ItemError(index: count - 1, error: error))
    }

    private mutating func admit() throws(BodyError) {
      count += 1
      if count > context.readingsLimit { throw .tooManyReadings(limit: context.readingsLimit) }
    }
  }
}
