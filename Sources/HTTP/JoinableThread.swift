import CMicroHTTPD
import Glibc

/// A named thread of its own, for work that blocks.
struct JoinableThread: ~Copyable, Sendable {
  private final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void

    init(_ name: String, _ run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  private let thread: pthread_t

  /// - Parameter name: The system keeps its first 15 bytes.
  init(name: String, _ run: @escaping @Sendable () -> Void) throws(HTTPServerError) {
    let body = unsafe Unmanaged.passRetained(Body(String(decoding: name.utf8.prefix(15), as: UTF8.self), run))
    var thread = pthread_t()
    let code = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        let body = unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
        _ = unsafe pthread_setname_np(pthread_self(), body.name)
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      unsafe body.release()
      throw HTTPServerError(.startFailed, "cannot start a thread: \(unsafe String(cString: strerror(code)))")
    }
    self.thread = thread
  }

  /// Waits until it has ended.
  consuming func join() { _ = pthread_join(thread, nil) }
}

/// A descriptor that a thread can poll and others can make readable.
struct Wakeup: ~Copyable, Sendable {
  let descriptor: Int32

  init() throws(HTTPServerError) {
    descriptor = sluice_http_eventfd()
    guard descriptor >= 0 else {
      throw HTTPServerError(.startFailed, "cannot make an event descriptor: \(unsafe String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  func signal() { _ = eventfd_write(descriptor, 1) }

  func clear() {
    var value: eventfd_t = 0
    _ = unsafe eventfd_read(descriptor, &value)
  }
}
