import CMicroHTTPD
import Glibc

/// The head of a request: valid only during `RequestHandler.begin`, which is why it cannot be copied.
package struct RequestHead: ~Copyable {
  @safe private enum Source {
    case connection(OpaquePointer)
    case fields(headers: [(String, String)], query: [(String, String)], peer: String, certificate: [UInt8]?)
  }

  package let method: Method
  /// The path as the client wrote it, percent-escapes and all, without the query.
  package let path: String
  /// Nil without a `Content-Length`.
  package let contentLength: Int64?
  package let isChunked: Bool
  /// Whether the client holds the body back until it is asked to go on.
  package let expectsContinue: Bool
  private let source: Source

  /// False also for `Content-Length: 0`.
  package var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }

  init(
    method: Method, path: String, contentLength: Int64?, isChunked: Bool, expectsContinue: Bool,
    connection: OpaquePointer
  ) {
    self.method = method
    self.path = path
    self.contentLength = contentLength
    self.isChunked = isChunked
    self.expectsContinue = expectsContinue
    unsafe source = .connection(connection)
  }

  /// A head that came over no socket, for driving routes directly.
  package init(
    method: Method, path: String, headers: [(String, String)] = [], query: [(String, String)] = [],
    contentLength: Int64? = nil, isChunked: Bool = false, peer: String = "127.0.0.1", certificate: [UInt8]? = nil
  ) {
    self.method = method
    self.path = path
    self.contentLength = contentLength
    self.isChunked = isChunked
    expectsContinue = false
    unsafe source = .fields(headers: headers, query: query, peer: peer, certificate: certificate)
  }

  /// The value of the first header field of this name, whatever its case; without the blanks around it.
  package func header(_ name: String) -> String? {
    var name = name
    var value: String?
    name.withUTF8 { name in
      unsafe find(name, sluice_http_header, in: headers) { value = unsafe String(decoding: $0, as: UTF8.self) }
    }
    return value
  }

  /// Lends the bytes of the first header field of this name to `use`, which is not called without the field; for the
  /// paths on which a `String` costs too much.
  package func lendHeader(_ name: StaticString, _ use: (UnsafeRawBufferPointer) -> Void) {
    name.withUTF8Buffer { unsafe find($0, sluice_http_header, in: headers, use) }
  }

  /// Whether a header field of this name lists that word (RFC 9110, 5.6.1), without regard to case. Several fields of one
  /// name are one list.
  ///
  /// - Parameters: both in lower case.
  package func lists(_ word: StaticString, in name: StaticString) -> Bool {
    switch source {
    case .connection(let connection):
      return unsafe name.utf8Start.withMemoryRebound(to: CChar.self, capacity: name.utf8CodeUnitCount) { nameStart in
        unsafe word.utf8Start.withMemoryRebound(to: CChar.self, capacity: word.utf8CodeUnitCount) {
          unsafe sluice_http_has_word(connection, nameStart, name.utf8CodeUnitCount, $0, word.utf8CodeUnitCount)
        }
      }
    case .fields:
      return headers.contains { key, value in
        key.lowercased() == "\(name)"
          && value.lowercased().split(separator: ",").contains { item in
            item.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" } == "\(word)"
          }
      }
    }
  }

  /// How many header fields of this name, whatever its case, there are.
  package func headerCount(_ name: StaticString) -> Int {
    name.withUTF8Buffer { bytes in
      switch source {
      case .connection(let connection):
        return unsafe sluice_http_header_count(
          connection, UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), bytes.count)
      case .fields(let headers, _, _, _):
        return headers.count { unsafe isSame($0.0, bytes) }
      }
    }
  }

  /// The value of the first query parameter of this name, decoded; "" for a name without a value, nil without the name.
  package func query(_ name: String) -> String? {
    var name = name
    var value: String?
    // The library has already made "+" into a blank.
    name.withUTF8 { name in
      unsafe find(name, sluice_http_query, in: parameters) { value = unsafe PercentEncoding.decode($0) }
    }
    return value
  }

  /// The client's numeric address, without the port.
  package var peer: String {
    switch source {
    case .fields(_, _, let peer, _): return peer
    case .connection(let connection):
      guard let address = unsafe sluice_http_peer(connection) else { return "" }
      return unsafe SocketAddress.text(of: address)
    }
  }

  /// The same without making a text of it.
  package var clientAddress: ClientAddress {
    switch source {
    case .fields(_, _, let peer, _): return ClientAddress(peer) ?? ClientAddress()
    case .connection(let connection):
      guard let address = unsafe sluice_http_peer(connection) else { return ClientAddress() }
      return unsafe ClientAddress(address)
    }
  }

  /// A value that is made at the first request of a connection, and found again at the others.
  package func connectionValue<Value: AnyObject>(_ make: (ClientAddress) -> Value) -> Value {
    guard case .connection(let connection) = source, let context = unsafe sluice_http_record(connection) else {
      return make(clientAddress)
    }
    let record = unsafe Unmanaged<ConnectionRecord>.fromOpaque(context).takeUnretainedValue()
    if let known = unsafe record.value as? Value { return known }
    let value = make(clientAddress)
    unsafe record.value = value
    return value
  }

  /// The certificate (DER) that the client showed in its TLS handshake, if one of the configured authorities vouches for
  /// it.
  package var clientCertificate: [UInt8]? {
    if case .fields(_, _, _, let certificate) = source { return certificate }
    guard case .connection(let connection) = source, let context = unsafe sluice_http_record(connection) else {
      return nil
    }
    let record = unsafe Unmanaged<ConnectionRecord>.fromOpaque(context).takeUnretainedValue()
    guard unsafe record.tls?.pem.clientAuthorities != nil else { return nil }
    if let known = unsafe record.certificate { return known }
    var size = 0
    let bytes = unsafe sluice_tls_peer(connection, &size).map {
      unsafe Array(UnsafeBufferPointer(start: $0, count: size))
    }
    unsafe record.certificate = .some(bytes)
    return bytes
  }

  private var headers: [(String, String)] {
    if case .fields(let headers, _, _, _) = source { return headers }
    return []
  }

  private var parameters: [(String, String)] {
    if case .fields(_, let query, _, _) = source { return query }
    return []
  }

  private typealias Lookup = (
    OpaquePointer, UnsafePointer<CChar>, Int, UnsafeMutablePointer<UnsafePointer<CChar>?>, UnsafeMutablePointer<Int>
  ) -> Bool

  private func find(
    _ name: UnsafeBufferPointer<UInt8>, _ lookup: Lookup, in fields: [(String, String)],
    _ use: (UnsafeRawBufferPointer) -> Void
  ) {
    switch source {
    case .connection(let connection):
      var value: UnsafePointer<CChar>?
      var size = 0
      guard let start = unsafe UnsafeRawPointer(name.baseAddress)?.assumingMemoryBound(to: CChar.self),
        unsafe lookup(connection, start, name.count, &value, &size)
      else { return }
      while size > 0, let value = unsafe value, unsafe value[size - 1] == 0x20 || value[size - 1] == 0x09 { size -= 1 }
      unsafe use(UnsafeRawBufferPointer(start: value, count: size))
    case .fields:
      for (key, text) in fields where unsafe isSame(key, name) {
        var text = text
        return text.withUTF8 { unsafe use(UnsafeRawBufferPointer($0)) }
      }
    }
  }

  private func isSame(_ key: String, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
    unsafe key.utf8.elementsEqual(name) { lowercase($0) == lowercase($1) }
  }

  private func lowercase(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }
}
