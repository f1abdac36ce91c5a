/// Why bytes could not be decompressed.
package enum CompressionError: Error, Sendable, Equatable, CustomStringConvertible {
  /// They are not of this format, or damaged; with zlib's reason.
  case corrupt(String)
  /// They end before the end of the stream.
  case truncated
  /// More comes out than is allowed.
  case limitExceeded(limit: Int)
  case outOfMemory

  package var description: String {
    switch self {
    case .corrupt(let reason): "the compressed data is damaged: \(reason)"
    case .truncated: "the compressed data ends too early"
    case .limitExceeded(let limit): "the data is larger than \(limit) bytes when decompressed"
    case .outOfMemory: "out of memory"
    }
  }
}
