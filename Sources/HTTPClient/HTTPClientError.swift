/// Why a request got no complete answer. A status of 400 or more is an answer, not an error.
package struct HTTPClientError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of thing went wrong; more may come.
  package enum Code: Sendable, Equatable {
    /// The address, the method or a header field cannot be used.
    case badRequest
    /// No connection: the name does not resolve, nobody listens, no route.
    case unreachable
    /// The certificate is not trusted, or no common ground for TLS.
    case tls
    case timeout
    /// The connection broke, or what came is no HTTP. The request may have been carried out.
    case broken
    /// The body of the answer is longer than allowed.
    case tooLarge
    /// The caller did not want to go on.
    case stopped
    case other
  }

  package let code: Code
  /// libcurl's number (`CURLcode`); 0 when it was not asked.
  package let curlCode: Int
  /// A sentence for people.
  package let message: String

  package var description: String { message }

  /// Whether the same request may work later.
  package var isRetriable: Bool { code == .unreachable || code == .timeout || code == .broken }
}
