import Glibc
import Operations

extension KeyFile {
  /// Reads a file.
  package static func read(_ path: String) throws(Problem) -> KeyFile {
    let bytes: [UInt8]
    do { bytes = try SystemFile.read(path, limit: sizeLimit) } catch {
      throw Problem("it cannot be read: \(error)")
    }
    return try KeyFile(parsing: bytes)
  }

  /// Changes a file, which is made if there is none, while nobody else does.
  ///
  /// - Returns: what `change` returned, once the file is on the disk.
  package static func update<Result>(
    _ path: String, _ change: (inout KeyFile) throws(Problem) -> Result
  ) throws(Problem) -> Result {
    let path = resolved(path)
    let lock: FolderLock
    do { lock = try FolderLock(of: path) } catch { throw Problem("its folder cannot be locked: \(error)") }
    defer { lock.end() }
    var file = KeyFile()
    if access(path, F_OK) == 0 || errno != ENOENT { file = try read(path) }
    let result = try change(&file)
    guard file.bytes.count <= sizeLimit else { throw Problem("it would be larger than \(sizeLimit >> 20) MiB") }
    do { try SystemFile.replace(path, with: file.bytes) } catch {
      throw Problem("it cannot be written: \(error)")
    }
    return result
  }

  /// The file that a link leads to: to replace the link would leave the file as it was.
  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}

/// Keeps other processes from changing the files of a folder that are changed under this lock.
struct FolderLock {
  private let descriptor: Int32

  /// Waits for it.
  init(of path: String) throws(SystemError) {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError(code: errno) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else {
        let code = errno
        close(descriptor)
        throw SystemError(code: code)
      }
    }
  }

  func end() { close(descriptor) }
}
