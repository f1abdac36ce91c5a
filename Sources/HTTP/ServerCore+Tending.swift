import CMicroHTTPD
import Dispatch
import Glibc
import Synchronization

/// What other threads want from the tending thread.
struct Errands: Sendable {
  /// A socket that is kept until the client has read the last answer.
  struct Lingering: Sendable {
    let descriptor: Int32
    var until: Int64 = 0
  }

  /// More than these are closed at once.
  static let lingeringLimit = 256

  var lingering: [Lingering] = []
  var delays = Delays()
  var isQuiesced = false
  var isOver = false
}

/// Answers that are given later, to each connection at another time, so that not all ask again at once.
struct Delays: Sendable {
  typealias Delayed = (exchange: Exchange, answer: Response)

  /// Milliseconds from one row to the next.
  static let step: Int64 = 16
  private static let count = 16
  private var rows = [[Delayed]](repeating: [], count: count)
  private var current = 0

  var isEmpty: Bool { rows.allSatisfy(\.isEmpty) }

  /// Has it answered in eight to fifteen steps.
  mutating func add(_ answer: Response, to exchange: Exchange) {
    let half = Self.count / 2
    rows[(current + half + (exchange.record?.slot ?? 0) % half) % Self.count].append((exchange, answer))
  }

  /// Goes a step on.
  /// - Returns: what is to be answered now.
  mutating func advance() -> [Delayed] {
    current = (current + 1) % Self.count
    defer { rows[current] = [] }
    return rows[current]
  }
}

/// One thread accepts connections, ends those that are too slow, and lets answers arrive before sockets are closed.
extension ServerCore {
  /// Milliseconds that a client gets to read an answer that it did not wait for.
  static let lingerTime: Int64 = 2_000
  /// Milliseconds that a client whose time is over gets to close the connection itself.
  private static let expiryTime: Int64 = 500
  /// Sweeps after which it is looked again whether a client has closed: each look is a system call.
  private static let checkInterval = 8

  func opened(_ descriptor: Int32, of client: ClientAddress, on loop: ServingLoop) -> ConnectionRecord {
    let until = MonotonicClock.coarseMilliseconds + limits.idle
    return connections.withLock {
      $0.add(descriptor: descriptor, client: client, loop: loop, idleUntil: until)
    }
  }

  /// The library closes the socket right after this.
  func closed(_ record: ConnectionRecord) {
    connections.withLock { $0.remove(record) }
    if record.lingers.load(ordering: .relaxed) {
      linger(Errands.Lingering(descriptor: fcntl(record.descriptor, F_DUPFD_CLOEXEC, 0)))
    }
    left(record.client)
  }

  /// A connection that was counted when it was accepted is gone.
  func left(_ client: ClientAddress) {
    if limits.connectionsPerClient != nil { clients.withLock { $0.remove(client) } }
    if connectionCount.subtract(1, ordering: .sequentiallyConsistent).oldValue == limits.connections {
      wakeup.signal()
    }
  }

  private func linger(_ socket: Errands.Lingering) {
    guard socket.descriptor >= 0 else { return }
    let isTaken = errands.withLock { errands in
      guard !errands.isOver, errands.lingering.count < Errands.lingeringLimit else { return false }
      errands.lingering.append(socket)
      return true
    }
    guard isTaken else {
      close(socket.descriptor)
      return
    }
    shutdown(socket.descriptor, Int32(SHUT_WR))
    wakeup.signal()
  }

  private var isFull: Bool { connectionCount.load(ordering: .sequentiallyConsistent) >= limits.connections }

