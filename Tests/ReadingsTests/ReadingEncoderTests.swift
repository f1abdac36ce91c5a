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

  @Test func decimalsAreWrittenAsTheyWereRead() {
    var generator = SystemRandomNumberGenerator()
    var texts = [
      "0.5", "-0.5", "0.1", "-0.000001", "0.000123", "999999999.999999", "-999999999.5", "21.05", "1000000000.5",
    ]
    for _ in 0..<20_000 {
      let decimals = Int.random(in: 1...6, using: &generator)
      let whole = Int.random(in: 0...999_999_999, using: &generator) >> Int.random(in: 0...30, using: &generator)
      let fraction = "\(Int.random(in: 0...999_998, using: &generator) + 1_000_001)".dropFirst().prefix(decimals)
      guard let last = fraction.lastIndex(where: { $0 != "0" }) else { continue }
      texts.append("\(Bool.random() ? "-" : "")\(whole).\(fraction[...last])")
    }
    for expected in texts {
      let written = text { ReadingEncoder.append(Double(expected) ?? 0, to: &$0) }
      #expect(written == expected)
    }
  }

  @Test(arguments: [(Int64.min, "-9223372036854775808"), (Int64.max, "9223372036854775807"), (0, "0"), (-10, "-10")])
  func integers(_ number: Int64, _ expected: String) {
    #expect(text { ReadingEncoder.append(number, to: &$0) } == expected)
  }

  @Test func whatNeedsAnEscapeGetsItWhereverItStands() {
    for byte in UInt8.min...UInt8.max {
      let mustBeEscaped = byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
      for count in [1, 7, 8, 9, 16, 23] {
        for place in 0..<count {
          var bytes = [UInt8](repeating: UInt8(ascii: "!"), count: count)
          bytes[place] = byte
          var out = ByteBuffer()
          bytes.withUnsafeBytes { ReadingEncoder.append(string: $0, to: &out) }
          let isAsItWas = out.bytes.dropFirst().dropLast().elementsEqual(bytes)
          #expect(isAsItWas == !mustBeEscaped, "\(byte) at \(place) of \(count)")
        }
      }
    }
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
