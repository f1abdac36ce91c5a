import Glibc

/// Starts threads that have a name and take no termination signals.
enum NamedThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// - Parameters:
  ///   - name: what tools show; the kernel keeps the first 15 bytes.
  ///   - stackSize: in bytes; the system's smallest (16 KiB) and more.
  /// - Returns: the thread, to be joined.
  static func start(
    _ name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void
  ) throws(SystemError) -> pthread_t {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackSize)
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { context in
        let start = Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
        // Inherited where the main thread blocked them first; a thread started before that, or by a test, is safe too.
        Signals.blockTermination()
        NamedThread.rename(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw SystemError(code: code)
    }
    return thread
  }

  /// Names the calling thread; proc(5), for pthread_setname_np is a GNU extension that does not import.
  private static func rename(_ name: String) {
    let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    _ = write(descriptor, name, name.utf8.count)
    close(descriptor)
  }
}
