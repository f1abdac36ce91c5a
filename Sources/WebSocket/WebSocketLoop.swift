import CWslay
import Dispatch
import Glibc
import Synchronization

/// One thread's connections.
package final class WebSocketLoop: Sendable {
  /// A connection that is to be served.
  struct Arrival: Sendable {
    let connection: WebSocketConnection
    let receiver: any MessageReceiver
    let descriptor: Int32
    let received: [UInt8]
    let release: @Sendable () -> Void
  }

  private enum State: UInt8, AtomicRepresentable {
    /// Looks for work before it sleeps.
    case awake
    /// The same, and there is some.
    case called
    /// Only the wakeup or a socket ends its wait.
    case asleep
  }

  private struct Inbox: Sendable {
    var arrivals: [Arrival] = []
    /// Connections with something to send.
    var noted: [UInt64] = []
    /// By when all must be over, once that is asked for.
    var deadline: Int64?
    var hasStarted = false
    /// Nobody looks in here any more.
    var isOver = false
  }

  private let configuration: WebSocketServer.Configuration
  private let poller: Int32
  private let wakeup: Int32
  private let inbox = Mutex(Inbox())
  private let state = Atomic(State.awake)
  private let ended = DispatchSemaphore(value: 0)
  private let lastID = Atomic(UInt64(0))

  /// The wakeup's, in the poller.
  private static let ownID: UInt64 = 0
  private static let scratchSize = 65_536

  init(_ configuration: WebSocketServer.Configuration) throws(WebSocketError) {
    self.configuration = configuration
    poller = sluice_ws_poller()
    wakeup = sluice_ws_eventfd()
    guard poller >= 0, wakeup >= 0, sluice_ws_watch(poller, wakeup, Self.ownID, true, false) else {
      throw WebSocketError(description: "cannot make an event descriptor: \(unsafe String(cString: strerror(errno)))")
    }
  }

  deinit {
    close(poller)
    close(wakeup)
  }

  func connection() -> WebSocketConnection {
    WebSocketConnection(id: lastID.add(1, ordering: .relaxed).newValue) { [weak self] id in
      self?.inbox.withLock { $0.noted.append(id) }
      self?.wake()
    }
  }

  func take(_ arrival: Arrival) {
    let isTaken = inbox.withLock { inbox in
      guard !inbox.isOver, inbox.deadline == nil else { return false }
      inbox.arrivals.append(arrival)
      return true
    }
    guard isTaken else {
      arrival.connection.end()
      arrival.receiver.ended(Ending(cause: .shutdown, code: 1006))
      arrival.release()
      return
    }
    wake()
  }

  func stop(deadline: Int64) {
    inbox.withLock { if $0.deadline == nil { $0.deadline = deadline } }
    wake()
  }

  /// Waits until `run` has returned, if it was called.
  func waitForEnd() {
    let isRunning = inbox.withLock { inbox in
      // A thread that comes later finds nothing to do.
      if !inbox.hasStarted { inbox.isOver = true }
      return inbox.hasStarted
    }
    guard isRunning else { return }
    ended.wait()
    ended.signal()
  }

  /// After there is something to do: of many calls only the one that finds the thread asleep costs a system call.
  private func wake() {
    if state.exchange(.called, ordering: .sequentiallyConsistent) == .asleep { _ = eventfd_write(wakeup, 1) }
  }

  /// Serves until the server is stopped.
  package func run() {
    let isWanted = inbox.withLock { inbox in
      defer { inbox.hasStarted = true }
      return !inbox.isOver && !inbox.hasStarted
    }
    guard isWanted else { return }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.scratchSize, alignment: 16)
    let events = UnsafeMutablePointer<sluice_ws_event>.allocate(capacity: Int(SLUICE_WS_ROUND))
    var served: [UInt64: ServedConnection] = [:]
    let limits = configuration.watchLimits
    let shortest = min(limits.ping, limits.idle, limits.message, limits.send, limits.close)
    let tick = min(250, max(10, shortest / 4))
    var nextSweep = MonotonicClock.milliseconds + tick
    var isStopping = false
    while true {
      // Before the wait: whoever brings something later finds the state changed, and changes it again.
      let sleeps = state.compareExchange(
        expected: .awake, desired: .asleep, ordering: .sequentiallyConsistent
      ).exchanged
      let patience = sleeps ? max(0, nextSweep - MonotonicClock.milliseconds) : 0
      let count = unsafe sluice_ws_wait(poller, events, Int32(patience))
      state.store(.awake, ordering: .sequentiallyConsistent)
      let now = MonotonicClock.milliseconds
      for index in 0..<max(0, Int(count)) {
        let event = unsafe events[index]
        guard event.id != Self.ownID else {
          var value: eventfd_t = 0
          _ = unsafe eventfd_read(wakeup, &value)
          continue
        }
        unsafe served[event.id]?.ready(readable: event.readable, hungUp: event.hung_up, scratch: scratch, now)
        if served[event.id]?.isOver == true { served[event.id] = nil }
      }
      let (arrivals, noted, deadline) = inbox.withLock { inbox in
        defer {
          inbox.arrivals = []
          inbox.noted = []
        }
        return (inbox.arrivals, inbox.noted, inbox.deadline)
      }
      for arrival in arrivals {
        let connection = ServedConnection(arrival, configuration, poller: poller, now: now)
        served[arrival.connection.id] = connection
        connection?.news(now)
      }
      for id in noted {
        served[id]?.news(now)
        if served[id]?.isOver == true { served[id] = nil }
      }
      let isSweep = now >= nextSweep
      if isSweep || (deadline != nil && !isStopping) {
        nextSweep = now + tick
        sweep(&served, deadline: deadline, now)
        isStopping = deadline != nil
      }
      if isStopping && served.isEmpty { break }
    }
    unsafe scratch.deallocate()
    unsafe events.deallocate()
    inbox.withLock { $0.isOver = true }
    ended.signal()
  }

  private func sweep(_ served: inout [UInt64: ServedConnection], deadline: Int64?, _ now: Int64) {
    for (id, connection) in served {
      connection.tick(now)
      if let deadline {
        // What is left of the time is for close frames.
        connection.shutDown(atOnce: now >= deadline - configuration.closeTimeout.wholeMilliseconds, now)
        if now >= deadline { connection.end(.shutdown) }
      }
      if connection.isOver { served[id] = nil }
    }
  }
}
