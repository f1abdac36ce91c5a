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
  }

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
    let mark = batch.mark
    var items = Items(batch: batch, context: context, device: device, now: now)
    do throws(BodyError) {
      switch framing {
      case .json: try items.decodeDocument(body)
      case .lines: try items.decodeLines(body)
      }
      if items.count == 0 { throw BodyError.empty }
    } catch {
      batch.roll(back: mark)
      throw error
    }
    errors += items.errors
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

    init(batch: ReadingBatch, context: DecodingContext, device: UnsafeRawBufferPointer, now: Int64) {
      self.device = device
      self.batch = batch
      self.context = context
      decoder = ReadingDecoder(unknownMembers: .refuse, bounds: context.bounds)
      implied = ReadingDecoder.Implied(now: now)
    }

    mutating func decodeDocument(_ body: UnsafeRawBufferPointer) throws(BodyError) {
      do {
        try context.parser.parse(padded: body) { (root) throws(BodyError) in
          switch root.kind {
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

    mutating func decodeLines(_ body: UnsafeRawBufferPointer) throws(BodyError) {
      var start = 0
      while start < body.count {
        let rest = UnsafeRawBufferPointer(rebasing: body[start...])
        let length = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count
        start += length + 1
        let line = UnsafeRawBufferPointer(rebasing: rest[..<length])
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
