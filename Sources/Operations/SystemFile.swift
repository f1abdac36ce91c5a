import Glibc

/// The operating system refused something.
package struct SystemError: Error, CustomStringConvertible, Sendable {
  /// What `errno` said.
  package let code: Int32

  package init(code: Int32) { self.code = code }

  /// The system's words for it, such as "No such file or directory".
  package var description: String {
    // strerror(3) returns constant text for every known code in glibc, and is thread-safe since 2.32.
    String(cString: strerror(code))
  }
}

/// Reads small files.
package enum SystemFile {
  /// The bytes of a file, to its end: also of pipes and of /proc, whose files have no size.
  /// - Throws: what the system said, or EFBIG when it holds more than `limit` bytes.
  package static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError(code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: min(limit + 1, 16_384))
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError(code: errno)
      }
      bytes.append(contentsOf: piece[..<count])
      if bytes.count > limit { throw SystemError(code: EFBIG) }
    }
  }

  /// The bytes of a file of at most 1 MiB: settings and secrets are small.
  package static func read(_ path: String) throws(SystemError) -> [UInt8] { try read(path, limit: 1 << 20) }
}
