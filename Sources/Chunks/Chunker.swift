package import Dialects
import Glibc

/// Decides where a text is cut: at the ends of records, into pieces that are decoded and acknowledged one by one.
///
/// Where it cuts depends on the bytes alone, and not on how many of them happen to be there.
package struct Chunker: Sendable {
  /// What to do with the bytes that are there.
  package enum Cut: Equatable, Sendable {
    /// Bytes to take, with so many line ends in them.
    case chunk(count: Int, lines: Int, records: [ChunkRecord])
    /// More bytes are needed than there are: that many.
    case more(Int)
    /// A record is longer than any may be: its bytes so far are to be dropped; the rest of its line follows.
    case tooLong(count: Int, lines: Int)
    /// The rest of such a line.
    case rest(count: Int, lines: Int)
    /// Nothing more is to be taken. Of a text that may grow there may be bytes left: a record without an end.
    case end
  }

  private let framing: RecordFraming
  private let target: Int
  private let limit: Int
  private let mayGrow: Bool
  /// Whether the rest of a line that is too long is still to come.
  package private(set) var isInLongLine = false

  /// - Parameters:
  ///   - target: bytes of a chunk, at most, unless a single record has more.
  ///   - limit: bytes of a record.
  ///   - mayGrow: whether a last record without an end is left, for its writer may be in the middle of it.
  package init(_ framing: RecordFraming, target: Int = 64 << 10, limit: Int = 1 << 20, mayGrow: Bool = false) {
    self.framing = framing
    self.target = target
    self.limit = max(target, limit)
    self.mayGrow = mayGrow
  }

  /// - Parameters:
  ///   - bytes: those that were not taken yet.
  ///   - isLast: whether nothing comes behind them.
  package mutating func cut(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> Cut {
    if bytes.isEmpty { return isLast ? .end : .more(target) }
    if isInLongLine {
      let end = bytes.firstIndex(of: UInt8(ascii: "\n"))
      isInLongLine = end == nil
      return .rest(count: end.map { $0 + 1 } ?? bytes.count, lines: end == nil ? 0 : 1)
    }
    if bytes.count < target, !isLast { return .more(target) }
    let first = UnsafeRawBufferPointer(rebasing: bytes.prefix(target))
    let isWhole = isLast && bytes.count <= target && hasEnd(bytes)
    var count = 0
    var lines = 0
    var records: [ChunkRecord] = []
    while let length = framing.firstRecord(of: UnsafeRawBufferPointer(rebasing: first[count...]), isLast: isWhole) {
      records.append(ChunkRecord(line: lines, start: count, end: count + length))
      lines += Self.lineEnds(first[count..<(count + length)])
      count += length
      // A document can be large in memory many times over.
      if framing == .documents { break }
    }
    if count > 0 { return .chunk(count: count, lines: lines, records: records) }
    return single(bytes, isLast: isLast)
  }

  /// A record that is longer than a chunk.
  private mutating func single(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> Cut {
    let first = UnsafeRawBufferPointer(rebasing: bytes.prefix(limit))
    let isWhole = isLast && bytes.count <= limit && hasEnd(bytes)
    var length = framing.firstRecord(of: first, isLast: isWhole)
    if length == nil {
      guard bytes.count >= limit else { return isLast ? .end : .more(min(limit, bytes.count + target)) }
      // Quotes that do not end by now are taken for ones that never do.
      length = framing.firstRecord(of: first, isLast: true)
      if length == limit, first[limit - 1] != UInt8(ascii: "\n") || framing == .documents {
        isInLongLine = first[limit - 1] != UInt8(ascii: "\n")
        return .tooLong(count: limit, lines: Self.lineEnds(first[...]))
      }
    }
    let count = length ?? first.count
    return .chunk(
      count: count, lines: Self.lineEnds(first[..<count]), records: [ChunkRecord(line: 0, start: 0, end: count)])
  }

  /// Whether nothing that is added to a text can belong to its last record. That of a line may be a JSON object, which is
  /// whole with its last bracket.
  private func hasEnd(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard mayGrow else { return true }
    guard framing == .lines else { return false }
    let start = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let line = UnsafeRawBufferPointer(rebasing: bytes[start...])
    guard let end = RecordFraming.documents.firstRecord(of: line, isLast: false) else { return false }
    return line[end...].allSatisfy { $0 <= 0x20 }
  }

  private static func lineEnds(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    var rest = UnsafeRawBufferPointer(rebasing: bytes)
    var count = 0
    while let start = rest.baseAddress, let end = memchr(start, 0x0a, rest.count) {
      count += 1
      rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(end) - start + 1)...])
    }
    return count
  }
}
