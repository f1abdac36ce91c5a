import Glibc
import Synchronization

/// A program could not be started.
package struct ChildProcessError: Error, CustomStringConvertible {
  package let description: String
}

/// A program started by this process that never outlives it: the kernel kills it when this process dies, however it dies.
///
/// `setpriv --pdeathsig` (util-linux) asks for that signal. It is tied to the thread that spawned, so all children are
/// spawned by one thread that lives as long as the process.
package final class ChildProcess: Sendable {
  package let pid: Int32
  /// The wait status once the child was reaped; a pid is never signalled after that, for it may be another process's.
  private let reaped = Mutex<Int32?>(nil)

  /// Starts `arguments[0]` (a path, or a name looked up in PATH) in a process group of its own.
  ///
  /// - Parameters:
  ///   - environment: replaces this process's environment when given.
  ///   - output: a file that standard output and error are appended to; /dev/null when nil.
  package init(
    _ arguments: [String], environment: [String: String]? = nil, output: String? = nil
  ) throws(ChildProcessError) {
    let words = ["setpriv", "--pdeathsig", "KILL", "--"] + arguments
    let result = Spawner.shared.perform {
      ChildProcess.spawn(words, environment: environment, output: output ?? "/dev/null")
    }
    switch result {
    case .success(let pid): self.pid = pid
    case .failure(let error): throw error
    }
  }

  /// Whether it has not ended yet.
  package var isRunning: Bool { poll() == nil }

  /// Sends a signal, unless it has ended.
  package func signal(_ number: Int32) {
    reaped.withLock { status in
      if status == nil { kill(pid, number) }
    }
  }

  /// Waits until it ends.
  /// - Returns: its exit code, or 128 + the number of the signal that ended it; nil when `timeout` passed first.
  package func wait(timeout: Duration) -> Int32? {
    let deadline = ContinuousClock.now + timeout
    while true {
      if let status = poll() { return status }
      if ContinuousClock.now >= deadline { return nil }
      // waitpid has no timeout, and a child's end is rare enough for a coarse look.
      usleep(5_000)
    }
  }

  /// Asks it to end (SIGTERM), and kills it when it has not by then. Returns when it is gone.
  package func end(timeout: Duration = .seconds(10)) {
    signal(SIGTERM)
    signal(SIGCONT)
    if wait(timeout: timeout) == nil { kill() }
  }

  /// Kills it (SIGKILL). Returns when it is gone.
  package func kill() {
    signal(SIGKILL)
    while wait(timeout: .seconds(60)) == nil {}
  }

  private func kill(_ pid: pid_t, _ number: Int32) { _ = Glibc.kill(pid, number) }

  private func poll() -> Int32? {
    reaped.withLock { status in
      if let status { return status }
      var raw: Int32 = 0
      guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
      // WIFEXITED and its kin are macros that do not import (wait.h, bits/waitstatus.h).
      status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
      return status
    }
  }

  private static func spawn(
    _ words: [String], environment: [String: String]?, output: String
  ) -> Result<pid_t, ChildProcessError> {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)

    // Signals that this process blocks or ignores must reach the child, and a Ctrl-C at the terminal must not:
    // this process ends its children itself, in order.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

    var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] =
      environment.map { $0.map { strdup("\($0.key)=\($0.value)") } + [nil] } ?? []
    defer { for word in argv + envp { free(word) } }
    var pid: pid_t = 0
    let code =
      environment == nil
      ? posix_spawnp(&pid, words[0], &actions, &attributes, &argv, environ)
      : posix_spawnp(&pid, words[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      return .failure(ChildProcessError(description: "cannot start \(words[4]): \(String(cString: strerror(code)))"))
    }
    return .success(pid)
  }
}

/// The one thread that spawns children.
private final class Spawner: Sendable {
  static let shared = Spawner()

  private typealias Job = @Sendable () -> Void
  private let jobs = Mutex<[Job]>([])
  private let wakeUp = Semaphore()

  private init() {
    let thread = Unmanaged.passRetained(self)
    var id = pthread_t()
    pthread_create(
      &id, nil,
      { context in
        let spawner = Unmanaged<Spawner>.fromOpaque(context!).takeUnretainedValue()
        while true {
          spawner.wakeUp.wait()
          let job = spawner.jobs.withLock { $0.removeFirst() }
          job()
        }
      }, thread.toOpaque())
    pthread_detach(id)
  }

  func perform<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
    let box = Box<Value>()
    jobs.withLock {
      $0.append {
        let value = body()
        box.result.withLock { $0 = value }
        box.done.signal()
      }
    }
    wakeUp.signal()
    box.done.wait()
    return box.result.withLock { $0! }
  }

  private final class Box<Value: Sendable>: Sendable {
    let result = Mutex<Value?>(nil)
    let done = Semaphore()
  }
}

/// A counting semaphore whose storage does not move.
///
/// `@unchecked Sendable`: POSIX semaphores may be used from any thread (sem_overview(7)), and the pointer never changes.
private final class Semaphore: @unchecked Sendable {
  private let handle: UnsafeMutablePointer<sem_t>

  init() {
    handle = .allocate(capacity: 1)
    sem_init(handle, 0, 0)
  }

  deinit {
    sem_destroy(handle)
    handle.deallocate()
  }

  func signal() { sem_post(handle) }

  func wait() { while sem_wait(handle) != 0 {} }
}
