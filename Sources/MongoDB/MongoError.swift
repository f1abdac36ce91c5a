import CMongoC

/// What went wrong between Sluice and MongoDB.
package struct MongoError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Who says so, and thus what `code` means.
  package enum Domain: String, Sendable {
    /// The server, with one of its own codes.
    case server
    /// The server, which did it but not on as many nodes, or not as durably, as the write concern asks.
    case writeConcern
    /// The connection, which broke or did not answer in time.
    case network
    /// No server that fits was reachable in time; nothing was sent.
    case serverSelection
    /// The authentication of a new connection; nothing else was sent on it.
    case authentication
    /// The connection string.
    case uri
    /// This process: the pool is closed or used up, or the call makes no sense.
    case client
  }

  /// Who says so.
  package let domain: Domain
  /// The server's code where `domain` is `server` or `writeConcern`, else libmongoc's.
  package let code: Int
  /// In words, for people.
  package let message: String
  /// The labels that the server or libmongoc attached (`RetryableWriteError`, …).
  package let labels: [String]
  /// Whether a write that ended with this error may nevertheless have been carried out, wholly or in part. Only false
  /// where it certainly was not.
  package internal(set) var outcomeUnknown: Bool

  /// An error with the server's or libmongoc's words.
  package init(
    _ domain: Domain, code: Int, message: String, labels: [String] = [], outcomeUnknown: Bool? = nil
  ) {
    self.domain = domain
    self.code = code
    self.message = message
    self.labels = labels
    self.outcomeUnknown =
      outcomeUnknown
      ?? {
        switch domain {
        case .network, .writeConcern: true
        case .server: !ServerCode.refusedBeforeExecution.contains(code)
        case .serverSelection, .authentication, .uri, .client: false
        }
      }()
  }

  /// A document with the same `_id`, or another unique key, is there.
  package var isDuplicateKey: Bool { domain == .server && ServerCode.duplicateKey.contains(code) }

  /// The server was not reached, or the connection to it broke or timed out.
  package var isNetwork: Bool {
    domain == .network || domain == .serverSelection || (domain == .server && ServerCode.network.contains(code))
  }

  /// The credentials are wrong, or the user may not do this.
  package var isAuthentication: Bool {
    domain == .authentication || (domain == .server && ServerCode.authentication.contains(code))
  }

  /// The server takes no writes now: it is not the primary, shuts down, is blocked for writes, or its disk is full.
  package var isReadOnlyOrFull: Bool { domain == .server && ServerCode.readOnlyOrFull.contains(code) }

  /// The server can never take what was sent, whatever state it is in: it is too large, or makes a document too large.
  package var isOfContent: Bool { domain == .server && ServerCode.content.contains(code) }

  /// The same call may succeed later without anyone changing it. Whether it may be *repeated* is another question: see
  /// `outcomeUnknown`.
  package var isRetriable: Bool {
    isNetwork || isReadOnlyOrFull || domain == .writeConcern
      || (domain == .server && ServerCode.passing.contains(code))
      || labels.contains("RetryableWriteError") || labels.contains("TransientTransactionError")
  }

  package var description: String { "\(domain.rawValue) error \(code): \(message)" }
}

extension MongoError {
  /// Decodes what libmongoc (error API 2) reports.
  init(_ error: borrowing bson_error_t, reply: BSONDocument? = nil) {
    let code = Int(error.code)
    let domain: Domain
    var outcomeUnknown: Bool?
    switch mongoc_error_domain_t(error.domain) {
    case MONGOC_ERROR_SERVER: domain = .server
    case MONGOC_ERROR_WRITE_CONCERN: domain = .writeConcern
    case MONGOC_ERROR_SERVER_SELECTION: domain = .serverSelection
    case MONGOC_ERROR_STREAM:
      domain = .network
      // These can only come before anything was sent; a plain socket error may come at any time.
      let before = [
        MONGOC_ERROR_STREAM_NAME_RESOLUTION, MONGOC_ERROR_STREAM_CONNECT, MONGOC_ERROR_STREAM_NOT_ESTABLISHED,
      ]
      outcomeUnknown = !before.contains { Int($0.rawValue) == code }
    case MONGOC_ERROR_CLIENT where code == Int(MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue),
      MONGOC_ERROR_SCRAM, MONGOC_ERROR_SASL:
      domain = .authentication
    case MONGOC_ERROR_PROTOCOL:
      // An answer that makes no sense came after something was sent.
      domain = .network
    default: domain = .client
    }
    self.init(
      domain, code: code, message: error.text,
      labels: reply?["errorLabels"]?.array?.compactMap(\.string) ?? [], outcomeUnknown: outcomeUnknown)
  }

  /// The pool or client is closed.
  static let closed = MongoError(.client, code: 0, message: "the connection pool is closed")
}

extension bson_error_t {
  /// The message, decoded in this one place.
  var text: String {
    unsafe withUnsafeBytes(of: message) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// The server's error codes that Sluice tells apart (MongoDB's `src/mongo/base/error_codes.yml`).
enum ServerCode {
  /// DuplicateKey, and the older codes that legacy servers still use for it.
  static let duplicateKey: Set<Int> = [11000, 11001, 12582]
  /// HostUnreachable, HostNotFound, NetworkTimeout, NetworkInterfaceExceededTimeLimit, SocketException: from a router.
  static let network: Set<Int> = [6, 7, 89, 202, 9001]
  /// UserNotFound, Unauthorized, AuthenticationFailed, ReauthenticationRequired, AtlasError (which is mostly this).
  static let authentication: Set<Int> = [11, 13, 18, 391, 8000]
  /// ShutdownInProgress, PrimarySteppedDown, UserWritesBlocked, LegacyNotPrimary, NotWritablePrimary, InterruptedAtShutdown,
  /// InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, OutOfDiskSpace.
  static let readOnlyOrFull: Set<Int> = [91, 189, 371, 10058, 10107, 11600, 11602, 13435, 13436, 14031]
  /// LockTimeout, LockBusy, MaxTimeMSExpired, WriteConcernFailed, UnsatisfiableWriteConcern, WriteConflict,
  /// FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet, ExceededMemoryLimit, ExceededTimeLimit,
  /// ConnectionPoolExpired, Interrupted, TemporarilyUnavailable.
  static let passing: Set<Int> = [24, 46, 50, 64, 100, 112, 133, 134, 146, 262, 317, 11601, 365]
  /// InvalidBSON, BSONObjectTooLarge, and an update that would make a document too large (before it is carried out, or after).
  static let content: Set<Int> = [22, 10334, 17419, 17420]
  /// FailedToParse, Unauthorized, AuthenticationFailed, CommandNotFound, InvalidNamespace, ReauthenticationRequired,
  /// UserWritesBlocked, unknown field: what a server says of a whole command before it does any of it.
  static let refusedBeforeExecution: Set<Int> = [9, 13, 18, 59, 73, 391, 40415]
}
