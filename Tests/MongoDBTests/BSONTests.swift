import Testing

@testable import MongoDB

@Suite struct BSONTests {
  /// One field of each type that Sluice writes, the same three ways.
  private static let id = ObjectID(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C)
  private static let expected = """
    { "d" : { "$numberDouble" : "21.5" }, "i" : { "$numberInt" : "-7" }, "l" : { "$numberLong" : "9007199254740993" }, \
    "b" : true, "t" : { "$date" : { "$numberLong" : "1700000000123" } }, "s" : "grüße", "n" : null, \
    "o" : { "$oid" : "0102030405060708090a0b0c" }, "x" : { "$binary" : { "base64" : "AAEC", "subType" : "00" } }, \
    "m" : { "k" : {  } }, "a" : [ { "$numberInt" : "1" }, [ "two" ], { "three" : { "$numberInt" : "3" } } ], "z" : "" }
    """

  private static func written() -> BSONDocument {
    BSONDocument { writer in
      writer.append("d", 21.5)
      writer.append("i", Int32(-7))
      writer.append("l", Int64(9_007_199_254_740_993))
      writer.append("b", true)
      writer.appendDate("t", milliseconds: 1_700_000_000_123)
      writer.appendString("s", "grüße")
      writer.appendNull("n")
      writer.appendObjectID("o", id)
      writer.appendBinary("x", [0, 1, 2])
      writer.beginDocument("m")
      writer.beginDocument("k")
      writer.endDocument()
      writer.endDocument()
      writer.beginArray("a")
      writer.appendElement(Int32(1))
      writer.beginElementArray()
      writer.appendElementString("two")
      writer.endArray()
      writer.beginElementDocument()
      writer.append("three", Int32(3))
      writer.endDocument()
      writer.endArray()
      writer.appendString("z", utf8: [UInt8]()[...])
    }
  }

  @Test func writesWhatLibbsonReads() {
    let document = Self.written()
    #expect(document.problem == nil)
    #expect(document.extendedJSON == Self.expected)
  }

  @Test func literalsGiveTheSameBytes() {
    let document: BSONDocument = [
      "d": 21.5, "i": -7, "l": 9_007_199_254_740_993, "b": true, "t": .date(1_700_000_000_123), "s": "grüße", "n": nil,
      "o": .objectID(Self.id), "x": .binary(subtype: 0, [0, 1, 2]), "m": ["k": [:] as BSONValue],
      "a": [1, ["two"], ["three": 3]], "z": "",
    ]
    #expect(document["m"]?.document?["k"] == .document([:]))
    #expect(document == Self.written())
  }

  @Test func readsWhatItWrites() {
    let document = Self.written()
    #expect(document.map(\.key) == ["d", "i", "l", "b", "t", "s", "n", "o", "x", "m", "a", "z"])
    #expect(document["d"]?.double == 21.5)
    #expect(document["i"]?.int == -7)
    #expect(document["l"]?.int == 9_007_199_254_740_993)
    #expect(document["b"]?.bool == true)
    #expect(document["t"]?.date == 1_700_000_000_123)
    #expect(document["s"]?.string == "grüße")
    #expect(document["n"]?.isNull == true)
    #expect(document["o"]?.objectID == Self.id)
    #expect(document["x"]?.binary == [0, 1, 2])
    #expect(document["m"]?.document == ["k": [:] as BSONValue])
    #expect(document["a"]?.array == [1, ["two"], ["three": 3]])
    #expect(document["z"]?.string == "")
    #expect(document["missing"] == nil)
    // Reading every field and writing it again changes nothing.
    #expect(BSONDocument(document.map { ($0.key, $0.value) }) == document)
  }

  @Test func keysFromOutside() {
    let document = BSONDocument { writer in
      for key in ["plain", "with\0zero", ""] {
        key.withUTF8Bytes { key in
          writer.append(utf8Key: key, 1.5)
          writer.append(utf8Key: key, Int32(1))
          writer.append(utf8Key: key, Int64(2))
          writer.append(utf8Key: key, false)
          writer.appendDate(utf8Key: key, milliseconds: 3)
          writer.appendString(utf8Key: key, utf8: key)
          writer.beginDocument(utf8Key: key)
          writer.endDocument()
          writer.beginArray(utf8Key: key)
          writer.appendElement(false)
          writer.appendElement(2.5)
          writer.appendElement(Int64(3))
          writer.appendElementDate(milliseconds: 4)
          writer.appendElement(["five": 5])
          writer.endArray()
        }
      }
    }
    #expect(document.problem == nil)
    let values: (String) -> [BSONValue] = {
      [1.5, .int32(1), .int64(2), false, .date(3), .string($0), [:], [false, 2.5, .int64(3), .date(4), ["five": 5]]]
    }
    #expect(document.map(\.value) == values("plain") + values("with\0zero") + values(""))
    #expect(Set(document.map(\.key)) == ["plain", "with\u{1A}zero", ""])
  }

