import CWslay

/// What a codec reports, inside `feed`.
protocol FrameEvents: AnyObject {
  /// Whether more may be taken; when not, the rest is left to the caller.
  var takesMore: Bool { get }
  /// A message begins.
  func messageBegan()
  /// A piece of a message, valid only during the call. A reason ends the connection.
  func messageContinued(_ piece: UnsafeRawBufferPointer) -> CloseReason?
  /// All of a message is there; a text is UTF-8.
  func messageEnded(isText: Bool)
}

/// The server's side of the framing of one connection, without its socket: bytes go in and come out.
///
/// Pings are answered, and a close frame too, by the library. It is not `Sendable`: one thread uses it.
///
/// When something is wrong with what the client sends, its close frame waits for `close`, so that the answers to what
/// came before can go first.
@safe final class FrameCodec {
  /// What is to be sent.
  private(set) var output: [UInt8] = []
  private var hasClosed = false
  /// What the client sent is no frame.
  private var isBroken = false
  /// The close frame to that is in `output`.
  private var closedPastLibrary = false

  private let messageLimit: Int
  private var made: wslay_event_context_ptr?
  /// Bytes of the message that is coming in.
  private var messageSize = 0
  private var isControl = false
  // Set only inside `feed`, as far as the caller's buffer and object live.
  private var input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
  private var events: (any FrameEvents)?

  /// - Parameter messageLimit: bytes of a message, whatever its frames.
  init(messageLimit: Int) {
    self.messageLimit = messageLimit
    var callbacks = wslay_event_callbacks()
    unsafe callbacks.recv_callback = FrameCodec.receive
    unsafe callbacks.send_callback = FrameCodec.send
    unsafe callbacks.on_frame_recv_start_callback = FrameCodec.frameBegan
    unsafe callbacks.on_frame_recv_chunk_callback = FrameCodec.frameContinued
    unsafe callbacks.on_msg_recv_callback = FrameCodec.messageEnded
    // The library's pointer to this object is used only inside calls of this object.
    let owner = unsafe Unmanaged.passUnretained(self).toOpaque()
    guard unsafe wslay_event_context_server_init(&made, &callbacks, owner) == 0 else {
      preconditionFailure("out of memory for a WebSocket connection")
    }
    // The message is the receiver's to keep, so that its memory is counted as it grows.
    unsafe wslay_event_config_set_no_buffering(context, 1)
    unsafe wslay_event_config_set_max_recv_msg_length(context, UInt64(messageLimit))
  }

  deinit { unsafe wslay_event_context_free(made) }

  /// Made by `init`.
  private var context: wslay_event_context_ptr { unsafe made! }

  /// Whether a close frame is among what was put into `output`.
  var closeSent: Bool { unsafe closedPastLibrary || wslay_event_get_close_sent(context) != 0 }
  var closeReceived: Bool { unsafe wslay_event_get_close_received(context) != 0 }
  /// Whether the client's bytes still mean something.
  var reads: Bool { unsafe !isBroken && wslay_event_get_read_enabled(context) != 0 }
  /// The client sent what may not be, and `close` is to tell it so.
  var hasFailed: Bool { !reads && !closeReceived && !closeSent }
  /// The code that was sent, or else received; 1006 without any.
  var closeCode: UInt16 {
    if closedPastLibrary { return CloseReason.protocolError.code }
    let sent = unsafe wslay_event_get_status_code_sent(context)
    return unsafe sent == 1006 ? wslay_event_get_status_code_received(context) : sent
  }

  /// Takes what the client sent.
  /// - Returns: how many bytes were taken; fewer than all when `events` take no more, or nothing more means anything.
  func feed(_ bytes: UnsafeRawBufferPointer, to events: any FrameEvents) -> Int {
    unsafe input = unsafe bytes
    self.events = events
    defer {
      unsafe input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
      self.events = nil
    }
    if unsafe wslay_event_recv(context) != 0 { isBroken = true }
    flush()
    return unsafe bytes.count - input.count
  }

  /// Puts a message into `output`, unless a close frame is there.
  func send(_ message: [UInt8], isText: Bool) {
    let opcode = UInt8((isText ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME).rawValue)
    guard hasFailed else { return queue(opcode, message) }
    // The library has its close frame ready, and takes nothing behind that.
    output += [0x80 | opcode] + Self.length(message.count)
    output += message
  }

  /// Puts a ping into `output`.
  func ping() { queue(UInt8(WSLAY_PING.rawValue), []) }

  /// Puts a close frame into `output`, unless there is one; after a failure with the reason of that. Messages are not
  /// reported any more.
  func close(_ reason: CloseReason) {
    guard !closeSent else { return }
    guard isBroken else {
      queueClose(reason)
      _ = unsafe wslay_event_send(context)
      return
    }
    // The library would close without a code.
    let code = CloseReason.protocolError.code
    output += [0x88, 2, UInt8(code >> 8), UInt8(code & 255)]
    closedPastLibrary = true
  }

