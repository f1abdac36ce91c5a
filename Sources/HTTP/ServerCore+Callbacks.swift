import CMicroHTTPD
import Glibc
import Synchronization

/// The functions that C calls: they only turn its pointers into objects.
enum Callbacks {
  static let handle:
    @convention(c) (
      UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
      UnsafePointer<CChar>?, UnsafeMutablePointer<Int>?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> Int32 = { context, connection, url, method, version, data, size, request in
      guard let context = unsafe context, let connection = unsafe connection, let url = unsafe url,
        let method = unsafe method, let version = unsafe version, let size = unsafe size, let request = unsafe request
      else { return 0 }
      let core = unsafe Unmanaged<ServingLoop>.fromOpaque(context).takeUnretainedValue().core
      guard let object = unsafe request.pointee else {
        let goesOn = unsafe core.begin(connection, url: url, method: method, version: version, request: request)
        return goesOn || core.leaveToTending() ? 1 : 0
      }
      let exchange = unsafe Unmanaged<Exchange>.fromOpaque(object).takeUnretainedValue()
      let goesOn: Bool
      if unsafe size.pointee > 0 {
        // Of a chunked body the library goes on with what it has read, though the connection is suspended: what is left
        // here comes again.
        if unsafe exchange.progress.isParked && sluice_http_is_suspended(connection) { return 1 }
        goesOn = unsafe core.receive(UnsafeRawBufferPointer(start: data, count: size.pointee), for: exchange)
        unsafe size.pointee = 0
      } else {
        goesOn = unsafe core.finish(exchange, on: connection)
      }
      return goesOn || core.leaveToTending(exchange) ? 1 : 0
    }

  static let completed:
    @convention(c) (
      UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?, Int32
    ) -> Void = { context, _, request, how in
      guard let context = unsafe context, let object = unsafe request?.pointee else { return }
      unsafe request?.pointee = nil
      let core = unsafe Unmanaged<ServingLoop>.fromOpaque(context).takeUnretainedValue().core
      core.completed(unsafe Unmanaged<Exchange>.fromOpaque(object).takeRetainedValue(), how: how)
    }

  static let connected:
    @convention(c) (
      UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?, Bool
    ) -> Void = { context, connection, slot, isOpen in
      guard let context = unsafe context, let connection = unsafe connection, let slot = unsafe slot else { return }
      let loop = unsafe Unmanaged<ServingLoop>.fromOpaque(context).takeUnretainedValue()
      if isOpen {
        let record = unsafe loop.opened(sluice_http_socket(connection))
        if loop.core.isTLS, let tls = loop.core.tls.withLock({ $0 }) {
          unsafe tls.use(on: connection)
          unsafe record.tls = tls
        }
        unsafe slot.pointee = Unmanaged.passRetained(record).toOpaque()
      } else if let object = unsafe slot.pointee {
        unsafe slot.pointee = nil
        loop.core.closed(unsafe Unmanaged<ConnectionRecord>.fromOpaque(object).takeRetainedValue())
      }
    }

  static let log: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?) -> Void = { context, message in
    guard let context = unsafe context, let message = unsafe message else { return }
    let log = unsafe Unmanaged<ServerLog>.fromOpaque(context).takeUnretainedValue()
    log.write(unsafe String(cString: message))
  }
}

/// Passes the library's messages on, and keeps them while the server starts, for the error if that fails.
final class ServerLog: Sendable {
  private let callback: (@Sendable (String) -> Void)?
  private let kept = Mutex<[String]?>([])

  init(_ callback: (@Sendable (String) -> Void)?) { self.callback = callback }

  func write(_ message: String) {
    var text = message[...]
    while text.last?.isNewline == true { text.removeLast() }
    let isKept = kept.withLock { kept in
      kept?.append(String(text))
      return kept != nil
    }
    if !isKept { callback?(String(text)) }
  }

  /// What was kept; from now on messages go to the callback.
  func stopKeeping() -> [String] {
    kept.withLock { kept in
      defer { kept = nil }
      return kept ?? []
    }
  }
}
