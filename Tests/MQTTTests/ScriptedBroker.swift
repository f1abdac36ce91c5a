import Foundation
import Synchronization
import TestServers

/// A broker that does as it is told, for answers that a real one gives only in rare moments. Serves one connection.
final class ScriptedBroker: Sendable {
  let port: UInt16
  private let listener: Int32
  private let outcome = Mutex<Result<Void, any Error>?>(nil)

  init(_ script: @escaping @Sendable (borrowing Peer) throws -> Void) throws {
    port = TestServers.freePort()
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0, listen(listener, 1) == 0 else { throw TestServerError("cannot listen on \(port)") }
    Thread { [self] in
      let descriptor = accept(listener, nil, nil)
      let result = Result { try script(Peer(descriptor: descriptor)) }
      close(descriptor)
      outcome.withLock { $0 = result }
    }.start()
  }

  deinit { close(listener) }

  /// Waits until the script is over, and throws what it threw.
  func finish() throws {
    try eventually("the script ends") { outcome.withLock { $0 != nil } }
    try outcome.withLock { $0 }?.get()
  }

  struct Peer: ~Copyable {
    let descriptor: Int32

    func send(_ bytes: [UInt8]) {
      _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// The next packet: its first byte, and its content.
    func packet() throws -> (first: UInt8, content: [UInt8])? {
      guard let first = try bytes(1)?.first else { return nil }
      // No packet here is longer than 127 bytes.
      guard let length = try bytes(1)?.first, let content = try bytes(Int(length)) else { return nil }
      return (first, content)
    }

    /// The types (upper halves of the first byte) of all packets until the other side is gone.
    func remainingTypes() throws -> [UInt8] {
      var types: [UInt8] = []
      while let packet = try packet() { types.append(packet.first >> 4) }
      return types
    }

    private func bytes(_ count: Int) throws -> [UInt8]? {
      var result: [UInt8] = []
      while result.count < count {
        var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptors, 1, 30_000) == 1 else { throw TestServerError("the client sends nothing") }
        var byte: UInt8 = 0
        guard read(descriptor, &byte, 1) == 1 else { return nil }
        result.append(byte)
      }
      return result
    }

    /// Takes CONNECT and answers it.
    func accept(code: UInt8 = 0, sessionPresent: Bool = false) throws {
      guard try packet()?.first == 0x10 else { throw TestServerError("no CONNECT") }
      send([0x20, 2, sessionPresent ? 1 : 0, code])
    }

    /// Takes SUBSCRIBE and gives its packet identifier.
    func subscription() throws -> [UInt8] {
      guard let packet = try packet(), packet.first == 0x82 else { throw TestServerError("no SUBSCRIBE") }
      return Array(packet.content.prefix(2))
    }

    /// PUBLISH at QoS 1 to "t", its payload one byte.
    func publish(_ number: UInt8) { send([0x32, 6, 0, 1, UInt8(ascii: "t"), 0, number, number]) }
  }
}
