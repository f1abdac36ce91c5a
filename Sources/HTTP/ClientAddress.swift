import CMicroHTTPD
import Glibc

/// The address of a client without its port; IPv4 as such and over an IPv6 socket are the same.
package struct ClientAddress: Hashable, Sendable {
  /// As in IPv6, in network order; IPv4 in its mapped form (RFC 4291, 2.5.5.2).
  private var number: UInt128 = 0

  /// No address that a client can have.
  package init() {}

  init(_ address: sockaddr_storage) {
    self = unsafe withUnsafePointer(to: address) { address in
      unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe ClientAddress($0) }
    }
  }

  init(_ address: UnsafePointer<sockaddr>) {
    switch unsafe Int32(address.pointee.sa_family) {
    case AF_INET:
      let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 0
      let host = unsafe UnsafeRawPointer(address).loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      number = UInt128(0xffff_0000_0000 | UInt64(UInt32(bigEndian: host))).bigEndian
    case AF_INET6:
      let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 0
      number = unsafe UnsafeRawPointer(address).loadUnaligned(fromByteOffset: offset, as: UInt128.self)
    default: break
    }
  }

  /// Reads a numeric address; nil for anything else.
  package init?(_ text: String) {
    var storage = in6_addr()
    let mapped = text.contains(":") ? text : "::ffff:\(text)"
    guard unsafe inet_pton(AF_INET6, mapped, &storage) == 1 else { return nil }
    number = unsafe withUnsafeBytes(of: &storage) { unsafe $0.loadUnaligned(as: UInt128.self) }
  }

  /// Of IPv6 the first 64 bits: all addresses behind them are usually one client's, to take as it likes (RFC 6177).
  package var network: ClientAddress {
    guard UInt128(bigEndian: number) >> 32 != 0xffff else { return self }
    var network = ClientAddress()
    network.number = ((UInt128(bigEndian: number) >> 64) << 64).bigEndian
    return network
  }

  /// Whether it is this machine's own.
  package var isLoopback: Bool {
    let value = UInt128(bigEndian: number)
    return value == 1 || value >> 24 == 0xffff_7f
  }
}

/// How many open connections each client has.
struct ClientCounts: Sendable {
  private var counts: [ClientAddress: Int] = [:]

  /// False when the client has `limit` already.
  mutating func add(_ client: ClientAddress, limit: Int) -> Bool {
    let count = counts[client] ?? 0
    guard count < limit else { return false }
    counts[client] = count + 1
    return true
  }

  mutating func remove(_ client: ClientAddress) {
    guard let count = counts[client] else { return }
    counts[client] = count > 1 ? count - 1 : nil
  }
}
