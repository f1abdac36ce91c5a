import CMosquitto
import Glibc

/// What the library's callbacks leave behind; they do nothing else, for inside them nothing else is allowed.
final class Inbox {
  /// Whether messages are kept; a publisher has no use for them.
  let keepsMessages: Bool
  var messages: [MQTTMessage] = []
  /// Bytes of `messages`.
  var bytes = 0
  /// Whether the library has queued acknowledgements of `messages`.
  var needsAcknowledgement = false
  var connected: (code: Int, sessionPresent: Bool)?
  /// Return codes by packet identifier of the SUBSCRIBE.
  var granted: [Int32: [Int32]] = [:]
  var unsubscribed: Set<Int32> = []
  /// Packet identifiers of what the broker took over.
  var published: [Int] = []
  /// Counts callbacks: tells progress from none.
  var events = 0
  /// The last error that the library logged.
  var detail = ""

  init(keepsMessages: Bool) { self.keepsMessages = keepsMessages }

  /// Forgets the messages, keeping their memory for the next.
  func takeMessages(into array: inout [MQTTMessage]) {
    array.append(contentsOf: messages)
    messages.removeAll(keepingCapacity: true)
    bytes = 0
    needsAcknowledgement = false
  }

  /// Registers the callbacks of a handle that got this object as its user data, unretained: the owner of the handle
  /// keeps both, and destroys the handle first.
  func listen(to handle: OpaquePointer) {
    unsafe mosquitto_connect_with_flags_callback_set(handle) { _, object, code, flags in
      unsafe Inbox.with(object) { $0.connected = (Int(code), flags & 1 != 0) }
    }
    unsafe mosquitto_subscribe_callback_set(handle) { _, object, mid, count, codes in
      unsafe Inbox.with(object) {
        $0.granted[mid] = unsafe Array(UnsafeBufferPointer(start: codes, count: Int(count)))
      }
    }
    unsafe mosquitto_unsubscribe_callback_set(handle) { _, object, mid in
      unsafe Inbox.with(object) { _ = $0.unsubscribed.insert(mid) }
    }
    unsafe mosquitto_publish_callback_set(handle) { _, object, mid in
      unsafe Inbox.with(object) { $0.published.append(Int(mid)) }
    }
    unsafe mosquitto_message_callback_set(handle) { _, object, message in
      guard let message = unsafe message else { return }
      unsafe Inbox.with(object) { unsafe $0.receive(message.pointee) }
    }
    unsafe mosquitto_log_callback_set(handle) { _, object, level, text in
      guard let text = unsafe text else { return }
      unsafe Inbox.with(object) { unsafe $0.read(log: text, level: level) }
    }
  }

  private static func with(_ object: UnsafeMutableRawPointer?, _ body: (Inbox) -> Void) {
    guard let object = unsafe object else { return }
    let inbox = unsafe Unmanaged<Inbox>.fromOpaque(object).takeUnretainedValue()
    inbox.events &+= 1
    body(inbox)
  }

  /// Copies a message: topic and payload die with the callback.
  private func receive(_ message: mosquitto_message) {
    guard keepsMessages, let topic = unsafe message.topic else { return }
    let payload = unsafe UnsafeRawBufferPointer(start: message.payload, count: Int(max(0, message.payloadlen)))
    let copy = unsafe MQTTMessage(
      topic: String(cString: topic), payload: Array(payload), qos: Int(message.qos), isRetained: message.retain,
      mid: message.qos == 0 ? 0 : Int(message.mid))
    messages.append(copy)
    bytes += copy.byteCount
    if unsafe message.qos > 0 { needsAcknowledgement = true }
  }

  private func read(log text: UnsafePointer<CChar>, level: Int32) {
    guard level == MOSQ_LOG_ERR, detail.utf8.count < 1_000 else { return }
    detail += (detail.isEmpty ? "" : "; ") + (unsafe String(cString: text))
  }

  /// Hears no more log lines, of which the library would write two for each message.
  func ignoreLog(of handle: OpaquePointer) { unsafe mosquitto_log_callback_set(handle, nil) }
}
