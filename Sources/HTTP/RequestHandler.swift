/// Answers requests; called on the server's threads, so nothing here may block.
package protocol RequestHandler: AnyObject, Sendable {
  /// The head of a request is complete: answer at once, or take the body.
  ///
  /// `head` is valid only during the call. When the answer is given here, a small body is still read and dropped so that
  /// the connection stays usable; with a large one, or when the client waits for `100 Continue`, the answer is sent
  /// without reading it and the connection is closed.
  func begin(_ head: borrowing RequestHead) -> Disposition

  /// A request is over, answered or not; for metrics and the access log.
  func completed(_ summary: RequestSummary)
}

extension RequestHandler {
  package func completed(_ summary: RequestSummary) {}
}

/// What is to become of a request whose head is there.
package enum Disposition {
  case respond(Response)
  /// Also for a request without a body: `finish` then follows at once.
  case receive(any BodyReceiver)
  /// The connection goes on with another protocol; only for a request without a body.
  case upgrade(Upgrade)
}

/// Takes the body of one request; called on one thread.
///
/// Exactly one of these ends it: `receive` returned a response; the answer given in or after `finish` was sent;
/// `abandoned()` was called.
package protocol BodyReceiver: AnyObject {
  /// Whether it ends a request whose client is too slow itself, by `Exchange.cutOff`, so that the server's time for a body
  /// does not hold.
  var keepsTime: Bool { get }

  /// Before all others: the exchange of this request, for receivers that make the client wait, or end the request from
  /// another thread, while its body comes in.
  func began(_ exchange: Exchange)

  /// A piece of the body, valid only during the call.
  ///
  /// Return a response to refuse: nothing is called any more, the rest of the body is dropped and the response sent.
  /// What cannot be dropped within the limits ends with the response and the end of the connection.
  func receive(_ piece: UnsafeRawBufferPointer) -> Response?

  /// All of the body is there. Return the answer, or call `exchange.suspend()` and return nil, and let
  /// `exchange.respond` follow from any thread, before or after this returns.
  func finish(_ exchange: Exchange) -> Response?

  /// The client went away or took too long, or the server stopped, before the body was complete or the answer was sent.
  func abandoned()
}

extension BodyReceiver {
  package var keepsTime: Bool { false }

  package func began(_ exchange: Exchange) {}
}

/// What happened to one request.
package struct RequestSummary: Sendable {
  package let method: Method
  /// As in `RequestHead.path`: what the client wrote, so not fit to be a label as it is.
  package let path: String
  /// The status that was sent; nil when the client got none.
  package let status: Int?
  /// From the head's arrival to the end of the answer.
  package let duration: Duration
  /// Bytes of the body, as they came, without chunk framing.
  package let receivedBytes: Int64
}
