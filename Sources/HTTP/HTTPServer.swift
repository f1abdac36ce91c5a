import Dispatch
import Synchronization

/// An HTTP/1.1 server, with or without TLS. It serves from its creation until `stop`.
package final class HTTPServer: Sendable {
  /// The port that it listens on, also when the system chose it.
  package let port: UInt16

  let core: ServerCore
  private let running: Mutex<Running?>
  private let quiesced = DispatchSemaphore(value: 0)
  /// One stop at a time; a second one waits for the first.
  private let stopping = DispatchSemaphore(value: 1)

  /// What ends with the server.
  private struct Running: ~Copyable, Sendable {
    let loops: [ServingLoop]
    let tending: JoinableThread
  }

  /// Starts to serve.
  ///
  /// - Throws: `HTTPServerError`, which names the address or the file that is to blame.
  package init(_ configuration: Configuration, handler: any RequestHandler) throws(HTTPServerError) {
    let core = try ServerCore(configuration, handler: handler)
    let listener = try ListenSocket(configuration.listen, backlog: Int32(clamping: configuration.backlog))
    port = listener.port
    self.core = core
    let quiesced = quiesced
    let handedOver = Mutex<ListenSocket?>(listener)
    var started: [ServingLoop] = []
    do throws(HTTPServerError) {
      for _ in 0..<max(1, configuration.threads) { started.append(try ServingLoop(configuration, core: core)) }
      let loops = started
      let tending = try JoinableThread(name: "\(configuration.name)-tend") {
        guard let listener = handedOver.withLock({ $0.take() }) else { return }
        core.tend(listener, loops: loops, quiesced: quiesced)
      }
      running = Mutex(Running(loops: loops, tending: tending))
    } catch {
      HTTPServer.end(started)
      throw error
    }
  }

  deinit { stop(timeout: .zero) }

  /// Open connections.
  package var connectionCount: Int { core.connectionCount.load(ordering: .relaxed) }

  /// Requests between their head and the end of their answer.
  package var requestsInProgress: Int { core.inProgress.load(ordering: .relaxed) }

  /// Stops accepting connections; those that are open are served, and each is closed after its next answer. When this
  /// returns the port is free.
  package func quiesce() {
    stopping.wait()
    defer { stopping.signal() }
    quiesceOnce()
  }

  /// Stops: no new connections, then at most `timeout` for the requests in progress, then 503 for those that are still
  /// suspended and an end to the others, upgraded connections among them, whose owners must then close them. Nothing is
  /// called any more when this returns. Again: does nothing.
  ///
  /// Must not be called on the server's own threads.
  package func stop(timeout: Duration) {
    stopping.wait()
    defer { stopping.signal() }
    quiesceOnce()
    guard let running = running.withLock({ $0.take() }) else { return }

    wait(until: timeout) { core.inProgress.load(ordering: .sequentiallyConsistent) == 0 }
    core.enter(.forcing)
    // The library aborts when it is stopped with a suspended connection, so there is no limit to this one; every
    // request is answered here, and none can be suspended any more.
    while core.isAnythingSuspended {
      core.answerSuspended()
      _ = core.changed.wait(timeout: .now() + .milliseconds(10))
    }
    // Nor to this one: the library would close sockets that their owners still use.
    while core.isAnythingUpgraded {
      core.endUpgraded()
      _ = core.changed.wait(timeout: .now() + .milliseconds(10))
    }
    // What was just answered is on its way out; a body that is still coming in is not worth the wait.
    wait(until: min(timeout, .milliseconds(200))) { core.inProgress.load(ordering: .sequentiallyConsistent) == 0 }

    core.errands.withLock { $0.isOver = true }
    core.wakeup.signal()
    let loops = running.loops
    running.tending.join()
    HTTPServer.end(loops)
  }
}

extension HTTPServer {
  private func quiesceOnce() {
    guard core.stage == .running else { return }
    core.enter(.quiesced)
    core.errands.withLock { $0.isQuiesced = true }
    core.wakeup.signal()
    quiesced.wait()
  }

  private static func end(_ loops: [ServingLoop]) {
    for loop in loops { loop.end() }
    for loop in loops { loop.join() }
  }

  private func wait(until timeout: Duration, _ condition: () -> Bool) {
    let deadline = DispatchTime.now() + .milliseconds(Int(clamping: timeout.wholeMilliseconds))
    while !condition(), core.changed.wait(timeout: deadline) == .success {}
  }
}
