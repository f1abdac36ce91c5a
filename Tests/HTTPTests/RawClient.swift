import Foundation
import HTTP

/// A client that sends any bytes at all and sees every byte that comes back.
/// `@unchecked Sendable`: at most one thread sends and one receives.
final class RawClient: @unchecked Sendable {
  struct Failure: Error { let what: String }

  private let descriptor: Int32
  /// What was received and not yet taken.
  private(set) var received: [UInt8] = []

  init(_ port: UInt16) throws {
    signal(SIGPIPE, SIG_IGN)
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0 else { throw Failure(what: "connect: \(errno)") }
    // Each send is a segment of its own.
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
  }

  deinit { close(descriptor) }

  /// False when the connection is gone.
  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Says that nothing more will be sent.
  func closeSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends the connection with a reset.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    // The number stays taken until the object goes.
    dup2(open("/dev/null", O_RDONLY), descriptor)
  }

  /// Whether there is something to receive, or the other side has closed.
  var hasNews: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) > 0
  }

  /// Everything until the other side closes; a reset after that does not matter.
  func untilClosed() throws -> String {
    while try receive() {}
    defer { received = [] }
    return String(decoding: received, as: UTF8.self)
  }

  /// One answer with `Content-Length` (or a 1xx or 204 without): its status, head and body.
  func response(toHead: Bool = false) throws -> (status: Int, head: String, body: String) {
    let end: [UInt8] = [13, 10, 13, 10]
    while true {
      if let range = received.firstRange(of: end) {
        let head = String(decoding: received[..<range.lowerBound], as: UTF8.self)
        let status = Int(head.split(separator: " ")[1])!
        var length = 0
        for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
          length = Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces))!
        }
        if toHead { length = 0 }
        if received.count >= range.upperBound + length {
          let body = String(decoding: received[range.upperBound..<range.upperBound + length], as: UTF8.self)
          received.removeFirst(range.upperBound + length)
          return (status, head, body)
        }
      }
      guard try receive() else {
        throw Failure(what: "closed after \(String(decoding: received, as: UTF8.self))")
      }
    }
  }

  private func receive() throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    if count < 0, errno == EAGAIN { throw Failure(what: "nothing came for 30 s") }
    received += buffer[..<max(0, count)]
    return count > 0
  }
}

/// A request as text; `Host` is added.
func request(_ method: String, _ path: String, _ headers: String..., body: String = "") -> String {
  let fields = (["Host: test"] + headers).joined(separator: "\r\n")
  return "\(method) \(path) HTTP/1.1\r\n\(fields)\r\n\r\n\(body)"
}
