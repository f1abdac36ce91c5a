import Glibc
import JSON
package import Operations

/// The folder in which the records of jobs are kept: a small file for each, written anew as a whole.
package final class JobDirectory: Sendable {
  /// Why it cannot be used.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// Records that are read, at most.
  private static let limit = 100_000

  private let path: String
  private let log: Log
  private let writing: StateLog
  /// Held open for its lock.
  private let descriptor: Int32

  /// Makes the folder if there is none, and keeps other processes from using it.
  package init(_ path: String, log: Log) throws(Failure) {
    self.path = path
    self.log = log
    writing = StateLog("jobs directory", log: log)
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw Failure(description: "\(SystemError(code: errno))") }
    // Not the folder's own lock: under that the keys are changed, which may be in the same folder.
    let lock = "\(path)/lock"
    descriptor = open(lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      // Where no lock can be made, no record can be: they are in memory alone.
      let code = errno
      guard access(path, R_OK | X_OK) == 0 else { throw Failure(description: "\(SystemError(code: code))") }
      writing.failing("\(lock): \(SystemError(code: code)); records are in memory alone")
      return
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      throw Failure(
        description: code == EWOULDBLOCK ? "another process uses it; each needs its own" : "\(SystemError(code: code))")
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The records that are there. One of a job that was running says that it has failed, also on the disk.
  func load(now: Int64) -> [JobRecord] {
    let parser = JSONParser()
    var records: [JobRecord] = []
    for id in names() {
      do {
        let bytes = try SystemFile.read(file(id), limit: JobRecord.sizeLimit)
        guard var record = JobRecord(parsing: bytes, with: parser), record.id == id else {
          log.warning("a file is no record of a job", ["file": .string(file(id))])
          continue
        }
        if !record.isOver {
          record.interrupt(at: now)
          write(record)
        }
        records.append(record)
      } catch {
        log.warning("a record of a job cannot be read", ["file": .string(file(id)), "reason": .string("\(error)")])
      }
    }
    return records
  }

  /// Writes a record; what goes wrong is logged, for the job goes on without it.
  func write(_ record: JobRecord) {
    do {
      try SystemFile.replace(file(record.id), with: record.json(owner: true))
      writing.ok()
    } catch {
      writing.failing("\(path): \(error); records are in memory alone")
    }
  }

  func remove(_ id: String) { unlink(file(id)) }

  private func file(_ id: String) -> String { "\(path)/\(id).json" }

  private func names() -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while names.count < Self.limit, let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)) {
          String(cString: $0)
        }
      }
      guard name.hasSuffix(".json"), JobRecord.isID(String(name.dropLast(5))) else { continue }
      names.append(String(name.dropLast(5)))
    }
    return names
  }
}