  @Test func longArraysHaveDecimalKeys() throws {
    let document = BSONDocument { writer in
      writer.beginArray("a")
      for number in 0..<12_345 { writer.appendElement(Int32(number)) }
      writer.endArray()
    }
    #expect(document.problem == nil)
    let array = try #require(Array(document).first)
    #expect(array.value.array == (0..<12_345).map { .int32($0) })
    let keys = BSONDocument(unchecked: Array(document.bytes[7..<document.bytes.count - 1]))
    #expect(keys.map(\.key) == (0..<12_345).map { String($0) })
  }

  @Test func typesThatSluiceDoesNotUseAreKept() throws {
    // decimal128, timestamp, regular expression, minimum key, code with scope, code, symbol, undefined, pointer.
    let scope = (["v": 1] as BSONDocument).bytes
    let code: [UInt8] = [2, 0, 0, 0, 0x66, 0]
    let withScope: [UInt8] = [UInt8(4 + code.count + scope.count), 0, 0, 0] + code + scope
    let fields: [(UInt8, [UInt8])] = [
      (0x13, Array(repeating: 1, count: 16)), (0x11, Array(repeating: 2, count: 8)), (0x0B, [0x61, 0, 0x69, 0]),
      (0xFF, []), (0x0F, withScope), (0x0D, code), (0x0E, code), (0x06, []),
      (0x0C, code + Array(repeating: 3, count: 12)),
    ]
    let body: [UInt8] = fields.flatMap { field -> [UInt8] in [field.0, 0x6B, 0] + field.1 }
    let bytes: [UInt8] = [UInt8(body.count + 5), 0, 0, 0] + body + [0]
    let document = try #require(BSONDocument(bytes: bytes))
    #expect(document.problem == nil)
    #expect(document.map(\.value) == fields.map { BSONValue.other(type: $0.0, $0.1) })
    #expect(BSONDocument(document.map { ($0.key, $0.value) }).bytes == bytes)
  }

  @Test func numbersOfAnyTypeAreRead() {
    #expect(BSONValue.double(3).int == 3)
    #expect(BSONValue.double(3.5).int == nil)
    #expect(BSONValue.double(.infinity).int == nil)
    #expect(BSONValue.double(.nan).int == nil)
    #expect(BSONValue.int64(1 << 40).double == Double(1 << 40))
    #expect(BSONValue.double(1).bool == true)
    #expect(BSONValue.string("1").bool == nil)
  }

  @Test func objectIDs() {
    #expect(Self.id.description == "0102030405060708090a0b0c")
    #expect(ObjectID(bytes: Self.id.bytes) == Self.id)
    #expect(ObjectID(bytes: [1, 2, 3]) == nil)
  }

  @Test func aWriterIsUsedAgain() {
    var writer = BSONWriter()
    for round in 0..<3 {
      writer.removeAll()
      writer.beginDocument()
      writer.append("round", Int32(round))
      #expect(!writer.isComplete)
      writer.endDocument()
      #expect(writer.isComplete)
      #expect(BSONDocument(bytes: writer.bytes) == ["round": .int32(Int32(round))])
    }
    // A document that was given up leaves nothing behind.
    writer.beginDocument()
    writer.beginArray("left")
    writer.removeAll(keepingCapacity: false)
    #expect(writer.count == 0 && writer.isComplete)
  }

  @Test func aCopyIsItsOwn() {
    var one = BSONWriter()
    one.beginDocument()
    var other = one
    one.append("a", Int32(1))
    other.append("b", Int32(2))
    one.endDocument()
    other.endDocument()
    #expect(BSONDocument(bytes: one.bytes) == ["a": 1])
    #expect(BSONDocument(bytes: other.bytes) == ["b": 2])
  }

  @Test func batches() {
    var batch = BSONBatch()
    for round in 0..<2 {
      batch.removeAll(keepingCapacity: round == 0)
      #expect(batch.isEmpty)
      for number in 0..<100 { batch.append { $0.append("n", Int32(number)) } }
      batch.append(["n": "last"])
      #expect(batch.count == 101)
      #expect((0..<100).allSatisfy { batch[$0] == ["n": .int32(Int32($0))] })
      #expect(batch[100] == ["n": "last"])
      #expect(batch.range(of: 0).lowerBound == 0 && batch.range(of: 100).upperBound == batch.byteCount)
      batch.removeLast()
      #expect(batch.count == 100 && batch.byteCount == batch.range(of: 99).upperBound)
      batch.append(["n": "again"])
      #expect(batch[100] == ["n": "again"] && batch[99] == ["n": 99])
    }
    for _ in 0..<200 { batch.removeLast() }
    #expect(batch.isEmpty && batch.byteCount == 0)
  }

  @Test func messagesAreCutByBytesAndCount() {
    var batch = BSONBatch()
    for size in [10, 10, 10, 500, 10] { batch.append { $0.appendString("s", String(repeating: "x", count: size)) } }
    let small = batch.range(of: 0).count
    #expect(batch.end(of: 0, bytes: 1 << 20, count: 2) == 2)
    #expect(batch.end(of: 0, bytes: 2 * small, count: 9) == 2)
    #expect(batch.end(of: 3, bytes: 1, count: 9) == 4)
    #expect(batch.end(of: 4, bytes: 1 << 20, count: 9) == 5)
  }
}

