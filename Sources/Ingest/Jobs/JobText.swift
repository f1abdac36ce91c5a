import Chunks
import Dialects

/// The text of a job as it comes in, in pieces of any size, and where it is cut. Holds at most a record and a chunk of it.
struct JobText {
  /// What to do next.
  enum Part: Equatable {
    /// The lines up to the one that says what the columns are; none of NDJSON. It is the first part.
    case header([UInt8])
    /// The first bytes, to be taken by `take`.
    case chunk(count: Int, lines: Int, records: [ChunkRecord])
    /// A record that begins in this line, from 1, and that is dropped.
    case tooLong(line: Int)
    case more
    case end
  }

  /// Bytes of a record, at most.
  static let recordLimit = 1 << 20
  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

  /// Lines that were taken.
  private(set) var line = 0
  private let dialect: RecordDialect
  private let target: Int
  private let limit: Int
  private var chunker: Chunker?
  private var header: [UInt8] = []
  private var buffer: [UInt8] = []
  private var start = 0
  private var isBegun = false

  /// - Parameters:
  ///   - target: bytes of a chunk, at most, unless a single record has more.
  ///   - limit: bytes of a record.
  init(_ dialect: RecordDialect, target: Int = 32 << 10, limit: Int = recordLimit) {
    self.dialect = dialect
    self.target = target
    self.limit = limit
  }

  /// Adds what comes next.
  mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(contentsOf: bytes) }

  /// Lends the bytes that were not taken.
  func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
  }

  /// Takes a chunk.
  mutating func take(count: Int, lines: Int) {
    // Only the last line of a text can be without an end.
    let isOpen = withBytes { $0[count - 1] != UInt8(ascii: "\n") }
    drop(count, lines: lines + (isOpen ? 1 : 0))
  }

  /// - Parameter isLast: whether nothing comes behind what there is.
  mutating func next(isLast: Bool) throws(ChunkDecoder.Unusable) -> Part {
    if !isBegun {
      guard isLast || withBytes({ $0.count >= Self.byteOrderMark.count }) else { return .more }
      isBegun = true
      if withBytes({ $0.starts(with: Self.byteOrderMark) }) { drop(Self.byteOrderMark.count, lines: 0) }
    }
    guard var chunker else { return try begin(isLast) }
    defer { self.chunker = chunker }
    while true {
      switch withBytes({ chunker.cut($0, isLast: isLast) }) {
      case .end: return .end
      case .more: return .more
      case .chunk(let count, let lines, let records): return .chunk(count: count, lines: lines, records: records)
      case .rest(let count, let lines): drop(count, lines: lines)
      case .tooLong(let count, let lines):
        let first = line + 1
        drop(count, lines: lines)
        return .tooLong(line: first)
      }
    }
  }

  private mutating func begin(_ isLast: Bool) throws(ChunkDecoder.Unusable) -> Part {
    guard dialect == .csv else {
      chunker = Chunker(dialect.framing(header: []), target: target, limit: limit)
      return .header([])
    }
    let framing = withBytes { dialect.framing(header: header.isEmpty ? Array($0.prefix(limit)) : header) }
    while let count = withBytes({ framing.firstRecord(of: $0, isLast: isLast) }) {
      let row = withBytes { Array($0[..<count]) }
      header += row
      drop(count, lines: row.count { $0 == UInt8(ascii: "\n") })
      if row.contains(where: { $0 != 0x0a && $0 != 0x0d }) {
        chunker = Chunker(dialect.framing(header: header), target: target, limit: limit)
        return .header(header)
      }
    }
    if isLast { return .end }
    guard withBytes({ $0.count + header.count < limit }) else {
      throw ChunkDecoder.Unusable(reason: "has no CSV header in its first \(limit) bytes")
    }
    return .more
  }

  private mutating func drop(_ count: Int, lines: Int) {
    start += count
    line += lines
    guard start > buffer.count / 2 else { return }
    buffer.removeFirst(start)
    start = 0
  }
}
