/// Takes the messages of one connection; called on one thread at a time, which must not be blocked.
package protocol MessageReceiver: AnyObject, Sendable {
  /// A piece of a message, valid only during the call; an empty message has none. A reason ends the connection.
  func receive(_ piece: UnsafeRawBufferPointer) -> CloseReason?

  /// All of the message is there: exactly one `WebSocketConnection.answer` must follow, from any thread, now or later.
  func finish(isText: Bool)

  /// The connection is over; an unfinished message is not going to be finished. Called exactly once, as the last.
  func ended(_ ending: Ending)
}
