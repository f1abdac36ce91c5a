import JSON
import Testing

@Suite struct JSONParserTests {
  private func parse<Result>(_ text: String, depth: Int = 32, _ body: (JSONValue) -> Result) throws -> Result {
    let parser = JSONParser(maximumDepth: depth)
    var text = text
    return try text.withUTF8 { bytes in try parser.parse(copying: UnsafeRawBufferPointer(bytes), body) }
  }

  private func dump(_ value: JSONValue) -> String {
    switch value.kind {
    case .object:
      "{" + value.members.map { "\(String(decoding: $0.name, as: UTF8.self)):\(dump($0.value))" }.joined(separator: ",")
        + "}"
    case .array: "[" + value.elements.map(dump).joined(separator: ",") + "]"
    case .string: "'" + String(decoding: value.string!, as: UTF8.self) + "'"
    case .number: "\(value.number!)"
    case .boolean: "\(value.boolean!)"
    case .null: "null"
    }
  }

  @Test(arguments: [
    (#"{"a":1,"b":[true,false,null,-2.5e3],"c":{"d":"é\n"}}"#, "{a:1.0,b:[true,false,null,-2500.0],c:{d:'é\n'}}"),
    (#"[]"#, "[]"), (#"{}"#, "{}"), (#" "x" "#, "'x'"), ("-7", "-7.0"),
    ("18446744073709551615", "1.8446744073709552e+19"),
    (#"{"a":1,"a":2}"#, "{a:1.0,a:2.0}"), (#"[[[]],{"k":{}}]"#, "[[[]],{k:{}}]"), (#"{"":""}"#, "{:''}"),
    (#""\ud83d\ude00""#, "'😀'"),
    // JavaScript writes 1e20 like this.
    ("100000000000000000000", "1e+20"), ("-9223372036854775809", "-9.223372036854776e+18"),
    (
      #"{"100000000000000000000":"\"100000000000000000000","a":[123456789012345678901,-123456789012345678901.5, 1e5]}"#,
      #"{100000000000000000000:'"100000000000000000000',a:[1.2345678901234568e+20,-1.2345678901234568e+20,100000.0]}"#
    ),
  ])
  func reads(_ text: String, _ expected: String) throws {
    #expect(try parse(text, dump) == expected)
  }

  @Test(arguments: [
    "", " ", "{", #"{"a"}"#, #"{"a":1,}"#, "[1,]", "[1 2]", "NaN", "Infinity", "1e999", "-1e999", "01", "+1", ".5",
    #""\ud800""#, #""\udc00x""#, #""\x""#, "\"a\u{1}b\"", #"{"a":1}x"#, "nul", "'a'", "[1]]",
    "[123456789012345678901,01]", "[123456789012345678901-]", "1" + String(repeating: "0", count: 400),
  ])
  func refuses(_ text: String) {
    #expect(throws: (any Error).self) { try parse(text, dump) }
  }

  @Test func refusesInvalidUTF8() {
    let parser = JSONParser()
    for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]] {
      #expect(throws: (any Error).self) { try bytes.withUnsafeBytes { try parser.parse(copying: $0) { _ in } } }
    }
  }

  @Test func refusesWhatIsTooDeep() throws {
    #expect(try parse(String(repeating: "[", count: 31) + String(repeating: "]", count: 31), depth: 32) { _ in true })
    for depth in [33, 100_000] {
      #expect(throws: (any Error).self) {
        try parse(String(repeating: "[", count: depth) + String(repeating: "]", count: depth), depth: 32) { _ in }
      }
    }
  }

  @Test func keepsItsDepthWhenItGrows() throws {
    let parser = JSONParser(maximumDepth: 4)
    var large = "[" + String(repeating: "\"xxxxxxxxxxxxxxxx\",", count: 100_000) + "1]"
    let count = try large.withUTF8 {
      try parser.parse(copying: UnsafeRawBufferPointer($0)) { Array($0.elements).count }
    }
    #expect(count == 100_001)
    var deep = "[[[[[1]]]]]"
    #expect(throws: (any Error).self) {
      try deep.withUTF8 { try parser.parse(copying: UnsafeRawBufferPointer($0)) { _ in } }
    }
  }

  @Test func isReusedAfterAnError() throws {
    let parser = JSONParser()
    for _ in 0..<3 {
      #expect(throws: (any Error).self) {
        try Array("{".utf8).withUnsafeBytes { try parser.parse(copying: $0) { _ in } }
      }
      #expect(
        try Array("[7]".utf8).withUnsafeBytes { try parser.parse(copying: $0) { $0.elements.map(\.number) } } == [7])
    }
  }

  @Test func tellsTheReadersRefusalFromMalformedText() throws {
    struct Refusal: Error {}
    let parser = JSONParser()
    do {
      try Array("1".utf8).withUnsafeBytes { bytes throws in
        try parser.parse(copying: bytes) { (_) throws(Refusal) in throw Refusal() }
      }
      Issue.record("not refused")
    } catch JSONParsing<Refusal>.refused {}
  }
}
