package import Foundation
import Synchronization

/// A proxy in front of a server on this machine that can keep what clients say to itself, so that a test can choose what
/// a server has not heard when its client dies; or that is slow.
package final class ServerProxy: Sendable {
  package let port: UInt16
  private let target: UInt16
  private let bytesPerSecond: Int?
  private let listener: Int32
  private let swallowed: Mutex<Data?>
  private let swallows = Atomic(false)
  private let muted = Atomic(0)

  /// - Parameters:
  ///   - bytesPerSecond: what each client can say in a second; nil: as much as it likes.
  ///   - swallowed: from a client that says this nothing is passed on any more.
  package init(to target: UInt16, bytesPerSecond: Int? = nil, swallowing swallowed: Data? = nil) throws {
    self.target = target
    self.bytesPerSecond = bytesPerSecond
    self.swallowed = Mutex(swallowed)
    port = TestServers.freePort()
    let listener = Self.makeSocket()
    self.listener = listener
    guard Self.withAddress(port, { bind(listener, $0, $1) }) == 0, listen(listener, 8) == 0 else {
      throw TestServerError("cannot listen on \(port)")
    }
    Thread { [weak self] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        self?.join(client)
      }
    }.start()
  }

  deinit {
    // Ends the wait in accept.
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  /// From now on the server hears nothing more, and its clients everything.
  package func swallow() { swallows.store(true, ordering: .sequentiallyConsistent) }

  /// Connections that are no longer heard.
  package var mutedCount: Int { muted.load(ordering: .sequentiallyConsistent) }

  /// New connections are heard again, whatever they say.
  package func pass() {
    swallows.store(false, ordering: .sequentiallyConsistent)
    swallowed.withLock { $0 = nil }
  }

  private func isToBeSwallowed(_ said: Data) -> Bool {
    swallowed.withLock { $0.map { said.range(of: $0) != nil } ?? false }
  }

  private func join(_ client: Int32) {
    let server = Self.makeSocket()
    guard Self.withAddress(target, { connect(server, $0, $1) }) == 0 else {
      close(client)
      close(server)
      return
    }
    let isOver = DispatchSemaphore(value: 0)
    Thread { [self] in
      var isMuted = false
      Self.copy(from: client, to: server, bytesPerSecond) { said in
        if !isMuted, swallows.load(ordering: .sequentiallyConsistent) || isToBeSwallowed(said) {
          isMuted = true
          muted.add(1, ordering: .sequentiallyConsistent)
        }
        return !isMuted
      }
      shutdown(server, Int32(SHUT_RDWR))
      isOver.signal()
    }.start()
    Thread {
      Self.copy(from: server, to: client) { _ in true }
      shutdown(client, Int32(SHUT_RDWR))
      isOver.wait()
      close(client)
      close(server)
    }.start()
  }

  private static func copy(from source: Int32, to sink: Int32, _ bytesPerSecond: Int? = nil, _ isHeard: (Data) -> Bool)
  {
    var buffer = [UInt8](repeating: 0, count: bytesPerSecond == nil ? 65_536 : 1_024)
    while true {
      let count = read(source, &buffer, buffer.count)
      guard count > 0 else { return }
      if let bytesPerSecond { Thread.sleep(forTimeInterval: Double(count) / Double(bytesPerSecond)) }
      guard isHeard(Data(buffer[..<count])) else { continue }
      var sent = 0
      while sent < count {
        let written = buffer.withUnsafeBytes { send(sink, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL)) }
        guard written > 0 else { return }
        sent += written
      }
    }
  }

  private static func makeSocket() -> Int32 {
    socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  }

  private static func withAddress(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
