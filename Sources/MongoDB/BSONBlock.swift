import CMongoC

/// Memory for `bson_t`s, aligned as libbson requires: each is 128 bytes at a multiple of 128, which Swift's imported type
/// does not know.
@safe final class BSONBlock {
  private static let size = 128

  let count: Int
  private let base: UnsafeMutableRawPointer
  private let pointers: UnsafeMutablePointer<OpaquePointer?>

  init(count: Int) {
    self.count = count
    unsafe base = .allocate(byteCount: count * Self.size, alignment: Self.size)
    unsafe pointers = .allocate(capacity: count)
    for index in 0..<count {
      unsafe (pointers + index).initialize(
        to: OpaquePointer(base + index * Self.size))
    }
  }

  deinit {
    unsafe base.deallocate()
    unsafe pointers.deallocate()
  }

  /// A pointer to each, one after another.
  var list: UnsafeMutablePointer<OpaquePointer?> { unsafe pointers }

  /// One of them, for libbson to fill in.
  func slot(_ index: Int) -> OpaquePointer {
    unsafe OpaquePointer(base + index * Self.size)
  }

  /// Makes one of them a view of an encoded document, which must outlive its use; nil if its length is not its own.
  func view(_ index: Int, _ document: UnsafeRawBufferPointer) -> OpaquePointer? {
    guard unsafe sluice_bson_view(slot(index), document.baseAddress, document.count) else { return nil }
    return unsafe slot(index)
  }
}

extension BSONDocument {
  /// Copies a document that libbson owns.
  init(copying document: OpaquePointer) {
    let length = unsafe Int(sluice_bson_length(document))
    self.init(unchecked: unsafe Array(UnsafeRawBufferPointer(start: bson_get_data(document), count: length)))
  }
}
