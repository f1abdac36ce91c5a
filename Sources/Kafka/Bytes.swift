/// Addresses for what is present and empty: to librdkafka a null address means absent.
enum Bytes {
  // Never written to and never freed.
  nonisolated(unsafe) static let empty: UnsafeRawPointer = {
    let byte = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
    unsafe byte.storeBytes(of: 0, as: UInt8.self)
    return UnsafeRawPointer(byte)
  }()

  static var emptyName: UnsafePointer<CChar> { unsafe empty.assumingMemoryBound(to: CChar.self) }
}
