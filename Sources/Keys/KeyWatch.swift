package import Operations
import Synchronization

/// Keeps a process's keys like their file, and the file of last uses like the process.
///
/// The file is read every second and compared: it is small, and no way of watching it works on all file systems and with
/// all ways of replacing a file.
package final class KeyWatch: Sendable {
  /// What the next look compares with.
  private struct State: Sendable {
    var bytes: [UInt8] = []
    var ids: Set<String> = []
    var written: [String: Int64] = [:]
    var lastWrite: Duration
  }

  /// Between two looks at the file.
  package static let interval: Duration = .seconds(1)
  /// Between two writings of last uses.
  private static let writeInterval: Duration = .seconds(60)

  package let ring = KeyRing()
  private let path: String
  private let log: Log
  private let file: StateLog
  private let uses: StateLog
  private let isWhole: Gauge
  private let clock: @Sendable () -> Duration
  private let state: Mutex<State>

  /// Reads the file for the first time.
  /// - Throws: when it is not good; a process that runs keeps the keys it has.
  package init(
    _ path: String, log: Log, metrics: Metrics, clock: @escaping @Sendable () -> Duration = Clock.monotonic
  ) throws(KeyFile.Problem) {
    self.path = path
    self.log = log
    self.clock = clock
    file = StateLog("keys file", log: log)
    uses = StateLog("file of last uses", log: log)
    isWhole = metrics.gauge(
      "sluice_keys_file_ok", "1: the keys are as in their file; 0: it is broken, and the last good ones are used.")
    state = Mutex(State(lastWrite: clock()))
    let ring = ring
    metrics.gauge("sluice_keys", "Keys that may be used.") { Double(ring.count(at: Clock.nowMilliseconds())) }
    try read()
    isWhole.set(1)
  }

  /// Looks at the file, and writes the last uses when it is time.
  package func look() {
    do throws(KeyFile.Problem) {
      let isNew = try read()
      isWhole.set(1)
      file.ok()
      if isNew { log.info("keys reread", ["file": .string(path)]) }
    } catch {
      isWhole.set(0)
      file.failing("\(path): \(error); the keys that were read last are used")
    }
    if clock() - state.withLock({ $0.lastWrite }) >= Self.writeInterval { writeLastUses() }
  }

  /// Looks every second until the process stops, and writes the last uses a last time.
  package func run(under supervisor: Supervisor) {
    while !supervisor.waitForStop(timeout: Self.interval) { look() }
    writeLastUses()
  }

  /// - Returns: whether there was something new.
  @discardableResult
  private func read() throws(KeyFile.Problem) -> Bool {
    let bytes: [UInt8]
    do { bytes = try SystemFile.read(path, limit: KeyFile.sizeLimit) } catch {
      throw KeyFile.Problem("it cannot be read: \(error)")
    }
    guard state.withLock({ $0.bytes != bytes }) else { return false }
    let keys = try KeyFile(parsing: bytes).keys
    ring.replace(with: keys)
    state.withLock {
      $0.bytes = bytes
      $0.ids = Set(keys.map(\.id))
    }
    return true
  }

  private func writeLastUses() {
    let new = ring.lastUses
    let (written, ids) = state.withLock { state in
      state.lastWrite = clock()
      return (state.written, state.ids)
    }
    guard new != written else { return }
    do throws(SystemError) {
      try LastUses.merge(new, into: LastUses.path(for: path), of: ids)
      state.withLock { $0.written = new }
      uses.ok()
    } catch {
      uses.failing("\(LastUses.path(for: path)) cannot be written: \(error)")
    }
  }
}
