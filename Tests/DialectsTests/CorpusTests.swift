import DialectExercise
import Foundation
import Testing

/// The short form of the fuzzers: their kept inputs, and some thousands of mutations of them.
@Suite struct CorpusTests {
  private static func corpus(_ exercise: DialectExercise) throws -> [[UInt8]] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fuzz/Corpus/\(exercise.rawValue)")
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
  }

  @Test(arguments: DialectExercise.allCases)
  func keepsItsPromises(_ exercise: DialectExercise) throws {
    let inputs = try Self.corpus(exercise)
    var taken = 0
    for input in inputs {
      let outcome = input.withUnsafeBytes { exercise.run($0) }
      if outcome.readings > 0 || (exercise == .boxesFile && outcome.refusal == nil) { taken += 1 }
    }
    // Inputs that are all refused would try nothing.
    #expect(taken > 0)
    var random = Random(state: 0x5eed)
    for _ in 0..<1_000 {
      var input = inputs[random.next(inputs.count)]
      for _ in 0...random.next(4) { Self.mutate(&input, with: inputs, &random) }
      input.withUnsafeBytes { _ = exercise.run($0) }
    }
  }

  private static func mutate(_ input: inout [UInt8], with others: [[UInt8]], _ random: inout Random) {
    let position = random.next(input.count + 1)
    let end = min(input.count, position + random.next(16))
    switch random.next(6) {
    case 0: input.removeSubrange(position..<end)
    case 1: input.insert(contentsOf: input[position..<end], at: position)
    case 2: if position < input.count { input[position] = UInt8(random.next(256)) }
    case 3: input.insert(special[random.next(special.count)], at: position)
    case 4: input.insert(contentsOf: numbers[random.next(numbers.count)].utf8, at: position)
    default:
      let other = others[random.next(others.count)]
      let start = random.next(other.count)
      input.insert(contentsOf: other[start..<min(other.count, start + random.next(64))], at: position)
    }
  }

  private static let special = Array("\"\\,;={}[]: \n\r\t/.+-eE_#'".utf8) + [0, 0xff, 0xc3, 0xbf, 0x7f]
  private static let numbers = [
    "9223372036854775808", "-9223372036854775809i", "1e309", "1e-400", "NaN", "null", "\u{feff}",
    String(repeating: "x", count: 300), String(repeating: "[", count: 100),
    "179769313486231570000000000000000000000000000",
  ]

  /// xorshift64*: the same mutations in each run.
  private struct Random {
    var state: UInt64
    mutating func next(_ limit: Int) -> Int {
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      return Int((state &* 0x2545_f491_4f6c_dd1d) >> 33) % max(limit, 1)
    }
  }
}
