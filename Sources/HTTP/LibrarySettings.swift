import CMicroHTTPD
import Glibc

/// What the library points to for as long as a daemon runs.
@safe final class LibrarySettings {
  private let settings: UnsafeMutablePointer<sluice_http_settings>
  private let sink: UnsafeMutablePointer<sluice_http_log>
  private let log: ServerLog
  private let tls: HTTPServer.TLSFiles?

  /// Reads the TLS files.
  init(_ configuration: HTTPServer.Configuration) throws(HTTPServerError) {
    let pem = try configuration.tls.map { files throws(HTTPServerError) in try TLSCredentials.PEM(files) }
    tls = configuration.tls
    log = ServerLog(configuration.log)
    unsafe sink = .allocate(capacity: 1)
    unsafe sink.initialize(
      to: sluice_http_log(context: Unmanaged.passUnretained(log).toOpaque(), write: Callbacks.log))
    unsafe settings = .allocate(capacity: 1)
    unsafe settings.initialize(to: sluice_http_settings())
    unsafe settings.pointee.tls = tls != nil
    // Those that were accepted before the count reached the limit are not cut off.
    unsafe settings.pointee.connection_limit = UInt32(clamping: max(1, configuration.connectionLimit) + 1024)
    // Only for clients that do not read their answers: the tending thread is stricter about the rest.
    let slowest = max(configuration.idleTimeout, configuration.bodyTimeout).wholeMilliseconds
    unsafe settings.pointee.timeout_seconds = UInt32(clamping: slowest / 1000 + 2)
    unsafe settings.pointee.connection_memory = max(4096, configuration.connectionMemory)
    unsafe settings.pointee.certificate = LibrarySettings.copy(pem?.certificate)
    unsafe settings.pointee.key = LibrarySettings.copy(pem?.key)
    unsafe settings.pointee.log = unsafe sink
    unsafe settings.pointee.handle = Callbacks.handle
    unsafe settings.pointee.completed = Callbacks.completed
    unsafe settings.pointee.connected = Callbacks.connected
  }

  deinit {
    unsafe free(UnsafeMutableRawPointer(mutating: settings.pointee.certificate))
    unsafe free(UnsafeMutableRawPointer(mutating: settings.pointee.key))
    unsafe settings.deallocate()
    unsafe sink.deallocate()
  }

  /// Starts a daemon, which must be stopped before this goes.
  func start() throws(HTTPServerError) -> OpaquePointer {
    let daemon = unsafe sluice_http_start(settings)
    let messages = log.stopKeeping()
    if let daemon = unsafe daemon {
      for message in messages { log.write(message) }
      return unsafe daemon
    }
    let reason = messages.isEmpty ? "no reason given" : messages.joined(separator: "; ")
    if let tls {
      throw HTTPServerError(
        .badCertificate, "cannot serve TLS with the certificate \(tls.certificate) and the key \(tls.key): \(reason)")
    }
    throw HTTPServerError(.startFailed, "cannot start the HTTP server: \(reason)")
  }

  /// Sets the object that `Callbacks` get, before the daemon has its first connection.
  func callBack(_ loop: UnsafeMutableRawPointer) { unsafe settings.pointee.context = unsafe loop }

  private static func copy(_ text: [UInt8]?) -> UnsafePointer<CChar>? {
    guard let text else { return nil }
    return unsafe text.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return nil }
      return unsafe UnsafePointer(strdup(start.assumingMemoryBound(to: CChar.self)))
    }
  }
}
