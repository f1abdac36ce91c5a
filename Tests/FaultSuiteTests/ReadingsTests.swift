import Testing

@testable import FaultSuite

@Suite struct ReadingsTests {
  private func stored(_ readings: [(String, Int)]) -> StoredCounts {
    var counts = StoredCounts()
    for (device, number) in readings { counts.add(device, number) }
    return counts
  }

  private func readings(_ text: String) throws -> Readings {
    var readings = Readings()
    try readings.add(outcomes: text)
    return readings
  }

  @Test func isCleanWhenEachAcceptedIsThereOnceAndEachDoubtfulAtMostOnce() throws {
    let readings = try readings("a 0 2\n? a 3 4\nb 0 0\n? b 1 1\n")
    #expect(readings.acceptedCount == 4)
    let verdict = readings.verdict(stored([("a", 0), ("a", 1), ("a", 2), ("a", 4), ("b", 0)]))
    #expect(verdict.isClean)
    #expect(verdict.accepted == 4 && verdict.doubtful == 3 && verdict.stored == 5)
  }

  @Test func findsWhatIsMissing() throws {
    let readings = try readings("a 0 19\n? b 0 3\n")
    let verdict = readings.verdict(stored([("a", 5)]))
    #expect(!verdict.isClean)
    #expect(verdict.missingCount == 19 && verdict.missing.count == 5)
    #expect(verdict.missing.first == Readings.Finding(device: "a", number: 0, stored: 0))
    #expect(verdict.repeatedCount == 0)
  }

  @Test(arguments: ["a 0 1\n", "? a 0 1\n"]) func findsWhatIsThereTwice(outcomes: String) throws {
    let verdict = try readings(outcomes).verdict(stored([("a", 0), ("a", 1), ("a", 1), ("a", 1)]))
    #expect(!verdict.isClean)
    #expect(verdict.repeated == [Readings.Finding(device: "a", number: 1, stored: 3)])
    #expect(verdict.missingCount == 0)
  }

  @Test func findsWhatWasNeverSent() throws {
    let readings = try readings("a 0 0\na 2 2\n")
    let verdict = readings.verdict(stored([("a", 0), ("a", 1), ("a", 2), ("a", 3), ("z", 0)]))
    #expect(!verdict.isClean)
    #expect(verdict.strangers == 3)
  }

  @Test(arguments: ["a 0\n", "a 1 0\n", "a -1 0\n", "? a 0 x\n", "a 0 1 2\n"]) func refusesOtherLines(line: String) {
    #expect(throws: Readings.MalformedLine.self) { try readings(line) }
  }
}
