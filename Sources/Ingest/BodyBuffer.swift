import JSON

/// The bytes of one body, with room behind them that the JSON parser may read.
struct BodyBuffer: ~Copyable {
  private var start: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    start = .allocate(byteCount: capacity + JSONParser.padding, alignment: 64)
  }

  deinit { start.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  /// Appends a piece, unless that makes more than `limit` bytes.
  /// - Returns: whether it fitted.
  mutating func append(_ piece: UnsafeRawBufferPointer, limit: Int) -> Bool {
    guard piece.count <= limit - count else { return false }
    guard let source = piece.baseAddress else { return true }
    if capacity - count < piece.count {
      capacity = min(max(capacity * 2, count + piece.count), limit)
      let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity + JSONParser.padding, alignment: 64)
      larger.copyMemory(from: start, byteCount: count)
      start.deallocate()
      start = larger
    }
    (start + count).copyMemory(from: source, byteCount: piece.count)
    count += piece.count
    return true
  }
}
