extension ListenAddress {
  /// Whether a server could listen here now: listens for a moment, and ends that.
  /// - Throws: why it could not.
  package func checkAvailable() throws(HTTPServerError) { _ = try ListenSocket(self, backlog: 1) }
}
