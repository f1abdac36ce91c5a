import Compression
import Testing

/// Bytes with some order in them, so that they compress, but not to nothing.
private func sample(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) } }

private func inflate(
  _ bytes: [UInt8], _ format: Inflater.Format, pieces size: Int, limit: Int = 1 << 20
) throws -> [UInt8] {
  let inflater = Inflater(format, limit: limit)
  var output: [UInt8] = []
  var rest = bytes[...]
  while !rest.isEmpty {
    try inflater.feed(Array(rest.prefix(size)), appendingTo: &output)
    rest = rest.dropFirst(size)
  }
  try inflater.finish()
  return output
}

@Suite struct InflaterTests {
  @Test(arguments: [1, 2, 3, 7, 1000, 1_000_000])
  func `What was compressed comes back, however it is cut`(size: Int) throws {
    for count in [0, 1, 2, 100, 32_768, 32_769, 200_000] where count < 1000 || size > 2 {
      let original = sample(count)
      #expect(try inflate(try gzip(original), .gzip, pieces: size) == original)
      #expect(try inflate(try gzip(original), .automatic, pieces: size) == original)
      #expect(try inflate(try Deflater.compress(original, .zlib), .deflate, pieces: size) == original)
      #expect(try inflate(try Deflater.compress(original, .zlib), .automatic, pieces: size) == original)
      #expect(try inflate(try Deflater.compress(original, .raw), .deflate, pieces: size) == original)
    }
  }

  @Test(arguments: [1, 5, 1000])
  func `Members of gzip in a row are one stream`(size: Int) throws {
    let (a, b, c) = (sample(300), [UInt8](), sample(70))
    let joined = try gzip(a) + gzip(b) + gzip(c)
    #expect(try inflate(joined, .gzip, pieces: size) == a + b + c)
  }

  @Test func `Every cut is noticed`() throws {
    for whole in [try gzip(sample(500)), try Deflater.compress(sample(500), .zlib), try gzip([]) + gzip(sample(90))] {
      let memberEnd = try gzip([]).count
      for length in 0..<whole.count {
        let isWholeMember = try length == memberEnd && whole.starts(with: gzip([]))
        if isWholeMember {
          _ = try Inflater.inflate(Array(whole[..<length]), limit: 1000)
        } else {
          #expect(throws: CompressionError.truncated) { try Inflater.inflate(Array(whole[..<length]), limit: 1000) }
        }
      }
    }
  }

  @Test func `Damage is noticed, and stays noticed`() throws {
    let whole = try gzip(sample(500))
    var wrongSum = whole
    wrongSum[whole.count - 6] ^= 1
    #expect(throws: CompressionError.self) { try Inflater.inflate(wrongSum, limit: 1000) }
    #expect(throws: CompressionError.self) { try Inflater.inflate(whole + [1, 2, 3], .gzip, limit: 1000) }
    #expect(throws: CompressionError.corrupt("there is more after its end")) {
      try Inflater.inflate(try Deflater.compress([1], .zlib) + [1], .deflate, limit: 1000)
    }
    #expect(throws: CompressionError.corrupt("it is neither gzip nor zlib")) {
      try Inflater.inflate(Array("{\"device\":1}".utf8), limit: 1000)
    }
    let inflater = Inflater(.gzip, limit: 1000)
    var output: [UInt8] = []
    #expect(throws: CompressionError.self) { try inflater.feed(Array("no gzip".utf8), appendingTo: &output) }
    #expect(throws: CompressionError.self) { try inflater.feed(whole, appendingTo: &output) }
    #expect(throws: CompressionError.self) { try inflater.finish() }
    #expect(output.isEmpty)
  }

  @Test func `A bomb ends at the limit`() throws {
    let bomb = try gzip([UInt8](repeating: 0, count: 50_000_000))
    let limit = 100_000
    let inflater = Inflater(.gzip, limit: limit)
    var output: [UInt8] = [9]
    #expect(throws: CompressionError.limitExceeded(limit: limit)) { try inflater.feed(bomb, appendingTo: &output) }
    #expect(output.count == 1 + limit)
    #expect(output.capacity < limit + 40_000)
    #expect(throws: CompressionError.limitExceeded(limit: limit)) { try inflater.finish() }
  }

  @Test(arguments: [0, 1, 32_767, 32_768, 32_769, 65_536])
  func `The limit itself is allowed, one byte more is not`(count: Int) throws {
    let bytes = sample(count)
    #expect(try Inflater.inflate(try gzip(bytes), limit: count) == bytes)
    #expect(throws: CompressionError.limitExceeded(limit: count)) {
      try Inflater.inflate(try gzip(bytes + [0]), limit: count)
    }
    // Also across members.
    #expect(throws: CompressionError.limitExceeded(limit: count)) {
      try Inflater.inflate(try gzip(bytes) + gzip([0]), limit: count)
    }
  }

  @Test func `Who wants no more gets no more`() throws {
    let inflater = Inflater(.gzip)
    var chunks: [Int] = []
    let bomb = try gzip([UInt8](repeating: 0, count: 1_000_000))
    try bomb.withUnsafeBytes { bytes in
      try inflater.inflate(bytes) { chunk in
        chunks.append(chunk.count)
        return chunks.count < 3
      }
    }
    #expect(chunks == [32_768, 32_768, 32_768])
  }
}
