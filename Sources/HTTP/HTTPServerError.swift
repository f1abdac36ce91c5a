/// Why a server could not be made, with the address or the file that is to blame in the message.
package struct HTTPServerError: Error, CustomStringConvertible, Sendable, Equatable {
  /// What kind of thing went wrong; more may come.
  package struct Code: Sendable, Equatable {
    let name: StaticString
    /// The listen address cannot be parsed or its host does not resolve.
    package static let badAddress = Code(name: "badAddress")
    /// Another process listens there already.
    package static let addressInUse = Code(name: "addressInUse")
    /// The system refused the address: a privileged port, or an address that is not this machine's.
    package static let addressRefused = Code(name: "addressRefused")
    /// A TLS certificate or key cannot be read or does not fit.
    package static let badCertificate = Code(name: "badCertificate")
    /// The system ran out of something, or the library refused to start.
    package static let startFailed = Code(name: "startFailed")

    package static func == (a: Code, b: Code) -> Bool { a.name.description == b.name.description }
  }

  /// The kind of failure.
  package let code: Code
  /// A sentence for people.
  package let message: String

  package var description: String { message }

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}