  /// Takes away what was sent.
  func sent(_ count: Int) { output.removeFirst(count) }

  private func queue(_ opcode: UInt8, _ content: [UInt8]) {
    unsafe content.withUnsafeBufferPointer { content in
      var message = unsafe wslay_event_msg(opcode: opcode, msg: content.baseAddress, msg_length: content.count)
      _ = unsafe wslay_event_queue_msg(context, &message)
    }
    flush()
  }

  private func queueClose(_ reason: CloseReason) {
    hasClosed = true
    var text = Array(reason.text.utf8.prefix(123))
    _ = unsafe wslay_event_queue_close(context, reason.code, &text, text.count)
  }

  private func flush() {
    guard !hasFailed, !closedPastLibrary else { return }
    _ = unsafe wslay_event_send(context)
  }

  /// The second byte of a server's frame, and those of the length that it announces (RFC 6455, 5.2).
  private static func length(_ count: Int) -> [UInt8] {
    func bytes(_ size: Int) -> [UInt8] { (0..<size).reversed().map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } }
    return switch count {
    case ..<126: bytes(1)
    case ..<65_536: [126] + bytes(2)
    default: [127] + bytes(8)
    }
  }

  private func fail(_ reason: CloseReason) {
    queueClose(reason)
    unsafe wslay_event_shutdown_read(context)
  }
}

/// What the library calls, inside `feed` and `flush`.
extension FrameCodec {
  private static func codec(_ owner: UnsafeMutableRawPointer?) -> FrameCodec? {
    guard let owner = unsafe owner else { return nil }
    return unsafe Unmanaged<FrameCodec>.fromOpaque(owner).takeUnretainedValue()
  }

  /// Bytes of the client.
  private static let receive: wslay_event_recv_callback = { context, buffer, size, _, owner in
    let codec = unsafe FrameCodec.codec(owner)
    guard let codec, codec.events?.takesMore == true, unsafe !codec.input.isEmpty, let buffer = unsafe buffer else {
      unsafe wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK.rawValue)
      return -1
    }
    let count = unsafe min(size, codec.input.count)
    let piece = unsafe UnsafeRawBufferPointer(rebasing: codec.input[..<count])
    unsafe UnsafeMutableRawBufferPointer(start: buffer, count: count).copyMemory(from: piece)
    unsafe codec.input = unsafe UnsafeRawBufferPointer(rebasing: codec.input[count...])
    return count
  }

  /// Bytes for the client: their socket is not the codec's business, so there is always room.
  private static let send: wslay_event_send_callback = { _, bytes, size, _, owner in
    unsafe FrameCodec.codec(owner)?.output.append(contentsOf: UnsafeBufferPointer(start: bytes, count: size))
    return size
  }

  private static let frameBegan: wslay_event_on_frame_recv_start_callback = { _, frame, owner in
    guard let codec = unsafe FrameCodec.codec(owner), let frame = unsafe frame?.pointee else { return }
    codec.isControl = frame.opcode & 8 != 0
    // Half a code (RFC 6455, 5.5.1), which the library takes for none.
    if frame.opcode == UInt8(WSLAY_CONNECTION_CLOSE.rawValue), frame.payload_length == 1 { codec.fail(.protocolError) }
    guard !codec.isControl, !codec.hasClosed else { return }
    if frame.opcode != UInt8(WSLAY_CONTINUATION_FRAME.rawValue) {
      codec.messageSize = 0
      codec.events?.messageBegan()
    }
    // The library has refused a frame that alone is too large, so this sum does not overflow.
    codec.messageSize += Int(frame.payload_length)
    if codec.messageSize > codec.messageLimit { codec.fail(.tooBig) }
  }

  private static let frameContinued: wslay_event_on_frame_recv_chunk_callback = { _, piece, owner in
    guard let codec = unsafe FrameCodec.codec(owner), let piece = unsafe piece?.pointee else { return }
    guard !codec.isControl, !codec.hasClosed, unsafe piece.data_length > 0 else { return }
    let bytes = unsafe UnsafeRawBufferPointer(start: piece.data, count: piece.data_length)
    if let reason = unsafe codec.events?.messageContinued(bytes) { codec.fail(reason) }
  }

  private static let messageEnded: wslay_event_on_msg_recv_callback = { _, message, owner in
    guard let codec = unsafe FrameCodec.codec(owner), let opcode = unsafe message?.pointee.opcode else { return }
    guard opcode & 8 == 0, !codec.hasClosed else { return }
    codec.events?.messageEnded(isText: opcode == UInt8(WSLAY_TEXT_FRAME.rawValue))
  }
}
