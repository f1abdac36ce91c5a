import Foundation
import Synchronization
import Testing

@testable import Operations

private struct Broken: Error, CustomStringConvertible { let description = "it broke" }

@Suite struct SupervisorTests {
  private let lines = Lines()

  @Test func threadsRunUntilTheStop() {
    let supervisor = Supervisor(log: lines.log())
    for number in 0..<3 {
      supervisor.start("worker \(number)") { while !supervisor.waitForStop(timeout: nil) {} }
    }
    #expect(supervisor.running.sorted() == ["worker 0", "worker 1", "worker 2"])
    #expect(!supervisor.isStopping)
    #expect(!supervisor.join(timeout: .milliseconds(1)))
    supervisor.requestStop()
    supervisor.requestStop()
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.isStopping && supervisor.failure == nil && supervisor.running == [])
    #expect(lines.all == [])
  }

  @Test func aBodyThatThrowsStopsEverything() {
    let supervisor = Supervisor(log: lines.log())
    supervisor.start("healthy") { _ = supervisor.waitForStop(timeout: nil) }
    supervisor.start("broken") { throw Broken() }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure == .init(thread: "broken", reason: "it broke"))
    #expect(lines.all == ["2026-11-21T02:15:18.070Z error sink \"thread failed\" thread=broken reason=\"it broke\"\n"])
  }

  @Test func aBodyThatReturnsTooEarlyStopsEverything() {
    let supervisor = Supervisor(log: lines.log())
    supervisor.start("healthy") { _ = supervisor.waitForStop(timeout: nil) }
    supervisor.start("short") {}
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure == .init(thread: "short", reason: "ended before it was asked to"))
  }

  @Test func theFirstFailureIsKept() {
    let supervisor = Supervisor(log: lines.log())
    supervisor.start("second") {
      _ = supervisor.waitForStop(timeout: nil)
      throw Broken()
    }
    supervisor.start("first") {}
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure?.thread == "first")
    #expect(lines.all.count == 2)
  }

  @Test func aBodyThatThrowsWhileStoppingIsAFailure() {
    let supervisor = Supervisor(log: lines.log())
    supervisor.start("flush") {
      _ = supervisor.waitForStop(timeout: nil)
      throw Broken()
    }
    supervisor.requestStop()
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure?.thread == "flush")
  }

  @Test func someMayEnd() {
    let supervisor = Supervisor(log: lines.log())
    for _ in 0..<100 { supervisor.start("task", mayEnd: true) {} }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(!supervisor.isStopping && supervisor.failure == nil)
    supervisor.start("task", mayEnd: true) { throw Broken() }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure?.thread == "task")
  }

  @Test func nothingStartsWhileStopping() {
    let supervisor = Supervisor(log: lines.log())
    supervisor.requestStop()
    supervisor.start("late") { Issue.record("it ran") }
    #expect(supervisor.running == [])
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure == nil)
  }

  @Test func stopActionsRunOnceInReverse() {
    let supervisor = Supervisor(log: lines.log())
    let order = Mutex<[String]>([])
    for name in ["http", "queue", "kafka"] {
      supervisor.onStop(name) { order.withLock { $0.append(name) } }
    }
    supervisor.requestStop()
    supervisor.requestStop()
    #expect(supervisor.join(timeout: .seconds(60)))
    supervisor.onStop("late") { order.withLock { $0.append("late") } }
    #expect(order.withLock { $0 } == ["kafka", "queue", "http", "late"])
  }

  @Test func stopActionsEndWhatBodiesWaitFor() {
    let supervisor = Supervisor(log: lines.log())
    let queue = BoundedQueue<Int>(capacity: 1)
    supervisor.start("consumer") { while !queue.isFinished { _ = queue.take() } }
    supervisor.onStop("queue") { queue.close() }
    supervisor.start("broken") { throw Broken() }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure?.thread == "broken")
  }

  @Test func waitingForTheStopEndsInTime() {
    let supervisor = Supervisor(log: lines.log())
    #expect(!supervisor.waitForStop(timeout: .zero))
    #expect(!supervisor.waitForStop(timeout: .milliseconds(1)))
    supervisor.requestStop()
    #expect(supervisor.waitForStop(timeout: .zero))
  }

  @Test func threadsHaveNamesStacksAndNoTerminationSignals() throws {
    let supervisor = Supervisor(log: lines.log(), stackSize: 256 << 10)
    let seen = Mutex<(name: String, blocked: UInt64)>(("", 0))
    // What this thread has blocked is inherited, so it has nothing blocked meanwhile.
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    supervisor.start("a name longer than 15 bytes", mayEnd: true) {
      let name = try SystemFile.read("/proc/thread-self/comm")
      let status = String(decoding: try SystemFile.read("/proc/thread-self/status"), as: UTF8.self)
      let mask = status.split(separator: "\n").first { $0.hasPrefix("SigBlk:") }!.split(separator: "\t")[1]
      seen.withLock { $0 = (String(decoding: name, as: UTF8.self), UInt64(mask, radix: 16)!) }
    }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(supervisor.failure == nil)
    let (name, blocked) = seen.withLock { $0 }
    #expect(name == "a name longer t\n")
    for number in [SIGTERM, SIGINT, SIGHUP] { #expect(blocked & (1 << UInt64(number - 1)) != 0) }
    #expect(blocked & (1 << UInt64(SIGSEGV - 1)) == 0)
  }

  @Test func aThreadThatCannotBeStartedIsAFailure() {
    // More than an address space holds.
    let supervisor = Supervisor(log: lines.log(), stackSize: 1 << 60)
    let hasRun = Atomic(false)
    supervisor.onStop("action") { hasRun.store(true, ordering: .relaxed) }
    supervisor.start("huge") {}
    #expect(supervisor.failure?.thread == "huge")
    #expect(supervisor.failure?.reason.hasPrefix("cannot be started: ") == true)
    #expect(supervisor.isStopping && supervisor.join(timeout: .zero))
    let didRun = hasRun.load(ordering: .relaxed)
    #expect(didRun, "without a thread the stop actions run where the stop was asked for")
  }
}

