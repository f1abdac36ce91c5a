import Glibc

/// The address of a client without its port; IPv4 as such and over an IPv6 socket are two.
struct ClientAddress: Hashable, Sendable {
  private var number: UInt128 = 0

  init() {}

  init(_ address: sockaddr_storage) {
    number = unsafe withUnsafeBytes(of: address) { bytes in
      switch Int32(address.ss_family) {
      case AF_INET:
        let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 0
        return unsafe UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      case AF_INET6:
        let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 0
        return unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt128.self)
      default: return 0
      }
    }
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
