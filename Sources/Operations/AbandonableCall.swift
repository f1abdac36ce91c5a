import Glibc

/// Makes calls that may take long on a thread that nobody joins, one at a time: so whoever waits for one can leave it behind.
package final class AbandonableCall: Sendable {
  /// How often it is asked whether the call is still wanted.
  private static let pause: Duration = .milliseconds(100)

  private let name: String
  private let isUnderWay = Monitor(false)

  /// - Parameter name: the thread's.
  package init(_ name: String) { self.name = name }

  /// Waits for the call before, if that was left behind, and then for this one.
  /// - Parameter isWanted: whether to go on waiting.
  /// - Returns: nil when it was not wanted any more; whatever `body` does then still happens, or does not.
  package func run<Value: Sendable>(while isWanted: () -> Bool, _ body: @escaping @Sendable () -> Value) -> Value? {
    let begins = { (isUnderWay: inout Bool) -> Void? in
      guard !isUnderWay else { return nil }
      isUnderWay = true
      return ()
    }
    while isUnderWay.wait(timeout: Self.pause, begins) == nil { guard isWanted() else { return nil } }
    let result = Monitor<Value?>(nil)
    let call: @Sendable () -> Void = { [isUnderWay] in
      let value = body()
      isUnderWay.withLock { $0 = false }
      isUnderWay.signal()
      result.withLock { $0 = value }
      result.signal()
    }
    do {
      pthread_detach(try NamedThread.start(name, stackSize: 1 << 20, call))
    } catch {
      // No thread to be had: late is better than not at all.
      call()
    }
    while true {
      if let value = result.wait(timeout: Self.pause, { $0 }) { return value }
      guard isWanted() else { return nil }
    }
  }
}
