/// Why one side ends a connection, as it is told to the other (RFC 6455, 7.4).
package struct CloseReason: Error, Equatable, Sendable {
  /// 1000 to 4999.
  package let code: UInt16
  /// At most 123 bytes.
  package let text: String

  package init(_ code: UInt16, _ text: String) {
    self.code = code
    self.text = text
  }

  static let protocolError = CloseReason(1002, "")
  static let tooBig = CloseReason(1009, "the message is larger than the server takes")
  static let shuttingDown = CloseReason(1001, "the server is shutting down; connect again")
  static let idle = CloseReason(1001, "no message for too long")
  static let tooSlow = CloseReason(1008, "the message came too slowly")
  static let tooMany = CloseReason(1013, "there are as many connections as are allowed; try again later")
}

/// How a connection ended.
package struct Ending: Equatable, Sendable {
  /// What ended it.
  package enum Cause: String, Sendable, CaseIterable {
    /// The client closed it.
    case client
    /// The server closed it, with a code.
    case server
    /// The server was shut down.
    case shutdown
    /// The client did not read what was sent to it.
    case slow
    /// The client did not answer a ping.
    case silent
    /// The connection broke, or was closed without a word.
    case lost
  }

  package let cause: Cause
  /// The code that was sent, or else received; 1006 without any, 1005 for a close without a code.
  package let code: UInt16
}
