import CZlib

/// Compresses bytes, for clients and for large answers.
package enum Deflater {
  /// How the bytes are wrapped.
  package enum Format: Sendable {
    case gzip
    /// What HTTP calls deflate.
    case zlib
    /// Without any wrapping.
    case raw
  }

  /// A whole stream at once.
  ///
  /// - Parameter level: 1, the fastest, to 9, the smallest.
  /// - Throws: `CompressionError.outOfMemory`.
  package static func compress(
    _ bytes: [UInt8], _ format: Format = .gzip, level: Int = 6
  ) throws(CompressionError) -> [UInt8] {
    guard bytes.count < Int(UInt32.max) / 2 else { throw .outOfMemory }
    var stream = unsafe z_stream()
    let windowBits: Int32 =
      switch format {
      case .gzip: 31
      case .zlib: 15
      case .raw: -15
      }
    guard unsafe sluice_deflate_init(&stream, Int32(min(max(level, 1), 9)), windowBits) == Z_OK else {
      throw .outOfMemory
    }
    defer { unsafe deflateEnd(&stream) }
    let bound = unsafe Int(deflateBound(&stream, UInt(bytes.count)))
    var code = Z_OK
    let output = unsafe [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
      unsafe bytes.withUnsafeBufferPointer { input in
        unsafe stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        unsafe stream.avail_in = UInt32(input.count)
        unsafe stream.next_out = buffer.baseAddress
        unsafe stream.avail_out = UInt32(bound)
        code = unsafe deflate(&stream, Z_FINISH)
      }
      count = unsafe bound - Int(stream.avail_out)
    }
    guard code == Z_STREAM_END else { throw .outOfMemory }
    return output
  }
}

/// The bytes as gzip makes them.
package func gzip(_ bytes: [UInt8]) throws(CompressionError) -> [UInt8] { try Deflater.compress(bytes) }