  /// The tending thread's work until `errands.isOver`.
  func tend(_ listener: consuming ListenSocket, loops: [ServingLoop], quiesced: DispatchSemaphore) {
    var listener: ListenSocket? = listener
    var lingering: [Errands.Lingering] = []
    let tick = min(250, max(10, min(limits.idle, limits.body) / 8))
    var nextSweep = MonotonicClock.coarseMilliseconds + tick
    var nextStep = MonotonicClock.coarseMilliseconds
    var pausedUntil: Int64 = 0
    var round = 0
    defer { for socket in lingering { close(socket.descriptor) } }
    while true {
      let now = MonotonicClock.coarseMilliseconds
      let (new, hasDelays, isQuiesced, isOver) = errands.withLock { errands in
        defer { errands.lingering = [] }
        if errands.isOver { errands.delays = Delays() }
        return (errands.lingering, !errands.delays.isEmpty, errands.isQuiesced, errands.isOver)
      }
      lingering += new.map { .init(descriptor: $0.descriptor, until: now + ServerCore.lingerTime) }
      if isQuiesced, listener != nil {
        listener = nil
        quiesced.signal()
      }
      if isOver { return }

      var polled = [pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)]
      let accepts = listener != nil && !isFull && now >= pausedUntil
      if accepts, let descriptor = listener?.descriptor {
        polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
      }
      let first = polled.count
      for socket in lingering {
        polled.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
      }
      _ = unsafe poll(
        &polled, nfds_t(polled.count), Int32(max(0, (hasDelays ? min(nextStep, nextSweep) : nextSweep) - now)))

      wakeup.clear()
      if accepts, polled[1].revents != 0, let descriptor = listener?.descriptor, !accept(descriptor, loops) {
        // Out of descriptors or memory: what is open must go first.
        pausedUntil = MonotonicClock.coarseMilliseconds + 100
      }
      let later = MonotonicClock.coarseMilliseconds
      lingering = zip(lingering, polled[first...]).compactMap { socket, events in
        if later < socket.until, ServerCore.isStillOpen(socket, events.revents) { return socket }
        close(socket.descriptor)
        return nil
      }
      if later >= nextStep {
        nextStep = later + Delays.step
        for delayed in errands.withLock({ $0.delays.advance() }) { delayed.exchange.respond(delayed.answer) }
      }
      if later >= nextSweep {
        sweep(later, round: round)
        round &+= 1
        nextSweep = later + tick
      }
    }
  }

  /// Accepts what is waiting, at most a round's worth. False when the system cannot give a descriptor.
  private func accept(_ listener: Int32, _ loops: [ServingLoop]) -> Bool {
    for _ in 0..<64 where !isFull {
      var socket = AcceptedSocket()
      socket.descriptor = unsafe sluice_http_accept(listener, &socket.address, &socket.size)
      guard socket.descriptor >= 0 else {
        let code = errno
        return code != EMFILE && code != ENFILE && code != ENOBUFS && code != ENOMEM
      }
      if let limit = limits.connectionsPerClient {
        socket.client = ClientAddress(socket.address)
        guard clients.withLock({ $0.add(socket.client, limit: limit) }) else {
          close(socket.descriptor)
          log?("closed a connection: its client has \(limit) already")
          continue
        }
      }
      connectionCount.add(1, ordering: .sequentiallyConsistent)
      loops[Int(socket.descriptor) % loops.count].take(socket)
    }
    return true
  }

  /// Lets those who have upgraded connections see their end.
  func endUpgraded() {
    connections.withLock { table in
      for record in table.records where record.isUpgraded.load(ordering: .sequentiallyConsistent) {
        shutdown(record.descriptor, Int32(SHUT_RDWR))
      }
    }
  }

  /// Ends connections whose time is over, and wakes those whose end the library has overlooked.
  private func sweep(_ now: Int64, round: Int) {
    connections.withLock { table in
      for record in table.records {
        switch record.deadline.expire(ifBefore: now) {
        case nil: nudge(record, now, isChecked: (record.slot + round) % ServerCore.checkInterval == 0)
        case .head:
          // There may be half a head, which deserves no answer.
          shutdown(record.descriptor, Int32(SHUT_RDWR))
        case .body where isTLS:
          record.loop.answerExpired(record)
          unsafe record.expiredAt = now
        case .body:
          let exchange = record.exchange.withLock { $0 }
          let answer = exchange?.answer ?? timeoutResponse
          record.lingers.store(true, ordering: .relaxed)
          _ = record.sendAll(answer.serialized(isHead: exchange?.method == .head))
          // The client reads this and closes, and so will the library then. Closing both directions now would answer
          // what is still coming in with a reset, which may destroy the answer.
          shutdown(record.descriptor, Int32(SHUT_WR))
          unsafe record.expiredAt = now
        }
      }
    }
  }

  private func nudge(_ record: ConnectionRecord, _ now: Int64, isChecked: Bool) {
    if unsafe record.expiredAt > 0 {
      if unsafe now > record.expiredAt + ServerCore.expiryTime { shutdown(record.descriptor, Int32(SHUT_RD)) }
      return
    }
    // The library waits for an edge after a short read, but when the end came with the data there is none to come.
    // Closing the reading direction of a socket that is at its end changes nothing, and makes one.
    if isChecked, record.deadline.isWaiting, sluice_http_is_at_end(record.descriptor) {
      shutdown(record.descriptor, Int32(SHUT_RD))
    }
  }

  private static func isStillOpen(_ socket: Errands.Lingering, _ events: Int16) -> Bool {
    if events & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return false }
    guard events & Int16(POLLIN) != 0 else { return true }
    return unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
      // A few rounds, then others have their turn.
      for _ in 0..<4 {
        let count = unsafe sluice_http_receive(socket.descriptor, buffer.baseAddress, buffer.count)
        if count == 0 { return false }
        if count < 0 { return errno == EAGAIN || errno == EINTR }
      }
      return true
    }
  }
}
