import Dispatch
import Synchronization

/// Serves WebSocket connections on a few threads, each with many of them.
package final class WebSocketServer: Sendable {
  /// What a server allows.
  package struct Configuration: Sendable {
    /// Threads that serve connections.
    package var threads = 1
    /// Connections at once.
    package var connectionLimit = 1_000
    /// Bytes of a message, whatever its frames.
    package var messageLimit = 8 << 20
    /// Messages of one connection that may wait for their answers; until there are fewer, nothing is read from it.
    package var inFlightLimit = 1_000
    /// Bytes that may wait for a client to read them: beyond a quarter nothing is read from it, beyond all it is cut off.
    package var sendLimit = 256 << 10
    /// Silence after which a client gets a ping; as much again without a sign of life, and it is cut off.
    package var pingInterval: Duration = .seconds(20)
    /// How long a client may send no message while none is being answered.
    package var idleTimeout: Duration = .seconds(600)
    /// How long a message may take, and a second more for every thousand bytes of it.
    package var messageTimeout: Duration = .seconds(30)
    /// How long a client may take nothing of what waits for it.
    package var sendTimeout: Duration = .seconds(20)
    /// How long a client may take to answer a close frame.
    package var closeTimeout: Duration = .seconds(2)

    package init() {}
  }

  /// The work of its threads: the owner starts one for each, which returns after `stop`.
  package let loops: [WebSocketLoop]
  private let configuration: Configuration
  private let count = Atomic(0)
  private let next = Atomic(0)

  /// - Throws: when the system gives no descriptors.
  package init(_ configuration: Configuration) throws(WebSocketError) {
    self.configuration = configuration
    var loops: [WebSocketLoop] = []
    for _ in 0..<max(1, configuration.threads) { loops.append(try WebSocketLoop(configuration)) }
    self.loops = loops
  }

  /// Open connections.
  package var connectionCount: Int { count.load(ordering: .relaxed) }

  /// Whether there are as many connections as are allowed.
  package var isFull: Bool { connectionCount >= configuration.connectionLimit }

  /// Serves a connection whose handshake is done.
  ///
  /// - Parameters:
  ///   - descriptor: of the socket; it must stay open until `release`.
  ///   - received: what came behind the handshake.
  ///   - release: called exactly once, when the descriptor is not used any more.
  ///   - receiver: makes what takes the messages.
  package func serve(
    descriptor: Int32, received: [UInt8], release: @escaping @Sendable () -> Void,
    receiver: (WebSocketConnection) -> any MessageReceiver
  ) {
    let loop = loops[next.add(1, ordering: .relaxed).newValue % loops.count]
    let isOneTooMany = count.add(1, ordering: .relaxed).newValue > configuration.connectionLimit
    let connection = loop.connection()
    if isOneTooMany { connection.close(.tooMany) }
    let arrival = WebSocketLoop.Arrival(
      connection: connection, receiver: receiver(connection), descriptor: descriptor, received: received
    ) { [self] in
      count.subtract(1, ordering: .relaxed)
      release()
    }
    loop.take(arrival)
  }

  /// Ends all connections: nothing more is read, what is being answered gets its answer, and then comes 1001. When this
  /// returns, or `timeout` is over and a client is slower than that, all are released and nothing is called any more.
  ///
  /// Must not be called on the server's own threads.
  package func stop(timeout: Duration) {
    let deadline = MonotonicClock.milliseconds + timeout.wholeMilliseconds
    for loop in loops { loop.stop(deadline: deadline) }
    for loop in loops { loop.waitForEnd() }
  }
}

/// Why connections cannot be served.
package struct WebSocketError: Error, CustomStringConvertible {
  package let description: String
}
