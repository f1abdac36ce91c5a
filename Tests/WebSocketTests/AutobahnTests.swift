import Foundation
import Synchronization
import TestServers
import Testing

@testable import WebSocket

/// What `scripts/autobahn` runs its clients against: the server as it is, sending every message back.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["SLUICE_AUTOBAHN_PORT"] != nil, "for scripts/autobahn"))
struct AutobahnTests {
  private final class Echo: MessageReceiver {
    private let connection: WebSocketConnection
    private let message = Mutex<[UInt8]>([])

    init(_ connection: WebSocketConnection) { self.connection = connection }

    func receive(_ piece: UnsafeRawBufferPointer) -> CloseReason? {
      message.withLock { $0.append(contentsOf: piece) }
      return nil
    }

    func finish(isText: Bool) {
      let whole = message.withLock { message in
        defer { message = [] }
        return message
      }
      connection.answer(whole, isText: isText)
    }

    func ended(_ ending: Ending) {}
  }

  /// Serves until the process is ended.
  @Test func echo() throws {
    let port = try #require(UInt16(ProcessInfo.processInfo.environment["SLUICE_AUTOBAHN_PORT"] ?? ""))
    var configuration = WebSocketServer.Configuration()
    // Its largest messages have 16 MiB.
    configuration.messageLimit = 20 << 20
    configuration.sendLimit = 160 << 20
    let server = try WebSocketServer(configuration)
    for loop in server.loops { Thread { loop.run() }.start() }
    let listener = try TestServers.listen(port)
    while true {
      let descriptor = accept(listener, nil, nil)
      guard descriptor >= 0 else { throw TestServerError("no connection: \(errno)") }
      guard let received = try shakeHands(descriptor) else {
        close(descriptor)
        continue
      }
      server.serve(
        descriptor: descriptor, received: received, release: { close(descriptor) }, receiver: { Echo($0) })
    }
  }

  /// Answers the handshake; returns what came behind it, or nil if there was none.
  private func shakeHands(_ descriptor: Int32) throws -> [UInt8]? {
    var head: [UInt8] = []
    let end = Array("\r\n\r\n".utf8)
    var piece = [UInt8](repeating: 0, count: 4_096)
    while true {
      if let range = String(decoding: head, as: UTF8.self).range(of: "\r\n\r\n") {
        let text = String(decoding: head, as: UTF8.self)[..<range.lowerBound]
        let fields = text.split(separator: "\r\n").compactMap { line -> (String, String)? in
          guard let colon = line.firstIndex(of: ":") else { return nil }
          return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        let key = fields.first { $0.0 == "sec-websocket-key" }?.1
        let accept = try Handshake.accept(
          upgradesToWebSocket: true, connectionUpgrades: true, version: Handshake.version, key: key)
        let answer =
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Accept: \(accept)\r\n\r\n"
        _ = Array(answer.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        return Array(head.dropFirst(text.utf8.count + end.count))
      }
      let count = recv(descriptor, &piece, piece.count, 0)
      guard count > 0 else { return nil }
      head += piece[..<count]
    }
  }
}
