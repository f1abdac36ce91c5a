import Dialects
import JSON
import Readings
import Testing

@Suite struct SluiceFormatTests {
  private struct Outcome: Equatable {
    var accepted: Int
    var errors: [String]
  }

  private func decode(_ body: String, _ framing: SluiceFormat.Framing, limit: Int = 100) throws(BodyError) -> Outcome {
    let batch = ReadingBatch()
    var errors: [ItemError] = []
    let context = DecodingContext(
      parser: JSONParser(), bounds: TimeBounds(futureTolerance: 300_000, retention: 86_400_000), readingsLimit: limit)
    let padded = Array(body.utf8) + [UInt8](repeating: 0xff, count: JSONParser.padding)
    let failure = padded.withUnsafeBytes { bytes -> BodyError? in
      do throws(BodyError) {
        try SluiceFormat.decode(
          padded: UnsafeRawBufferPointer(rebasing: bytes[..<body.utf8.count]), framing: framing, now: 1_795_227_318_070,
          context: context, into: batch, errors: &errors)
        return nil
      } catch {
        return error
      }
    }
    if let failure {
      #expect(batch.isEmpty && errors.isEmpty)
      throw failure
    }
    return Outcome(accepted: batch.count, errors: errors.map { "\($0.index) \($0.error.code) \($0.error.field)" })
  }

  private static let good = #"{"device":"d","sensor":"s","value":1}"#
  private static let bad = #"{"device":"d","sensor":"s"}"#

  @Test func takesAnObjectAnArrayAndLines() throws {
    #expect(try decode(Self.good, .json) == Outcome(accepted: 1, errors: []))
    #expect(try decode(Self.bad, .json) == Outcome(accepted: 0, errors: ["0 missing value"]))
    #expect(
      try decode("[\(Self.good),\(Self.bad),7,\(Self.good)]", .json)
        == Outcome(accepted: 2, errors: ["1 missing value", "2 shape "]))
    #expect(
      try decode("\(Self.good)\r\n\n  \t\n{\n\(Self.bad)\n[\(Self.good)]\n\(Self.good)", .lines)
        == Outcome(accepted: 2, errors: ["1 malformed ", "2 missing value", "3 shape "]))
    #expect(
      try decode("\(Self.good)\n{\"device\":\"d\",\"sen", .lines) == Outcome(accepted: 1, errors: ["1 malformed "]))
  }

  @Test(arguments: ["", "{", "[\(good)", "\(good)x", "\(good)\n\(good)", "1", "null", "\"a\"", "[1e999]", "NaN"])
  func refusesAMalformedDocument(_ body: String) {
    do {
      _ = try decode(body, .json)
      Issue.record("accepted \(body)")
    } catch .malformed {
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test(arguments: [
    ("\(good)\n\(good)", 2), ("\(good) \r\n\n\t \(bad)", 1), ("\(good)\n", 1), ("\n\n\(good)", 1),
    (#"{"device":"d","sensor":"s","tags":{"a":"}\n{"},"value":1}"#, 1), ("[\(good),\n\(good)]", 2),
    ("[{\n},\n{\n}]", 0), ("{\"reading\":\n\(good)\n}", 1),
  ])
  func takesLinesAsAMessage(_ body: String, _ accepted: Int) throws {
    #expect(try decode(body, .message).accepted == accepted)
  }

  /// One that looked at all that is blank for each line end would need hours.
  @Test func takesAMessageOfLineEndsInTime() {
    #expect(throws: BodyError.self) { try decode(String(repeating: "\n", count: 4 << 20), .message) }
  }

  @Test(arguments: [SluiceFormat.Framing.json, .lines, .message])
  func takesAByteOrderMark(_ framing: SluiceFormat.Framing) throws {
    #expect(try decode("\u{feff}\(Self.good)", framing) == Outcome(accepted: 1, errors: []))
  }

  @Test func refusesWhatIsEmptyOrTooMuch() {
    #expect(throws: BodyError.empty) { try decode("[]", .json) }
    #expect(throws: BodyError.empty) { try decode("", .lines) }
    #expect(throws: BodyError.empty) { try decode("\n \r\n", .lines) }
    let three = Array(repeating: Self.good, count: 3)
    #expect(throws: BodyError.tooManyReadings(limit: 2)) {
      try decode("[\(three.joined(separator: ","))]", .json, limit: 2)
    }
    #expect(throws: BodyError.tooManyReadings(limit: 2)) { try decode(three.joined(separator: "\n"), .lines, limit: 2) }
    #expect(throws: Never.self) { try decode(three.joined(separator: "\n"), .lines, limit: 3) }
  }
}
