import Foundation
import Testing
import Timestamps

@Suite struct TimestampTests {
  private func parse(_ text: String) throws -> Int64 {
    try Array(text.utf8).withUnsafeBytes { try Timestamp.parse($0) }
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("2026-11-21T02:15:18.070Z", 1_795_227_318_070),
    ("2026-11-21t02:15:18.07z", 1_795_227_318_070), ("2026-11-21T03:15:18.0709999+01:00", 1_795_227_318_070),
    ("2026-11-20T20:45:18.07-05:30", 1_795_227_318_070), ("2026-11-21 02:15:18Z", 1_795_227_318_000),
    ("1969-12-31T23:59:59.999Z", -1), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ("0000-01-01T00:00:00Z", -62_167_219_200_000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
  ])
  func parses(_ text: String, _ expected: Int64) throws {
    #expect(try parse(text) == expected)
  }

  @Test(arguments: ["2026-11-21T02:15:18", "2026-11-21T02:15:18.5"])
  func refusesATimeWithoutZone(_ text: String) {
    #expect(throws: Timestamp.Failure.noZone) { try parse(text) }
  }

  @Test(arguments: [
    "", "now", "2026-11-21", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2025-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-11-31T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T00:60:00Z", "2026-11-21T00:00:61Z",
    "2026-11-21T00:00:00.Z",
    "2026-11-21T00:00:00+1:00", "2026-11-21T00:00:00+24:00", "2026-11-21T00:00:00Zx", "2026-11-21T00:00:00Z ",
    "-026-11-21T00:00:00Z",
    "2026/11/21T00:00:00Z", "2026-11-21T00:00:00 Z", "2026-11-21T00:00:00+01", "２026-11-21T00:00:00Z",
  ])
  func refuses(_ text: String) {
    #expect(throws: Timestamp.Failure.malformed) { try parse(text) }
  }

  @Test func agreesWithFoundationOnEveryDayOfFourCenturies() throws {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    // A step of 1 day, 1 h, 1 min, 1 s and 1 ms, so that all parts change.
    var time: Int64 = -2_208_988_800_000
    while time < 10_413_792_000_000 {
      let text = Timestamp.text(time)
      #expect(try parse(text) == time)
      if time % 50 == 0 { #expect(text == formatter.string(from: Date(timeIntervalSince1970: Double(time) / 1_000))) }
      time += 90_061_001
    }
  }

  @Test(arguments: [-62_167_219_200_000, 253_223_107_200_000])
  func readsWhatItWritesOnEveryDayOfTheFirstAndLastYears(first: Int64) throws {
    var last = ""
    for day in 0..<Int64(6 * 365) where first + day * 86_400_000 < 253_402_300_800_000 {
      let text = Timestamp.text(first + day * 86_400_000)
      #expect(try parse(text) == first + day * 86_400_000)
      #expect(text > last && text.hasSuffix("T00:00:00.000Z"))
      last = text
    }
  }

  @Test func clampsWhatRFC3339CannotSay() {
    #expect(Timestamp.text(.max) == "9999-12-31T23:59:59.999Z")
    #expect(Timestamp.text(.min) == "0000-01-01T00:00:00.000Z")
  }
}
