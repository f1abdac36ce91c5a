import TestServers
import Testing

@testable import WebSocket

/// The framing, by the groups of the Autobahn test suite (see autobahn-summary.md), byte by byte and all at once.
@Suite struct FrameCodecTests {
  /// Sends every message back, as the suite wants it.
  final class Echo: FrameEvents {
    let codec: FrameCodec
    var takesMore = true
    var messages: [[UInt8]] = []
    var refusal: CloseReason?
    private var message: [UInt8] = []

    init(limit: Int = 16 << 20) { codec = FrameCodec(messageLimit: limit) }

    func messageBegan() { message = [] }
    func messageContinued(_ piece: UnsafeRawBufferPointer) -> CloseReason? {
      message.append(contentsOf: piece)
      return refusal
    }
    func messageEnded(isText: Bool) {
      messages.append(message)
      codec.send(message, isText: isText)
    }

    /// What is sent for that, in pieces of that size.
    func feed(_ bytes: [UInt8], piece: Int = .max) -> [WebSocketFrame] {
      var rest = bytes[...]
      while !rest.isEmpty, codec.reads {
        let part = Array(rest.prefix(piece))
        let taken = part.withUnsafeBytes { codec.feed($0, to: self) }
        rest = rest.dropFirst(taken)
        if taken < part.count { break }
      }
      // All is answered already.
      if codec.hasFailed { codec.close(.idle) }
      var output = codec.output
      codec.sent(output.count)
      var frames: [WebSocketFrame] = []
      while let frame = WebSocketFrame.decode(&output) { frames.append(frame) }
      #expect(output.isEmpty, "half a frame")
      return frames
    }
  }

  /// Feeds frames, whole and byte by byte, and expects the same both times.
  private func exchange(_ frames: [WebSocketFrame], limit: Int = 16 << 20) -> [WebSocketFrame] {
    let bytes = frames.flatMap { $0.encoded() }
    let whole = Echo(limit: limit).feed(bytes)
    if bytes.count < 100_000 { #expect(Echo(limit: limit).feed(bytes, piece: 1) == whole) }
    return whole
  }

  private func expectClose(
    _ code: UInt16, _ frames: WebSocketFrame..., sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let answers = exchange(frames)
    #expect(answers.last?.closeCode == code, "\(answers)", sourceLocation: sourceLocation)
  }

  /// 1.1, 1.2, 9: messages of every length's form.
  @Test(arguments: [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1 << 20], [UInt8(1), 2])
  func echoes(_ size: Int, _ opcode: UInt8) {
    let payload = [UInt8](repeating: UInt8(ascii: "*"), count: size)
    #expect(exchange([WebSocketFrame(opcode, payload)]).map(\.payload) == [payload])
  }

  /// 2: pings, between the frames of a message too, and pongs that nobody asked for.
  @Test func answersPings() {
    for payload in [[], Array("Hello".utf8), [0, 255, 254, 253], [UInt8](repeating: 0xfe, count: 125)] {
      #expect(exchange([WebSocketFrame(9, payload)]) == [WebSocketFrame(10, payload)])
    }
    expectClose(1002, WebSocketFrame(9, [UInt8](repeating: 1, count: 126)))
    #expect(exchange([WebSocketFrame(10, [1, 2])]) == [])
    #expect(
      exchange([WebSocketFrame(10), WebSocketFrame(9, [7]), WebSocketFrame(10)]) == [WebSocketFrame(10, [7])])
    let pings = (0..<10).map { WebSocketFrame(9, [UInt8($0)]) }
    #expect(exchange(pings) == pings.map { WebSocketFrame(10, $0.payload) })
    expectClose(1002, WebSocketFrame(9, [], isFinal: false))
  }

  /// 3: reserved bits.
  @Test(arguments: UInt8(1)...7) func refusesReservedBits(_ bits: UInt8) {
    expectClose(1002, WebSocketFrame(1, Array("x".utf8), reserved: bits))
    expectClose(1002, WebSocketFrame(9, [], reserved: bits))
    expectClose(1002, .text("first"), WebSocketFrame(8, [], reserved: bits))
  }

