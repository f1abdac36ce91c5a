import Glibc

extension Metrics {
  /// Adds what every Prometheus client library tells of its process: memory, processor time, start, open files.
  package func addProcessMetrics() {
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.") { ProcessStatus.residentBytes }
    counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.") {
      ProcessStatus.processorSeconds
    }
    let start = ProcessStatus.startSeconds
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.") { start }
    gauge("process_open_fds", "Number of open file descriptors.") { ProcessStatus.openFiles }
  }
}

/// What the kernel says of this process; nil where /proc does not tell.
package enum ProcessStatus {
  /// Memory in use, in bytes.
  package static var residentBytes: Double? {
    fields("/proc/self/statm", 1).map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) }
  }

  /// Processor time of all threads, in seconds.
  package static var processorSeconds: Double? {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// When the process started, in seconds since 1970.
  package static var startSeconds: Double? {
    // Field 22 of proc(5)'s stat, in ticks since boot; counted from behind the name, which may hold spaces.
    guard let ticks = fields("/proc/self/stat", 19, behind: ")") else { return nil }
    let boot = Double(Clock.nowMilliseconds()) / 1e3 - Clock.monotonic() / .seconds(1)
    return boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// How many file descriptors are open.
  package static var openFiles: Double? {
    guard let folder = opendir("/proc/self/fd") else { return nil }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    // Without ".", ".." and the folder itself.
    return Double(count - 3)
  }

  private static func fields(_ path: String, _ index: Int, behind mark: Character? = nil) -> Double? {
    guard let bytes = try? SystemFile.read(path) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    let start = mark.flatMap { text.lastIndex(of: $0) }.map { text.index(after: $0) } ?? text.startIndex
    let fields = text[start...].split(separator: " ")
    return index < fields.count ? Double(fields[index]) : nil
  }
}
