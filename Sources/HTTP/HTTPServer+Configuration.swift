extension HTTPServer {
  /// The files of a server's certificate, in PEM form.
  package struct TLSFiles: Sendable, Equatable {
    /// The certificate, followed by those between it and the root.
    package var certificate: String
    package var key: String
    /// Certificates of those who vouch for clients' certificates; nil: clients are not asked for any.
    package var clientAuthorities: String?

    package init(certificate: String, key: String, clientAuthorities: String? = nil) {
      self.certificate = certificate
      self.key = key
      self.clientAuthorities = clientAuthorities
    }
  }

  /// How a server listens and what it allows.
  package struct Configuration: Sendable {
    package var listen: ListenAddress
    /// In the names of threads and in messages.
    package var name = "http"
    /// Threads that serve connections.
    package var threads = 1
    /// About how many connections may be open; those beyond it wait in the backlog.
    package var connectionLimit = 10_000
    /// How many connections one client address may have; more are closed at once. Nil means no limit of its own.
    package var perAddressLimit: Int?
    /// Bytes of buffer that each connection has, for the head, a piece of the body, and the head of the answer. The
    /// library clears all of it after each request, which takes a noticeable part of a small one's time; and idle connections keep it.
    package var connectionMemory = 12 * 1024
    /// How long a connection may be open without a complete head of a request, however slowly it comes in.
    package var idleTimeout: Duration = .seconds(60)
    /// How long a body may take, plus the time that `minimumBodyRate` allows for what has come.
    package var bodyTimeout: Duration = .seconds(20)
    /// Bytes per second that a body must reach in the long run, so that a large one may take longer than `bodyTimeout`.
    package var minimumBodyRate = 1_000
    /// A longer head is answered 431. More than `connectionMemory` allows has no effect.
    package var maximumHeaderBytes = 8 * 1024
    /// Bytes of a refused body that are read and dropped to keep the connection usable.
    package var dropLimit = 256 * 1024
    package var tls: TLSFiles?
    /// Which pages of other origins may use the server from a browser.
    package var crossOrigin = CrossOrigin()
    /// Connections that the system holds until they are accepted.
    package var backlog = 1024
    /// The library's messages, called on its threads; they go nowhere without it.
    package var log: (@Sendable (String) -> Void)?

    package init(listen: ListenAddress) { self.listen = listen }
  }
}
