import CMosquitto
import Glibc

/// Ends another thread's wait: an event descriptor that is part of what it polls.
final class WakeSignal: Sendable {
  let descriptor: Int32

  init() throws(MQTTError) {
    descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard descriptor >= 0 else { throw MQTTError(.other, "eventfd: \(MQTTError.systemMessage(errno))") }
  }

  deinit { close(descriptor) }

  /// Stays set until taken, so that a signal given before the wait is not lost.
  func set() {
    var one: UInt64 = 1
    // Fails only where the counter is full: then it is set.
    _ = unsafe write(descriptor, &one, 8)
  }

  func clear() {
    var count: UInt64 = 0
    _ = unsafe read(descriptor, &count, 8)
  }
}
