/// A set of offsets: a bit for each, in pages that are there only where some are set.
struct OffsetBitmap {
  /// Bits of a page: 512 bytes.
  static let pageBits: Int64 = 4_096

  private var pages: [Int64: [UInt64]] = [:]

  /// How many pages there are: what it takes of memory.
  var pageCount: Int { pages.count }

  func contains(_ offset: Int64) -> Bool {
    guard offset >= 0, let page = pages[offset / Self.pageBits] else { return false }
    let bit = Int(offset % Self.pageBits)
    return page[bit / 64] >> UInt64(bit % 64) & 1 == 1
  }

  mutating func insert(_ offset: Int64) {
    guard offset >= 0 else { return }
    let bit = Int(offset % Self.pageBits)
    pages[offset / Self.pageBits, default: Array(repeating: 0, count: Int(Self.pageBits / 64))][bit / 64] |=
      1 << UInt64(bit % 64)
  }
}
