import Compression
import Glibc
import Operations

/// A file that is read once from its beginning, unpacked if it is gzip, with a bounded part of it in memory.
package final class ImportFile {
  /// Why it cannot be read.
  package struct Failure: Error, Equatable {
    package let reason: String
  }

  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
  /// zlib makes up to a thousand times as much of it.
  private static let packedPiece = 4 << 10
  private static let piece = 64 << 10

  /// Bytes of the file that were read; of a compressed one, as they are there.
  package private(set) var consumed = 0
  /// Bytes of the file; nil where that is not known.
  package let size: Int?
  /// The bytes taken so far; of a compressed file, as they were before. A byte order mark in front counts.
  package private(set) var offset = 0
  package private(set) var isAtEnd = false
  /// Whether its last record may be one that is still being written. What was packed was complete.
  package var mayGrow: Bool { size != nil && inflater == nil }
  private let descriptor: Int32
  private let isOwned: Bool
  private var inflater: Inflater?
  private var buffer: [UInt8] = []
  private var start = 0
  private var input: [UInt8]
  private var readSize = packedPiece
  private let isStopping: () -> Bool

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - path: `-` is standard input.
  ///   - isStopping: looked at while nothing comes in.
  package init(_ path: String, isStopping: @escaping () -> Bool) throws(Failure) {
    isOwned = path != "-"
    // A FIFO is opened at once: for its writer is waited below, where a stop ends that.
    descriptor = isOwned ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : STDIN_FILENO
    self.isStopping = isStopping
    input = [UInt8](repeating: 0, count: Self.piece)
    guard descriptor >= 0 else {
      size = nil
      throw Failure(reason: "\(SystemError(code: errno))")
    }
    if isOwned { _ = fcntl(descriptor, F_SETFL, 0) }
    var status = stat()
    fstat(descriptor, &status)
    size = status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    guard status.st_mode & S_IFMT != S_IFDIR else { throw Failure(reason: "is a folder") }
    try fill(2)
    if buffer.starts(with: [0x1f, 0x8b]) {
      let inflater = Inflater(.gzip)
      self.inflater = inflater
      let packed = buffer
      buffer = []
      try inflate(inflater, packed[...])
    } else {
      readSize = Self.piece
    }
    try fill(Self.byteOrderMark.count)
    if buffer.starts(with: Self.byteOrderMark) { drop(Self.byteOrderMark.count) }
  }

  deinit { if isOwned, descriptor >= 0 { close(descriptor) } }

  /// Lends the bytes that were read and not taken.
  package func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
  }

  /// Takes the first bytes of those that were read.
  package func drop(_ count: Int) {
    start += count
    offset += count
    guard start > buffer.count / 2 else { return }
    buffer.removeFirst(start)
    start = 0
  }

  /// Takes what is in front of an offset.
  /// - Throws: also when the file ends before.
  package func skip(to target: Int) throws(Failure) {
    while offset < target {
      try fill(1)
      let count = min(target - offset, buffer.count - start)
      guard count > 0 else { throw Failure(reason: "is shorter than what was imported of it") }
      drop(count)
    }
  }

  /// Reads until there are so many bytes, or the file ends, or a stop is asked for.
  package func fill(_ count: Int) throws(Failure) {
    while buffer.count - start < count, !isAtEnd {
      guard size != nil || waitForInput() else { return }
      let got = read(descriptor, &input, readSize)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw Failure(reason: "\(SystemError(code: errno))") }
      consumed += got
      guard let inflater else {
        isAtEnd = got == 0
        buffer += input[..<got]
        continue
      }
      if got > 0 {
        try inflate(inflater, input[..<got])
        continue
      }
      isAtEnd = true
      do {
        try inflater.finish()
      } catch {
        throw Failure(reason: "\(error)")
      }
    }
  }

  private func inflate(_ inflater: Inflater, _ piece: ArraySlice<UInt8>) throws(Failure) {
    do {
      try inflater.feed(Array(piece), appendingTo: &buffer)
    } catch {
      throw Failure(reason: "\(error)")
    }
  }

  /// - Returns: false when a stop is asked for.
  private func waitForInput() -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while !isStopping() {
      if poll(&entry, 1, 100) > 0 { return true }
    }
    return false
  }
}
