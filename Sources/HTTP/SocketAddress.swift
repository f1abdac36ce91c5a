import CMicroHTTPD
import Glibc

/// Names of socket addresses.
enum SocketAddress {
  /// The numeric address without the port; an IPv4 address that came over an IPv6 socket is written as IPv4.
  static func text(of address: UnsafePointer<sockaddr>) -> String {
    let size: Int
    switch unsafe Int32(address.pointee.sa_family) {
    case AF_INET: size = MemoryLayout<sockaddr_in>.size
    case AF_INET6: size = MemoryLayout<sockaddr_in6>.size
    default: return ""
    }
    let name = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
      let failed = unsafe getnameinfo(
        address, socklen_t(size), buffer.baseAddress, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
      guard failed == 0, let start = buffer.baseAddress else { return "" }
      return unsafe String(cString: start)
    }
    return name.hasPrefix("::ffff:") && name.contains(".") ? String(name.dropFirst(7)) : name
  }
}

/// A socket that listens; closed with its owner.
struct ListenSocket: ~Copyable {
  let descriptor: Int32
  /// The port, also when the system chose it.
  let port: UInt16

  /// Resolves, binds and listens.
  init(_ address: ListenAddress, backlog: Int32) throws(HTTPServerError) {
    // Every interface means one socket for both families, unless the machine has no IPv6.
    let hosts = address.host.isEmpty ? ["::", "0.0.0.0"] : [address.host]
    var failure = HTTPServerError(.badAddress, "cannot resolve '\(address.host)' to listen on \(address)")
    for host in hosts {
      for candidate in ListenSocket.resolve(host, port: address.port) {
        switch ListenSocket.open(candidate, backlog: backlog, bothFamilies: address.host.isEmpty) {
        case .success(let descriptor):
          self.descriptor = descriptor
          self.port = ListenSocket.port(of: descriptor)
          return
        case .failure(let reason):
          failure = ListenSocket.error(address, reason.code)
          if reason.code == EADDRINUSE { throw failure }
        }
      }
    }
    throw failure
  }

  deinit { close(descriptor) }

  private struct Candidate {
    var storage = sockaddr_storage()
    var size: socklen_t = 0
    var family: Int32 = 0
  }

  private struct Errno: Error { let code: Int32 }

  /// IPv4 first: "localhost" without a family means 127.0.0.1 to most clients.
  private static func resolve(_ host: String, port: UInt16) -> [Candidate] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
    defer { unsafe freeaddrinfo(list) }
    var found: [Candidate] = []
    var next = unsafe list
    while let info = unsafe next {
      var candidate = Candidate()
      candidate.size = unsafe info.pointee.ai_addrlen
      candidate.family = unsafe info.pointee.ai_family
      unsafe withUnsafeMutableBytes(of: &candidate.storage) {
        unsafe $0.copyMemory(
          from: UnsafeRawBufferPointer(start: info.pointee.ai_addr, count: Int(info.pointee.ai_addrlen)))
      }
      found.append(candidate)
      unsafe next = unsafe info.pointee.ai_next
    }
    return found.filter { $0.family == AF_INET } + found.filter { $0.family != AF_INET }
  }

  private static func open(_ candidate: Candidate, backlog: Int32, bothFamilies: Bool) -> Result<Int32, Errno> {
    let descriptor = sluice_http_listener(candidate.family)
    guard descriptor >= 0 else { return .failure(Errno(code: errno)) }
    var on: Int32 = 1
    var onlyIPv6: Int32 = bothFamilies ? 0 : 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
    if candidate.family == AF_INET6 {
      _ = unsafe setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &onlyIPv6, size)
    }
    var storage = candidate.storage
    let bound = unsafe withUnsafePointer(to: &storage) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, candidate.size) }
    }
    guard bound == 0, listen(descriptor, backlog) == 0 else {
      let code = errno
      close(descriptor)
      return .failure(Errno(code: code))
    }
    return .success(descriptor)
  }

  private static func port(of descriptor: Int32) -> UInt16 {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = unsafe withUnsafeMutablePointer(to: &storage) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &size) }
    }
    // The port is at the same place in both families (RFC 3493, 3.3).
    return unsafe withUnsafeBytes(of: &storage) { unsafe UInt16($0[2]) << 8 | UInt16($0[3]) }
  }

  private static func error(_ address: ListenAddress, _ code: Int32) -> HTTPServerError {
    switch code {
    case EADDRINUSE:
      HTTPServerError(.addressInUse, "cannot listen on \(address): another process listens there already")
    case EACCES, EPERM:
      HTTPServerError(
        .addressRefused, "cannot listen on \(address): permission denied (ports below 1024 need privileges)")
    case EADDRNOTAVAIL:
      HTTPServerError(.addressRefused, "cannot listen on \(address): this machine has no such address")
    default:
      HTTPServerError(.startFailed, "cannot listen on \(address): \(unsafe String(cString: strerror(code)))")
    }
  }
}
