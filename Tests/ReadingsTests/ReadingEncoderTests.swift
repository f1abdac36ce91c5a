import Foundation
import Readings
import Testing

@Suite struct ReadingEncoderTests {
  private func text(_ body: (inout ByteBuffer) -> Void) -> String {
    var out = ByteBuffer(capacity: 1)
    body(&out)
    return String(decoding: out.bytes, as: UTF8.self)
  }

  @Test func numbersReadBackAsTheSameDouble() {
    var numbers: [Double] = [
      0, -0.0, 1, -1, 0.1, 21.5, 1e15, -1e15, 999_999_999_999_999, 9_007_199_254_740_992, 1e22, .leastNonzeroMagnitude,
      .greatestFiniteMagnitude,
      .leastNormalMagnitude, .pi, 1 / 3, 123_456.789,
    ]
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      let number = Double(bitPattern: generator.next())
      if number.isFinite { numbers.append(number) }
    }
    for number in numbers {
      let written = text { ReadingEncoder.append(number, to: &$0) }
      #expect(Double(written)?.bitPattern == number.bitPattern, "\(written)")
    }
  }

  @Test(arguments: [(Int64.min, "-9223372036854775808"), (Int64.max, "9223372036854775807"), (0, "0"), (-10, "-10")])
  func integers(_ number: Int64, _ expected: String) {
    #expect(text { ReadingEncoder.append(number, to: &$0) } == expected)
  }

  @Test func stringsAreWhatFoundationReads() throws {
    for scalar in (0..<0x250).compactMap(Unicode.Scalar.init) + ["€", "😀", "\u{2028}"] {
      let string = "a\(Character(scalar))b"
      let written = text { out in
        var string = string
        string.withUTF8 { ReadingEncoder.append(string: UnsafeRawBufferPointer($0), to: &out) }
      }
      #expect(try JSONDecoder().decode(String.self, from: Data(written.utf8)) == string)
    }
  }
}