/// Bytes that are not what they should be.
@Suite struct OddBSONTests {
  private static let sample: BSONDocument = [
    "d": 2.0, "s": "text", "m": ["k": 1, "a": [1, "x", [nil]]], "x": .binary(subtype: 0, [1, 2, 3]), "b": true,
    "o": .objectID(ObjectID(high: 1, low: 2)), "r": .other(type: 0x0B, [0x61, 0, 0x69, 0]), "t": .date(5), "n": nil,
    "c": .other(type: 0x0F, [15, 0, 0, 0, 2, 0, 0, 0, 0x66, 0, 5, 0, 0, 0, 0]),
    "p": .other(type: 0x0C, [2, 0, 0, 0, 0x66, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  ]

  /// Reads all there is; returns how many fields.
  private func readAll(_ document: BSONDocument) -> Int {
    var count = 0
    for (key, value) in document {
      count += 1
      _ = document[key]
      _ = (value.int, value.double, value.string, value.binary)
      if let nested = value.document { count += readAll(nested) }
      for element in value.array ?? [] { if let nested = element.document { count += readAll(nested) } }
    }
    return count
  }

  /// Whether libbson comes to the same result. Bytes that may not be ASCII are left out: libbson takes such a key for wrong
  /// structure, and ends its look at the document, content, at such a text.
  private func agrees(_ bytes: [UInt8], _ ours: Bool) -> Bool {
    bytes.contains { $0 >= 0x80 } || ours == (BSONDocument(unchecked: bytes).problem == nil)
  }

  @Test func everyTruncation() {
    let bytes = Self.sample.bytes
    #expect(BSONDocument(bytes: bytes) != nil)
    for length in 0..<bytes.count {
      #expect(BSONDocument(bytes: Array(bytes[..<length])) == nil)
      _ = readAll(BSONDocument(unchecked: Array(bytes[..<length])))
      // With a length in front that agrees with what is there.
      guard length >= 5 else { continue }
      let cut = [UInt8(length), 0, 0, 0] + bytes[4..<length - 1] + [0]
      _ = readAll(BSONDocument(unchecked: cut))
      #expect(agrees(cut, BSONDocument(bytes: cut) != nil))
    }
  }

  @Test func everyByteChanged() {
    let bytes = Self.sample.bytes
    for index in bytes.indices {
      for value: UInt8 in [0, 1, 2, 4, 5, 8, 0x0F, 0x7F, 0x80, 0xFE, 0xFF, bytes[index] &+ 1, bytes[index] &- 1] {
        var changed = bytes
        changed[index] = value
        _ = readAll(BSONDocument(unchecked: changed))
        #expect(agrees(changed, BSONDocument(bytes: changed) != nil), "byte \(index) is \(value)")
      }
    }
  }

  @Test func randomBytes() {
    var random = Seeded(seed: 20_261_121)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0..<64, using: &random)).map { _ in
        Bool.random(using: &random)
          ? UInt8.random(in: 0...20, using: &random) : UInt8.random(in: 0...255, using: &random)
      }
      if bytes.count >= 5 { bytes.replaceSubrange(0..<4, with: [UInt8(bytes.count), 0, 0, 0]) }
      _ = readAll(BSONDocument(unchecked: bytes))
      if let accepted = BSONDocument(bytes: bytes) { #expect(agrees(accepted.bytes, true)) }
    }
  }

  @Test(arguments: [0x03, 0x04] as [UInt8]) func deepNesting(type: UInt8) {
    func nested(_ depth: Int) -> [UInt8] {
      var bytes: [UInt8] = []
      for level in stride(from: depth, through: 1, by: -1) {
        let length = level * 8 + 5
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + [type, 0x30, 0]
      }
      bytes += [5, 0, 0, 0, 0] + Array(repeating: 0, count: depth)
      return bytes
    }
    #expect(BSONDocument(bytes: nested(100)) != nil)
    #expect(BSONDocument(bytes: nested(100))?.problem == nil)
    let deep = nested(100_000)
    #expect(BSONDocument(bytes: deep) == nil)
    #expect(BSONDocument(unchecked: deep).problem != nil)
    #expect(BSONDocument(unchecked: deep).extendedJSON == nil)
    #expect(BSONDocument(unchecked: deep)["0"] != nil)
  }

  @Test func textThatIsNotUTF8IsRepaired() {
    let document = BSONDocument { $0.appendString("s", utf8: [0x61, 0xFF, 0x62][...]) }
    #expect(document["s"]?.string == "a\u{FFFD}b")
    #expect(!document.description.isEmpty)
  }
}

/// The same numbers every time (splitmix64).
private struct Seeded: RandomNumberGenerator {
  var seed: UInt64
  mutating func next() -> UInt64 {
    seed &+= 0x9E37_79B9_7F4A_7C15
    var z = seed
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