/// Signals sent to threads that have them blocked, in processes of their own.
@Suite struct SignalsTests {
  @Test func waitsForTerminationSignals() async {
    await #expect(processExitsWith: .success) {
      Signals.blockTermination()
      for number in [SIGTERM, SIGINT, SIGHUP] {
        pthread_kill(pthread_self(), number)
        precondition(Signals.wait() == number)
      }
      precondition(Signals.wait(timeout: .zero) == .timedOut)
      precondition(Signals.wait(timeout: .milliseconds(5)) == .timedOut)
      // A wake-up that comes before the wait is not lost; several are one.
      Signals.wake(pthread_self())
      Signals.wake(pthread_self())
      precondition(Signals.wait(timeout: .seconds(60)) == .woken)
      precondition(Signals.wait(timeout: .zero) == .timedOut)
      Signals.wake(pthread_self())
      pthread_kill(pthread_self(), SIGTERM)
      precondition(Signals.wait() == SIGTERM)
      // Nobody reads: the process gets EPIPE instead of SIGPIPE.
      var ends: [Int32] = [0, 0]
      precondition(pipe(&ends) == 0)
      close(ends[0])
      precondition(write(ends[1], "x", 1) == -1 && errno == EPIPE)
    }
  }

  @Test func names() {
    #expect([SIGTERM, SIGINT, SIGHUP, SIGUSR1].map(Signals.name) == ["SIGTERM", "SIGINT", "SIGHUP", "signal 10"])
  }

  @Test func exitsWithZeroAfterSIGTERM() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(0), observing: [\.standardErrorContent]) {
        let supervisor = Supervisor(log: Log(component: "test"))
        let main = pthread_self()
        supervisor.start("worker") {
          pthread_kill(main, SIGTERM)
          _ = supervisor.waitForStop(timeout: nil)
        }
        Signals.blockTermination()
        exit(supervisor.runUntilSignal(timeout: .seconds(60)))
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.contains("info test \"stopping\" reason=SIGTERM\n"))
    #expect(text.hasSuffix("info test \"stopped\"\n"))
  }

  @Test func exitsWithZeroAfterSIGINT() async {
    await #expect(processExitsWith: .exitCode(0)) {
      Signals.blockTermination()
      pthread_kill(pthread_self(), SIGINT)
      exit(Supervisor(log: Log(component: "test")).runUntilSignal(timeout: .seconds(60)))
    }
  }

  @Test func hangupEndsTheProcessUnlessItMeansSomethingElse() async {
    await #expect(processExitsWith: .exitCode(0)) {
      Signals.blockTermination()
      pthread_kill(pthread_self(), SIGHUP)
      exit(Supervisor(log: Log(component: "test")).runUntilSignal(timeout: .seconds(60)))
    }
    await #expect(processExitsWith: .exitCode(7)) {
      Signals.blockTermination()
      var hangups = 0
      pthread_kill(pthread_self(), SIGHUP)
      let code = Supervisor(log: Log(component: "test")).runUntilSignal(timeout: .seconds(60)) {
        hangups += 1
        pthread_kill(pthread_self(), hangups < 3 ? SIGHUP : SIGTERM)
      }
      exit(code == 0 && hangups == 3 ? 7 : 1)
    }
  }

  @Test func exitsWithOneAfterAFailure() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
        Signals.blockTermination()
        let supervisor = Supervisor(log: Log(component: "test"))
        supervisor.start("healthy") { _ = supervisor.waitForStop(timeout: nil) }
        supervisor.start("broken") { throw Broken() }
        exit(supervisor.runUntilSignal(timeout: .seconds(60)))
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.contains("error test \"thread failed\" thread=broken reason=\"it broke\"\n"))
  }

  @Test func exitsWithOneAndSaysWhatHungAfterTheDeadline() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
        Signals.blockTermination()
        let supervisor = Supervisor(log: Log(component: "test"))
        supervisor.start("healthy") { _ = supervisor.waitForStop(timeout: nil) }
        supervisor.start("hung") { while true { pause() } }
        supervisor.onStop("after", {})
        supervisor.onStop("kafka") { while true { pause() } }
        pthread_kill(pthread_self(), SIGTERM)
        exit(supervisor.runUntilSignal(timeout: .milliseconds(200)) + 10)
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.contains("error test \"did not stop in time\" timeout=\"0.2 seconds\" running=\"hung,stop kafka\"\n"))
  }

  @Test func aSecondSignalEndsAtOnce() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(128 + SIGINT), observing: [\.standardErrorContent]) {
        Signals.blockTermination()
        let supervisor = Supervisor(log: Log(component: "test"))
        let main = pthread_self()
        supervisor.start("hung") {
          _ = supervisor.waitForStop(timeout: nil)
          pthread_kill(main, SIGHUP)
          pthread_kill(main, SIGINT)
          while true { pause() }
        }
        pthread_kill(pthread_self(), SIGTERM)
        exit(supervisor.runUntilSignal(timeout: .seconds(600)))
      })
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("running=hung\n"))
  }
}
