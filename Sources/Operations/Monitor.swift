import Glibc

/// State behind a lock, with conditions to wait for: what `Synchronization.Mutex` lacks.
///
/// `@unchecked Sendable`: `state` is only touched between lock and unlock, and the pthread objects never move.
package final class Monitor<State>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let conditions: UnsafeMutablePointer<pthread_cond_t>
  private let count: Int
  private var state: State

  /// - Parameter conditions: how many different things threads wait for; they are numbered from 0.
  package init(_ state: State, conditions count: Int = 1) {
    self.state = state
    self.count = count
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    conditions = .allocate(capacity: count)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    // A calendar that is set must not stretch a wait.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    for index in 0..<count {
      (conditions + index).initialize(to: pthread_cond_t())
      pthread_cond_init(conditions + index, &attributes)
    }
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    for index in 0..<count { pthread_cond_destroy(conditions + index) }
    pthread_mutex_destroy(mutex)
    conditions.deallocate()
    mutex.deallocate()
  }

  /// Gives the state to `body` while no other thread has it.
  package func withLock<Value>(_ body: (inout State) -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// Tries `attempt` until it returns something, waiting for a condition between tries.
  ///
  /// Every try borrows the state anew, for other threads change it during the wait.
  /// - Parameter timeout: nil waits for ever, zero tries once.
  /// - Returns: nil when the time is up.
  package func wait<Value>(for condition: Int = 0, timeout: Duration?, _ attempt: (inout State) -> Value?) -> Value? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if let value = attempt(&state) { return value }
    guard let timeout else {
      while true {
        pthread_cond_wait(conditions + condition, mutex)
        if let value = attempt(&state) { return value }
      }
    }
    guard timeout > .zero else { return nil }
    var deadline = timespec.monotonic(after: timeout)
    while true {
      let code = pthread_cond_timedwait(conditions + condition, mutex, &deadline)
      if let value = attempt(&state) { return value }
      if code == ETIMEDOUT { return nil }
    }
  }

  /// Wakes one thread that waits for a condition.
  package func signal(_ condition: Int = 0) { pthread_cond_signal(conditions + condition) }

  /// Wakes all threads that wait for a condition.
  package func broadcast(_ condition: Int = 0) { pthread_cond_broadcast(conditions + condition) }
}
