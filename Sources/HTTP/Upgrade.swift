import CMicroHTTPD
import Synchronization

/// The answer 101, and who goes on with the connection (RFC 9110, 7.8).
package struct Upgrade: Sendable {
  let headers: [(String, String)]
  let take: @Sendable (UpgradedConnection) -> Void

  /// - Parameters:
  ///   - name: the protocol, for the header field `Upgrade`.
  ///   - headers: further fields of the answer; `Connection` is added.
  ///   - take: gets the connection once the answer is on its way, on the thread that served it; not called when the
  ///     client has gone by then.
  package init(
    to name: String, headers: [(String, String)], take: @escaping @Sendable (UpgradedConnection) -> Void
  ) {
    self.headers = [("Upgrade", name)] + headers
    self.take = take
  }

  /// Queues the answer; only on the thread that serves the connection.
  func queue(on connection: OpaquePointer) -> Bool {
    guard let response = unsafe sluice_http_upgrade(Upgrade.taken) else { return false }
    defer { unsafe MHD_destroy_response(response) }
    for (name, value) in headers { _ = unsafe sluice_http_add_header(response, name, value) }
    return unsafe sluice_http_queue(connection, 101, response)
  }

  /// What the library calls when the answer is out.
  private static let taken:
    @convention(c) (
      UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int, Int32,
      OpaquePointer?
    ) -> Void = { _, _, request, extra, extraSize, socket, handle in
      guard let request = unsafe request, let handle = unsafe handle else { return }
      let exchange = unsafe Unmanaged<Exchange>.fromOpaque(request).takeUnretainedValue()
      guard let core = exchange.core, let record = exchange.record else { return }
      let received = unsafe Array(UnsafeRawBufferPointer(start: extra, count: extraSize))
      let connection = unsafe UpgradedConnection(
        descriptor: socket, received: received, record: record, handle: handle)
      core.upgraded(exchange, to: connection)
    }
}

/// A connection on which HTTP is over. With TLS its descriptor is one end of a pair whose other end the server serves.
@safe package final class UpgradedConnection: Sendable {
  /// Does not block; open until `close`.
  package let descriptor: Int32
  /// What the client had already sent behind the head of its request.
  package let received: [UInt8]
  private let record: ConnectionRecord
  // Only for the one call of `close` that finds it open; the library keeps it until then.
  private nonisolated(unsafe) let handle: OpaquePointer
  private let isClosed = Atomic(false)

  init(descriptor: Int32, received: [UInt8], record: ConnectionRecord, handle: OpaquePointer) {
    self.descriptor = descriptor
    self.received = received
    self.record = record
    unsafe self.handle = unsafe handle
  }

  deinit { close() }

  /// Closes it, from any thread; the descriptor must not be used any more. What was sent may still be on its way.
  package func close() {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    // Under TLS the server passes on what was sent last: to a client that takes nothing not for ever.
    _ = record.deadline.set(.head, at: MonotonicClock.coarseMilliseconds + ServerCore.lingerTime)
    unsafe record.loop.release(handle)
  }
}

extension ServerCore {
  /// Another protocol gets the connection: the request is over.
  fileprivate func upgraded(_ exchange: Exchange, to connection: UpgradedConnection) {
    guard let record = exchange.record, let upgrade = unsafe exchange.progress.upgrade else { return }
    record.isUpgraded.store(true, ordering: .sequentiallyConsistent)
    upgraded.add(1, ordering: .sequentiallyConsistent)
    unsafe exchange.progress.upgrade = nil
    record.exchange.withLock { $0 = nil }
    exchange.end(abandoned: false)
    sluice_http_send_at_once(record.descriptor)
    report(exchange, status: 101)
    // Counted before this look, so whoever stops the server after it waits for this connection.
    if !isForcing { upgrade.take(connection) }
  }
}
