import Dispatch
import Synchronization
import Testing

@testable import Operations

struct AbandonableCallTests {
  private func always() -> Bool { true }
  private func never() -> Bool { false }

  @Test func returnsWhatTheCallReturns() {
    let call = AbandonableCall("test")
    for number in 0..<100 { #expect(call.run(while: always, { number }) == number) }
  }

  /// A call that is left behind ends by itself, and the next waits for it, or not.
  @Test func isLeftBehind() {
    let call = AbandonableCall("test")
    let mayEnd = DispatchSemaphore(value: 0)
    let ended = Atomic(false)
    let first: Void? = call.run(while: never) {
      mayEnd.wait()
      ended.store(true, ordering: .sequentiallyConsistent)
    }
    #expect(first == nil)
    #expect(call.run(while: never) { true } == nil)
    mayEnd.signal()
    #expect(call.run(while: always) { ended.load(ordering: .sequentiallyConsistent) } == true)
  }
}
