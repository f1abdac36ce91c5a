import CMosquitto
import Glibc

/// Why something asked of an MQTT broker did not happen.
///
/// Every error but one of kind `.usage`, `.windowFull` or `.subscriptionRefused` leaves the client disconnected.
package struct MQTTError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; more kinds may come.
  package enum Kind: Sendable, Equatable {
    /// The broker answered CONNECT with a refusal (MQTT 3.1.1, table 3.1).
    case refused(reason: Refusal)
    /// No TCP connection: the name has no address, nothing listens, or nothing answers.
    case unreachable
    /// The TLS handshake failed, or a certificate or key could not be loaded.
    case tls
    /// The connection ended, or there was none.
    case connectionLost
    /// The broker did not answer in time, or acknowledgements were withheld past the keep-alive.
    case timedOut
    /// The broker broke the protocol.
    case protocolViolation
    /// The broker refused to subscribe to this filter (return code 0x80).
    case subscriptionRefused(filter: String)
    /// As many messages are unacknowledged as the configuration allows: `step` first.
    case windowFull
    /// `wake()` ended the wait.
    case interrupted
    /// The call or the configuration is wrong; repeating it cannot help.
    case usage
    /// Anything else, such as no memory or no free descriptor.
    case other
  }

  /// The broker's reason not to let a client in, by its CONNACK code.
  package enum Refusal: Sendable, Equatable {
    case unacceptableProtocol, identifierRejected, serverUnavailable, badCredentials, notAuthorised
    case other(Int)

    init(code: Int) {
      switch code {
      case 1: self = .unacceptableProtocol
      case 2: self = .identifierRejected
      case 3: self = .serverUnavailable
      case 4: self = .badCredentials
      case 5: self = .notAuthorised
      default: self = .other(code)
      }
    }
  }

  package let kind: Kind
  /// libmosquitto's `mosq_err_t`, or the CONNACK code of a refusal.
  package let code: Int
  /// In words, without secrets.
  package let message: String

  /// Whether the same call, later and on a new connection, may succeed without anyone changing a setting.
  package var isRetriable: Bool {
    switch kind {
    case .refused(reason: .serverUnavailable): true
    case .refused, .tls, .subscriptionRefused, .usage: false
    case .unreachable, .connectionLost, .timedOut, .protocolViolation, .windowFull, .interrupted, .other: true
    }
  }

  package var description: String { "MQTT: \(message) (\(code))" }

  init(_ kind: Kind, _ message: String, code: Int = 0) {
    self.kind = kind
    self.code = code
    self.message = message
  }

  static func usage(_ message: String) -> MQTTError {
    MQTTError(.usage, message, code: Int(MOSQ_ERR_INVAL.rawValue))
  }

  static var notConnected: MQTTError {
    MQTTError(.connectionLost, "not connected", code: Int(MOSQ_ERR_NO_CONN.rawValue))
  }

  /// What a `mosq_err_t` says.
  /// - Parameters:
  ///   - systemError: `errno` just after the call, which MOSQ_ERR_ERRNO refers to.
  ///   - detail: what the library logged about it, if anything.
  ///   - isInput: whether it is about what the broker sent.
  init(library code: Int32, systemError: Int32, during action: String, detail: String = "", isInput: Bool = false) {
    let kind: Kind =
      switch mosq_err_t(code) {
      case MOSQ_ERR_CONN_LOST, MOSQ_ERR_NO_CONN, MOSQ_ERR_ERRNO: .connectionLost
      case MOSQ_ERR_KEEPALIVE: .timedOut
      case MOSQ_ERR_TLS, MOSQ_ERR_OCSP: .tls
      case MOSQ_ERR_EAI: .unreachable
      case MOSQ_ERR_PROTOCOL, MOSQ_ERR_MALFORMED_PACKET: .protocolViolation
      // Of a message that came: the library ends the connection, as MQTT 3.1.1, 1.5.3 asks.
      case MOSQ_ERR_MALFORMED_UTF8 where isInput: .protocolViolation
      case MOSQ_ERR_INVAL, MOSQ_ERR_MALFORMED_UTF8, MOSQ_ERR_PAYLOAD_SIZE, MOSQ_ERR_NOT_SUPPORTED: .usage
      default: .other
      }
    let words =
      mosq_err_t(code) == MOSQ_ERR_ERRNO
      ? Self.systemMessage(systemError) : unsafe String(cString: mosquitto_strerror(code))
    self.init(kind, "\(action): \(words)" + (detail.isEmpty ? "" : "; \(detail)"), code: Int(code))
  }

  static func systemMessage(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
