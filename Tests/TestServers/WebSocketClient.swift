import Foundation

/// One frame as it is on the wire (RFC 6455, 5.2).
package struct WebSocketFrame: Equatable, Sendable {
  package var opcode: UInt8
  package var payload: [UInt8]
  package var isFinal = true
  package var reserved: UInt8 = 0

  package init(_ opcode: UInt8, _ payload: [UInt8] = [], isFinal: Bool = true, reserved: UInt8 = 0) {
    self.opcode = opcode
    self.payload = payload
    self.isFinal = isFinal
    self.reserved = reserved
  }

  package static func text(_ text: String) -> WebSocketFrame { WebSocketFrame(1, Array(text.utf8)) }
  package static func close(_ code: UInt16, _ reason: String = "") -> WebSocketFrame {
    WebSocketFrame(8, [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8))
  }

  package var text: String { String(decoding: payload, as: UTF8.self) }

  /// The code of a close frame; 1005 when it has none.
  package var closeCode: UInt16? {
    guard opcode == 8 else { return nil }
    return payload.count < 2 ? 1005 : UInt16(payload[0]) << 8 | UInt16(payload[1])
  }

  /// The bytes of it.
  /// - Parameter mask: as clients must, with this key; nil: as servers do.
  package func encoded(mask: [UInt8]? = [0x37, 0xfa, 0x21, 0x3d]) -> [UInt8] {
    var bytes = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
    let bit: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case ..<126: bytes.append(bit | UInt8(payload.count))
    case ..<65_536: bytes += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default:
      bytes.append(bit | 127)
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: payload.count >> shift))
      }
    }
    guard let mask else { return bytes + payload }
    bytes += mask
    return bytes + payload.enumerated().map { $1 ^ mask[$0 & 3] }
  }

  /// Takes the first frame, unmasked, out of what was received; nil when it is not complete.
  package static func decode(_ bytes: inout [UInt8]) -> WebSocketFrame? {
    guard bytes.count >= 2 else { return nil }
    var length = Int(bytes[1] & 127)
    var start = 2
    if length >= 126 {
      let size = length == 126 ? 2 : 8
      guard bytes.count >= 2 + size else { return nil }
      length = bytes[2..<2 + size].reduce(0) { $0 << 8 | Int($1) }
      start += size
    }
    guard bytes.count >= start + length else { return nil }
    let frame = WebSocketFrame(
      bytes[0] & 15, Array(bytes[start..<start + length]), isFinal: bytes[0] & 0x80 != 0, reserved: bytes[0] >> 4 & 7)
    bytes.removeFirst(start + length)
    return frame
  }
}

/// A WebSocket client that sends any frames at all.
///
/// `@unchecked Sendable`: at most one thread sends and one receives.
package final class WebSocketClient: @unchecked Sendable {
  private let descriptor: Int32
  private var received: [UInt8] = []
  /// The head of the answer to the handshake.
  package private(set) var head = ""

  /// - Parameter descriptor: a connected socket, whose handshake is done.
  package init(descriptor: Int32) {
    self.descriptor = descriptor
    var timeout = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Connects, with the handshake of RFC 6455, 1.3.
  ///
  /// - Parameter receiveBuffer: bytes that the system takes for a client that does not read.
  package convenience init(port: UInt16, headers: [String] = [], receiveBuffer: Int32? = nil) throws {
    let descriptor = try TestServers.connect(port) { descriptor in
      if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
      var on: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }
    self.init(descriptor: descriptor)
    try shakeHands(headers)
  }

  /// Sends the handshake and waits for its answer.
  package func shakeHands(_ headers: [String] = []) throws {
    let fields =
      headers.isEmpty
      ? [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ] : headers
    send(Array("GET /v1/stream HTTP/1.1\r\nHost: test\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n".utf8))
    while true {
      if let end = received.firstRange(of: Array("\r\n\r\n".utf8)) {
        head = String(decoding: received[..<end.upperBound], as: UTF8.self)
        received.removeFirst(end.upperBound)
        return
      }
      guard try receiveMore() else { throw TestServerError("closed during the handshake") }
    }
  }

  deinit { close(descriptor) }

  /// The status of the handshake.
  package var status: Int { Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0 }

  /// False when the connection is gone.
  @discardableResult
  package func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  @discardableResult
  package func send(_ frame: WebSocketFrame) -> Bool { send(frame.encoded()) }

  @discardableResult
  package func send(_ text: String) -> Bool { send(.text(text)) }

  /// The next frame; nil at the end of the connection.
  package func receive() throws -> WebSocketFrame? {
    while true {
      if let frame = WebSocketFrame.decode(&received) { return frame }
      guard try receiveMore() else { return nil }
    }
  }

  /// The next message, as JSON.
  package func answer() throws -> [String: Any] {
    while let frame = try receive() {
      if frame.opcode == 9 {
        send(WebSocketFrame(10, frame.payload))
        continue
      }
      guard frame.opcode == 1,
        let object = try JSONSerialization.jsonObject(with: Data(frame.payload)) as? [String: Any]
      else { throw TestServerError("no answer but \(frame)") }
      return object
    }
    throw TestServerError("closed instead of answered")
  }

  /// All frames until the connection ends.
  package func untilClosed() throws -> [WebSocketFrame] {
    var frames: [WebSocketFrame] = []
    while let frame = try receive() { frames.append(frame) }
    return frames
  }

  /// Ends the connection with a reset.
  package func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    // The number stays taken until the object goes.
    dup2(open("/dev/null", O_RDONLY), descriptor)
  }

  /// Says that nothing more is sent, without a close frame.
  package func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  private func receiveMore() throws -> Bool {
    var piece = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &piece, piece.count, 0)
    if count < 0, errno == EAGAIN { throw TestServerError("nothing came for 30 s") }
    received += piece[..<max(0, count)]
    return count > 0
  }
}
