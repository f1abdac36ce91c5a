import Glibc

/// A request's method; case matters (RFC 9110, 9.1).
package enum Method: Sendable, Hashable, CustomStringConvertible {
  case get, head, post, put, patch, delete, options
  /// Any other token.
  case other(String)

  package init(_ name: String) {
    switch name {
    case "GET": self = .get
    case "HEAD": self = .head
    case "POST": self = .post
    case "PUT": self = .put
    case "PATCH": self = .patch
    case "DELETE": self = .delete
    case "OPTIONS": self = .options
    default: self = .other(name)
    }
  }

  init(_ name: UnsafePointer<CChar>) {
    // Readings come with POST; to make a text of that for each would cost more than to compare.
    self = unsafe strcmp(name, "POST") == 0 ? .post : Method(String(cString: name))
  }

  package var description: String {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .other(let name): name
    }
  }
}
