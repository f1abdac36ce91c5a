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

/// Reads and writes small files.
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

  /// Puts a file with mode 0600 in the place of what is there, if anything: whoever reads sees all of the one or all of
  /// the other, also after a loss of power. The owner stays the same.
  package static func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
    let temporary = "\(path).\(getpid()).new"
    // What a process with the same number may have left.
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError(code: errno) }
    let failure = write(bytes, to: descriptor, inPlaceOf: path)
    close(descriptor)
    if failure == 0, rename(temporary, path) == 0 {
      syncFolder(of: path)
      return
    }
    let code = failure == 0 ? errno : failure
    unlink(temporary)
    throw SystemError(code: code)
  }

  /// - Returns: what `errno` said; 0 when all went well.
  private static func write(_ bytes: [UInt8], to descriptor: Int32, inPlaceOf path: String) -> Int32 {
    var old = stat()
    if stat(path, &old) == 0, old.st_uid != geteuid() || old.st_gid != getegid(),
      fchown(descriptor, old.st_uid, old.st_gid) != 0
    {
      return errno
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count < 0 { return errno }
      rest = rest.dropFirst(count)
    }
    return fsync(descriptor) == 0 ? 0 : errno
  }

  /// A rename is on the disk when its folder is. Some file systems cannot do that, and do not need it.
  private static func syncFolder(of path: String) {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}
