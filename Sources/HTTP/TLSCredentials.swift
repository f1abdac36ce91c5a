import CMicroHTTPD
import Glibc
import Synchronization

/// A certificate and its key as connections use them; those that were there before keep theirs.
@safe final class TLSCredentials: Sendable {
  /// What is in the files, each ended by a zero.
  struct PEM: Equatable, Sendable {
    let certificate: [UInt8]
    let key: [UInt8]
    let clientAuthorities: [UInt8]?

    init(_ files: HTTPServer.TLSFiles) throws(HTTPServerError) {
      certificate = try PEM.read(files.certificate, "certificate")
      key = try PEM.read(files.key, "key")
      clientAuthorities = try files.clientAuthorities.map { path throws(HTTPServerError) in
        try PEM.read(path, "certificates of authorities")
      }
    }

    /// Bytes of a PEM file, ended by a zero.
    private static func read(_ path: String, _ what: String) throws(HTTPServerError) -> [UInt8] {
      func failure(_ reason: String) -> HTTPServerError {
        HTTPServerError(.badCertificate, "cannot read the TLS \(what) \(path): \(reason)")
      }
      let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw failure(unsafe String(cString: strerror(errno))) }
      defer { close(descriptor) }
      var content: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: 65_536)
      while content.count <= 1 << 20 {
        let count = unsafe Glibc.read(descriptor, &piece, piece.count)
        if count == 0 { return content + [0] }
        guard count > 0 else { throw failure(unsafe String(cString: strerror(errno))) }
        content += piece[..<count]
      }
      throw failure("it is larger than a megabyte")
    }
  }

  let pem: PEM
  // Immutable once made, and the library counts its users by itself.
  private nonisolated(unsafe) let pointer: gnutls_certificate_credentials_t

  /// - Throws: when they do not fit together.
  init(_ pem: PEM, _ files: HTTPServer.TLSFiles) throws(HTTPServerError) {
    var reason: UnsafePointer<CChar>?
    let made = unsafe TLSCredentials.withText(pem.certificate) { certificate in
      unsafe TLSCredentials.withText(pem.key) { key in
        guard let authorities = pem.clientAuthorities else {
          return unsafe sluice_tls_new(certificate, key, nil, &reason)
        }
        return unsafe TLSCredentials.withText(authorities) { unsafe sluice_tls_new(certificate, key, $0, &reason) }
      }
    }
    guard let made = unsafe made else {
      let authorities = files.clientAuthorities.map { " and the authorities \($0)" } ?? ""
      throw HTTPServerError(
        .badCertificate,
        "cannot serve TLS with the certificate \(files.certificate) and the key \(files.key)\(authorities): "
          + (unsafe reason.map { unsafe String(cString: $0) } ?? "no reason given"))
    }
    self.pem = pem
    unsafe pointer = unsafe made
  }

  deinit { unsafe gnutls_certificate_free_credentials(pointer) }

  /// Lets a new connection use these; its record keeps them.
  func use(on connection: OpaquePointer) {
    unsafe sluice_tls_use(connection, pointer, pem.clientAuthorities != nil)
  }

  private static func withText<Result>(_ text: [UInt8], _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
    unsafe text.withUnsafeBytes { unsafe body($0.baseAddress?.assumingMemoryBound(to: CChar.self)) }
  }
}

extension HTTPServer {
  /// Reads the TLS files again. New connections use what is there now, those that are open go on as they are.
  ///
  /// - Returns: whether there was something new.
  /// - Throws: when a file cannot be read or they do not fit together; then all stays as it was.
  package func reloadTLS() throws(HTTPServerError) -> Bool {
    guard let files = core.tlsFiles else { return false }
    let pem = try TLSCredentials.PEM(files)
    if core.tls.withLock({ $0?.pem == pem }) { return false }
    let credentials = try TLSCredentials(pem, files)
    core.tls.withLock { $0 = credentials }
    return true
  }
}
