import CMicroHTTPD

/// Owns one response of the library, which counts references by itself and locks while it does.
@safe final class PreparedResponse: @unchecked Sendable {
  // Sendable: the pointer never changes, and the library allows a response to be queued from any thread.
  let pointer: OpaquePointer?

  init(_ response: Response) { unsafe pointer = response.make(closing: false) }

  deinit {
    if let pointer = unsafe pointer { unsafe MHD_destroy_response(pointer) }
  }
}

extension Response {
  /// Queues this on a connection; only on the thread that serves it.
  func queue(on connection: OpaquePointer, closing: Bool) -> Bool {
    if !closing, let pointer = unsafe made?.pointer {
      return unsafe sluice_http_queue(connection, UInt32(status), pointer)
    }
    guard let pointer = unsafe make(closing: closing) else { return false }
    defer { unsafe MHD_destroy_response(pointer) }
    return unsafe sluice_http_queue(connection, UInt32(status), pointer)
  }

  /// A response of the library, which the caller destroys; nil when memory is out.
  fileprivate func make(closing: Bool) -> OpaquePointer? {
    let made: OpaquePointer?
    switch body {
    case .none: unsafe made = unsafe sluice_http_response(nil, 0, true)
    case .constant(let text): unsafe made = unsafe sluice_http_response(text.utf8Start, text.utf8CodeUnitCount, true)
    case .bytes(let bytes):
      unsafe made = unsafe bytes.withUnsafeBytes { unsafe sluice_http_response($0.baseAddress, $0.count, false) }
    }
    guard let response = unsafe made else { return nil }
    for (name, value) in headers { _ = unsafe sluice_http_add_header(response, name, value) }
    if closing { _ = unsafe sluice_http_add_header(response, "Connection", "close") }
    return unsafe response
  }

  /// The whole answer as bytes, for a socket on which the library can no longer send one.
  func serialized(isHead: Bool) -> [UInt8] {
    var text = "HTTP/1.1 \(status) "
    text += unsafe MHD_get_reason_phrase_for(UInt32(status)).map { unsafe String(cString: $0) } ?? "Status"
    text += "\r\nConnection: close\r\n"
    for (name, value) in headers where !value.utf8.contains(where: { $0 == 10 || $0 == 13 }) {
      text += "\(name): \(value)\r\n"
    }
    let bytes: [UInt8] =
      switch body {
      case .none: []
      case .constant(let constant): constant.withUTF8Buffer { unsafe Array($0) }
      case .bytes(let bytes): bytes
      }
    if status != 204 && status != 304 { text += "Content-Length: \(bytes.count)\r\n" }
    text += "\r\n"
    return Array(text.utf8) + (isHead || status == 204 || status == 304 ? [] : bytes)
  }
}
