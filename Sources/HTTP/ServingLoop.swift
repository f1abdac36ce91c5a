import CMicroHTTPD
import Glibc
import Synchronization

/// A socket that was accepted and is not yet the library's.
struct AcceptedSocket: Sendable {
  var descriptor: Int32 = -1
  var address = sockaddr_storage()
  var size: socklen_t = 0
  /// What `ServerCore.left` wants to know.
  var client = ClientAddress()
}

/// One daemon of the library and the thread that runs it.
///
/// The thread is not the library's own: after a round of exactly 128 events (`MAX_EVENTS` in daemon.c of 0.9.75) that
/// one waits, if need be for ever, for one more before it serves them. `MHD_run` never waits.
@safe final class ServingLoop: Sendable {
  private enum State: UInt8, AtomicRepresentable {
    /// Looks for work before it sleeps.
    case awake
    /// The same, and there is some.
    case called
    /// Only the wakeup or a socket ends its wait.
    case asleep
  }

  /// `@unchecked Sendable`: the serving thread alone uses it, once.
  @safe private struct ReleasedHandle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  private struct Inbox: Sendable {
    var accepted: [AcceptedSocket] = []
    var released: [ReleasedHandle] = []
    var expired: [ConnectionRecord] = []
    var isOver = false
  }

  let core: ServerCore
  // The thread alone runs and stops it; `MHD_resume_connection`, the one other call, locks.
  private nonisolated(unsafe) let daemon: OpaquePointer
  // Nobody uses it again; the daemon points into it.
  private nonisolated(unsafe) let library: LibrarySettings
  private let state = Atomic(State.awake)
  private let wakeup: Wakeup
  private let inbox = Mutex(Inbox())
  private let thread = Mutex<JoinableThread?>(nil)
  // Only the thread touches it: released connections that the library has not closed yet.
  private nonisolated(unsafe) var closing = 0
  // Only the thread touches it: what it hands to the library at this moment.
  private nonisolated(unsafe) var adopted: AcceptedSocket?

  /// Milliseconds.
  private static let closingPatience: Int32 = 5

  /// Starts to serve what `take` brings.
  init(_ configuration: HTTPServer.Configuration, core: ServerCore) throws(HTTPServerError) {
    self.core = core
    wakeup = try Wakeup()
    unsafe library = try LibrarySettings(configuration)
    unsafe daemon = try unsafe library.start()
    unsafe library.callBack(Unmanaged.passUnretained(self).toOpaque())
    do throws(HTTPServerError) {
      try thread.withLock { thread throws(HTTPServerError) in
        thread = try JoinableThread(name: "\(configuration.name)-serve") { self.serve() }
      }
    } catch {
      unsafe MHD_stop_daemon(daemon)
      throw error
    }
  }

  /// Serves a connection.
  func take(_ socket: AcceptedSocket) {
    inbox.withLock { $0.accepted.append(socket) }
    wake()
  }

  /// Lets the library go on with a suspended connection; by the one thread that took it back.
  func resume(_ connection: OpaquePointer) {
    // Counted, because the library touches the daemon once more after the connection has gone on.
    core.resuming.add(1, ordering: .sequentiallyConsistent)
    unsafe MHD_resume_connection(connection)
    wake()
    core.resuming.subtract(1, ordering: .sequentiallyConsistent)
    core.signalIfStopping()
  }

  /// Lets the library close an upgraded connection; the serving thread does it, for under TLS the library overlooks an end
  /// that comes while it passes bytes on.
  func release(_ handle: OpaquePointer) {
    inbox.withLock { $0.released.append(unsafe ReleasedHandle(pointer: handle)) }
    wake()
  }

  /// Answers a client whose time for a body is over, under TLS.
  func answerExpired(_ record: ConnectionRecord) {
    inbox.withLock { $0.expired.append(record) }
    wake()
  }

  /// The library has closed an upgraded connection.
  func isReleased() { unsafe closing -= 1 }

  /// Lets the thread end, and with it every connection. Nothing may be taken any more, and none be suspended.
  func end() {
    inbox.withLock { $0.isOver = true }
    wake()
  }

  /// Waits for what `end` began.
  func join() { thread.withLock { $0.take() }?.join() }

  /// The library has the socket that it was just given.
  func opened(_ descriptor: Int32) -> ConnectionRecord {
    let client = unsafe adopted?.client ?? ClientAddress()
    unsafe adopted = nil
    return core.opened(descriptor, of: client, on: self)
  }

  /// After there is something to do. Of many calls only the one that finds the thread asleep costs a system call, so
  /// answers that are given in a group wake it once.
  private func wake() {
    if state.exchange(.called, ordering: .sequentiallyConsistent) == .asleep { wakeup.signal() }
  }

  private func serve() {
    let events = unsafe sluice_http_events(daemon)
    var isOver = false
    while !isOver {
      var patience = unsafe sluice_http_patience(daemon)
      // The library does not say that it wants to be run once more to close what it has finished passing on.
      if unsafe closing > 0, patience < 0 || patience > Self.closingPatience { patience = Self.closingPatience }
      if patience != 0, fallAsleep(), sluice_http_wait(events, wakeup.descriptor, patience) { wakeup.clear() }
      // Before looking for work: whoever brings some later finds the state changed, and changes it again.
      state.store(.awake, ordering: .sequentiallyConsistent)
      isOver = adopt()
      unsafe MHD_run(daemon)
    }
    unsafe MHD_stop_daemon(daemon)
  }

  /// False when there was a call since the thread was last awake.
  private func fallAsleep() -> Bool {
    state.compareExchange(expected: .awake, desired: .asleep, ordering: .sequentiallyConsistent).exchanged
  }

  /// Gives what was accepted to the library; whether the end has come.
  private func adopt() -> Bool {
    let new = inbox.withLock { inbox in
      defer {
        inbox.accepted = []
        inbox.released = []
        inbox.expired = []
      }
      return inbox
    }
    for handle in new.released {
      unsafe closing += 1
      unsafe sluice_http_release(handle.pointer)
    }
    for record in new.expired { core.answerExpired(record) }
    for var socket in new.accepted {
      unsafe adopted = socket
      if unsafe !sluice_http_adopt(daemon, socket.descriptor, &socket.address, socket.size), unsafe adopted != nil {
        // The library has closed it, and there was no record whose end could be told.
        core.left(socket.client)
      }
      unsafe adopted = nil
    }
    return new.isOver
  }
}