  /// 4: reserved opcodes.
  @Test(arguments: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8]) func refusesReservedOpcodes(_ opcode: UInt8) {
    expectClose(1002, WebSocketFrame(opcode))
    expectClose(1002, .text("first"), WebSocketFrame(opcode, [1]), WebSocketFrame(9))
  }

  /// 5: fragments, with control frames between them; continuations of nothing; new messages within one.
  @Test func putsFragmentsTogether() {
    let parts = [
      WebSocketFrame(1, Array("one ".utf8), isFinal: false), WebSocketFrame(9, [1]),
      WebSocketFrame(0, [], isFinal: false), WebSocketFrame(0, Array("two".utf8)),
    ]
    #expect(exchange(parts).map(\.payload) == [[1], Array("one two".utf8)])
    expectClose(1002, WebSocketFrame(0, [1]))
    expectClose(1002, WebSocketFrame(0, [1], isFinal: false), .text("x"))
    expectClose(1002, WebSocketFrame(1, [65], isFinal: false), .text("x"))
    expectClose(1002, WebSocketFrame(1, [65], isFinal: false), WebSocketFrame(2, [65]))
  }

  /// 6: UTF-8, across fragments; what is wrong ends the connection before its message is complete.
  @Test func wantsUTF8() {
    let text = Array("κόσμε\u{10ffff}𝄞".utf8)
    for cut in 0...text.count {
      let parts = [
        WebSocketFrame(1, Array(text[..<cut]), isFinal: false), WebSocketFrame(0, Array(text[cut...])),
      ]
      #expect(exchange(parts).map(\.payload) == [text])
    }
    let wrong: [[UInt8]] = [
      [0xce], [0x80], [0xbf], [0xc0, 0xaf], [0xc1, 0xbf], [0xe0, 0x80, 0xaf], [0xed, 0xa0, 0x80], [0xed, 0xbf, 0xbf],
      [0xf0, 0x80, 0x80, 0xaf], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xfe], [0xff], [0x41, 0xff, 0x41],
      [0xe2, 0x82],
    ]
    for bytes in wrong {
      expectClose(1007, WebSocketFrame(1, bytes))
      #expect(exchange([WebSocketFrame(2, bytes)]).map(\.payload) == [bytes])
    }
    expectClose(1007, WebSocketFrame(1, [0xce, 0xba, 0xff], isFinal: false))
  }

  /// 7: the close handshake.
  @Test func closes() {
    #expect(exchange([WebSocketFrame(8)]) == [WebSocketFrame(8)])
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] as [UInt16] {
      #expect(exchange([.close(code, "fine")]).first?.closeCode == code)
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16] {
      expectClose(1002, .close(code))
    }
    expectClose(1002, WebSocketFrame(8, [3]))
    #expect(exchange([.close(1000, String(repeating: "*", count: 123))]).first?.closeCode == 1000)
    expectClose(1002, .close(1000, String(repeating: "*", count: 124)))
    // The library looks at a reason only where the frame comes in one piece; nothing follows from it.
    #expect(Echo().feed(WebSocketFrame(8, [0x03, 0xe8, 0xff]).encoded()).map(\.closeCode) == [1007])
    // What comes behind a close frame is nothing any more.
    #expect(exchange([.close(1000), .text("late"), WebSocketFrame(9)]).count == 1)
  }

  @Test func wantsMasks() {
    let answers = Echo().feed(WebSocketFrame.text("x").encoded(mask: nil))
    #expect(answers.map(\.closeCode) == [1002])
  }

  @Test func limitsMessagesWhateverTheirFrames() {
    let part = [UInt8](repeating: 65, count: 600)
    #expect(exchange([WebSocketFrame(2, part)], limit: 600).map(\.payload) == [part])
    #expect(exchange([WebSocketFrame(2, part)], limit: 599).map(\.closeCode) == [1009])
    let parts = [WebSocketFrame(1, part, isFinal: false), WebSocketFrame(0, part)]
    #expect(exchange(parts, limit: 1_200).map(\.payload) == [part + part])
    #expect(exchange(parts, limit: 1_199).map(\.closeCode) == [1009])
    // With its first byte, before the rest has come; also with a length that no memory has.
    #expect(Echo(limit: 599).feed([0x82, 0xfe, 2, 88, 0, 0, 0, 0, 1]).map(\.closeCode) == [1009])
    #expect(
      Echo(limit: 599).feed([0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 1]).map(\.closeCode)
        == [1009])
    // With the highest bit a length is none (5.2), nor when a shorter form would do.
    #expect(
      Echo(limit: 599).feed([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).last?.closeCode == 1002)
    #expect(Echo(limit: 599).feed([0x82, 0xfe, 0, 5, 0, 0, 0, 0]).last?.closeCode == 1002)
  }

  @Test func closesWhenTheReceiverSaysSo() {
    let echo = Echo()
    echo.refusal = CloseReason(1013, "later")
    let answers = echo.feed(WebSocketFrame.text("x").encoded() + WebSocketFrame.text("y").encoded())
    #expect(answers.map(\.closeCode) == [1013] && answers.first?.payload.count == 7)
    #expect(echo.messages.isEmpty && !echo.codec.reads && echo.codec.closeSent && !echo.codec.closeReceived)
  }

  @Test func stopsWhenNoMoreIsTaken() {
    let echo = Echo()
    let bytes = WebSocketFrame.text("x").encoded()
    echo.takesMore = false
    #expect(bytes.withUnsafeBytes { echo.codec.feed($0, to: echo) } == 0)
    echo.takesMore = true
    #expect(bytes.withUnsafeBytes { echo.codec.feed($0, to: echo) } == bytes.count)
    #expect(echo.messages.count == 1)
  }

  @Test func sendsPingsAndClosesItself() {
    let echo = Echo()
    echo.codec.ping()
    echo.codec.close(.shuttingDown)
    echo.codec.close(.idle)
    echo.codec.send([1], isText: true)
    let answers = echo.feed(WebSocketFrame.text("late").encoded() + WebSocketFrame.close(1001).encoded())
    #expect(answers.map(\.opcode) == [9, 8] && answers.last?.closeCode == 1001)
    #expect(echo.messages.isEmpty && echo.codec.closeReceived && echo.codec.closeCode == 1001)
  }
}
