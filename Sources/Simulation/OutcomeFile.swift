import Glibc
import Operations
import Readings
import Synchronization

/// The file that says what became of every reading: `device from to` was accepted, `? device from to` was not, or nobody
/// knows. Sequence numbers are inclusive; a device has as many lines as it takes.
final class OutcomeFile: Sendable {
  private let descriptor: Int32
  private let failed = Mutex<SystemError?>(nil)

  /// Creates or empties the file.
  init(_ path: String) throws(SystemError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError(code: errno) }
  }

  deinit { close(descriptor) }

  /// The first thing that went wrong in writing.
  var failure: SystemError? { failed.withLock { $0 } }

  /// Appends whole lines. Lines of several threads do not mix, for each call is one write at the file's end; only a disk
  /// that is full parts them, and then the file is reported as failed.
  func append(_ lines: UnsafeRawBufferPointer) {
    var rest = lines
    while !rest.isEmpty {
      let count = write(descriptor, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        let error = SystemError(code: errno)
        return failed.withLock { if $0 == nil { $0 = error } }
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
