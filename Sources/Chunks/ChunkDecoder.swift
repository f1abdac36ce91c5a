package import Dialects
import JSON
package import Readings

/// Decodes the chunks of one text. For one thread.
package struct ChunkDecoder {
  /// Something of a text that is no reading.
  package struct Refusal: Equatable, Sendable {
    /// From 1.
    package let line: Int
    package let reason: String

    package init(line: Int, reason: String) {
      self.line = line
      self.reason = reason
    }
  }

  /// What a chunk turned out to be, besides its readings.
  package struct Decoded {
    /// What is no reading, in its order.
    package let refusals: [Refusal]
    /// Where the items of the readings are.
    package let places: ChunkPlaces
  }

  /// Why nothing of the text can be taken.
  package struct Unusable: Error, Equatable {
    package let reason: String

    package init(reason: String) { self.reason = reason }
  }

  private let dialect: RecordDialect
  private let mapping: CSVMapping
  private let device: [UInt8]
  private let header: [UInt8]
  private let headerLines: Int
  private let context: DecodingContext
  private var body: [UInt8] = []
  /// Items before the next chunk, where these are not lines.
  private var items: Int64 = 0

  /// - Parameters:
  ///   - device: of readings that name none.
  ///   - header: the first lines of a CSV text, which say what the columns are.
  /// - Throws: when the header does not, whatever is behind it: it may be all that there is.
  package init(
    _ dialect: RecordDialect, mapping: CSVMapping, device: String?, header: [UInt8], context: DecodingContext
  ) throws(Unusable) {
    self.dialect = dialect
    self.mapping = mapping
    self.device = Array((device ?? "").utf8)
    self.header = header
    headerLines = header.count { $0 == UInt8(ascii: "\n") }
    self.context = context
    if dialect == .csv { try checkHeader() }
  }

  private func checkHeader() throws(Unusable) {
    var errors: [ItemError] = []
    let failure = header.withUnsafeBytes { header -> BodyError? in
      do throws(BodyError) {
        try decode(header, 0, ReadingBatch(), &errors)
        return nil
      } catch {
        return error
      }
    }
    if case .malformed(let reason)? = failure { throw Unusable(reason: reason) }
  }

  /// Decodes a chunk, and gives its readings their ids.
  ///
  /// - Parameters:
  ///   - line: the number of its first line in the text, from 0.
  ///   - identity: what makes the ids; nil for none.
  ///   - now: the time of arrival, in milliseconds.
  package mutating func decode(
    _ chunk: UnsafeRawBufferPointer, records: [ChunkRecord], line: Int, identity: (any TextIdentity)?, now: Int64,
    into batch: ReadingBatch, buffer: inout ByteBuffer
  ) throws(Unusable) -> Decoded {
    var records = records
    if dialect == .sluice || dialect == .senml { records.removeAll { Self.isBlank(chunk, from: $0.start) } }
    let places = ChunkPlaces(records, dialect: dialect, skipped: headerLines)
    guard !records.isEmpty else { return Decoded(refusals: [], places: places) }
    let first = dialect == .csv || dialect == .influxdb ? Int64(line - headerLines) : items
    items += Int64(records.count)
    body.removeAll(keepingCapacity: true)
    body += header
    body += chunk
    let count = body.count
    body.append(contentsOf: repeatElement(0, count: JSONParser.padding))
    var errors: [ItemError] = []
    let failure = body.withUnsafeBytes { bytes -> BodyError? in
      do throws(BodyError) {
        try decode(UnsafeRawBufferPointer(rebasing: bytes[..<count]), now, batch, &errors)
        return nil
      } catch {
        return error
      }
    }
    if case .malformed(let reason)? = failure {
      // With a header that says nothing, no row does.
      if dialect == .csv { throw Unusable(reason: reason) }
      return Decoded(refusals: [Refusal(line: line + records[0].line + 1, reason: reason)], places: places)
    }
    identity?.identify(batch, places: places, chunk: chunk, line: line, firstItem: first, buffer: &buffer)
    var finder = places
    let refusals = errors.map { error in
      let place = places.isPack ? "record \(error.index): " : ""
      return Refusal(line: line + finder.find(error.index).line + 1, reason: place + "\(error.error)")
    }
    return Decoded(refusals: refusals, places: places)
  }

  /// Counts a record that no chunk has, for it is too long.
  package mutating func skipRecord() { items += 1 }

  private func decode(
    _ body: UnsafeRawBufferPointer, _ now: Int64, _ batch: ReadingBatch, _ errors: inout [ItemError]
  ) throws(BodyError) {
    let name = device.isEmpty ? nil : String(decoding: device, as: UTF8.self)
    switch dialect {
    case .sluice:
      // The function that lends bytes does not know typed errors.
      let result = device.withUnsafeBytes { device -> Result<Void, BodyError> in
        do throws(BodyError) {
          return .success(
            try SluiceFormat.decode(
              padded: body, framing: .lines, device: device, now: now, context: context, into: batch, errors: &errors))
        } catch {
          return .failure(error)
        }
      }
      try result.get()
    case .csv:
      try CSVFormat.decode(body: body, mapping: mapping, now: now, context: context, into: batch, errors: &errors)
    case .influxdb:
      try LineProtocol.decode(
        body: body, precision: .nanoseconds, mapping: .init(device: name), now: now, context: context, into: batch,
        errors: &errors)
    case .senml:
      try SenML.decode(padded: body, device: name, now: now, context: context, into: batch, errors: &errors)
    }
  }

  /// What `SluiceFormat` does not count, and what may stand between two packs.
  private static func isBlank(_ chunk: UnsafeRawBufferPointer, from start: Int) -> Bool {
    for byte in chunk[start...] {
      if byte == UInt8(ascii: "\n") { break }
      if byte != 0x20, byte != 0x09, byte != 0x0d { return false }
    }
    return true
  }
}
