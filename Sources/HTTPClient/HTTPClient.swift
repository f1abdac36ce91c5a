import CCurl

/// Sends requests one after the other and keeps connections open between them; for one thread at a time.
///
/// HTTP/1.1, no redirects, no proxies. When a kept connection turns out to be closed before a byte of the answer came,
/// the request is sent again on a new one, unless `Options.resendsOnStaleConnection` is off: for requests that must not
/// be carried out twice.
@safe package final class HTTPClient {
  /// What differs between clients.
  package struct Options: Sendable {
    /// A PEM file with the certificates to trust instead of the system's.
    package var certificateAuthority: String?
    /// False trusts everyone: for tests and for finding faults.
    package var verifiesCertificates = true
    /// Bytes of an answer's body that are taken.
    package var bodyLimit = 16 << 20
    package var userAgent = "sluice"
    /// Whether a request is sent again by itself when a kept connection ended before a byte of its answer came. Without,
    /// that is a `.broken`, except while nothing of the body was sent, for then nothing was carried out.
    package var resendsOnStaleConnection = true

    package init() {}
  }

  let handle: UnsafeMutableRawPointer
  private let errorText: UnsafeMutablePointer<CChar>
  private let bodyLimit: Int
  private let resends: Bool
  /// What is still to be sent of a body that is handed over in pieces.
  private var unsent = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
  private var headerList: UnsafeMutablePointer<curl_slist>?
  // What the handle is set to already.
  private var headers: [(String, String)] = []
  private var method = ""
  private var url = ""
  // The answer as it comes in.
  private var head: [UInt8] = []
  private var body: [UInt8] = []
  private var isTooLarge = false
  /// Who takes the body that comes in, instead of `body`.
  var stream: Stream?

  private static let globalInit: CURLcode = sluice_curl_global_init()

  /// - Throws: `HTTPClientError` when libcurl cannot be set up.
  package init(_ options: Options = Options()) throws(HTTPClientError) {
    guard HTTPClient.globalInit == CURLE_OK, let handle = unsafe curl_easy_init() else {
      throw HTTPClientError(code: .other, curlCode: 0, message: "libcurl cannot be started")
    }
    unsafe self.handle = handle
    unsafe errorText = .allocate(capacity: Int(SLUICE_CURL_ERROR_SIZE))
    unsafe errorText.initialize(repeating: 0, count: Int(SLUICE_CURL_ERROR_SIZE))
    bodyLimit = options.bodyLimit
    resends = options.resendsOnStaleConnection
    try check(set(CURLOPT_NOSIGNAL, 1))
    try check(set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)))
    try check(set(CURLOPT_PROTOCOLS_STR, "http,https"))
    try check(set(CURLOPT_PROXY, ""))
    try check(set(CURLOPT_USERAGENT, options.userAgent))
    if let file = options.certificateAuthority { try check(set(CURLOPT_CAINFO, file)) }
    if !options.verifiesCertificates {
      try check(set(CURLOPT_SSL_VERIFYPEER, 0))
      try check(set(CURLOPT_SSL_VERIFYHOST, 0))
    }
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    try check(
      unsafe sluice_curl_set_callbacks(handle, HTTPClient.takeHead, HTTPClient.takeBody, context, errorText))
    // libcurl's own Content-Type of a POST would be a lie.
    try setHeaders([])
  }

  deinit {
    unsafe curl_easy_cleanup(handle)
    unsafe curl_slist_free_all(headerList)
    unsafe errorText.deallocate()
  }

  /// Sends one request and waits for its answer.
  ///
  /// - Parameters:
  ///   - body: Sent for every method but GET and HEAD.
  ///   - timeout: For everything, from the connection to the last byte of the answer.
  /// - Throws: `HTTPClientError`.
  package func send(
    _ method: String, _ url: String, headers: [(String, String)] = [], body: UnsafeRawBufferPointer,
    timeout: Duration = .seconds(30)
  ) throws(HTTPClientError) -> HTTPResponse {
    try prepare(method, url, headers)
    if method != "GET", method != "HEAD" {
      try check(unsafe setBody(body))
    }
    let (seconds, attoseconds) = timeout.components
    let milliseconds = min(max(0, seconds), 1_000_000) * 1000 + attoseconds / 1_000_000_000_000_000
    try check(set(CURLOPT_TIMEOUT_MS, Int(max(1, milliseconds))))
    let code = perform()
    // The body is the caller's: nothing may point to it any more.
    unsafe unsent = UnsafeRawBufferPointer(start: nil, count: 0)
    if method != "GET", method != "HEAD" { _ = unsafe sluice_curl_set_body(handle, nil, 0) }
    try check(code)
    defer {
      head = []
      self.body = []
    }
    return HTTPResponse(status: unsafe Int(sluice_curl_status(handle)), head: head, body: self.body)
  }

  /// Sends one request, with a body held in an array, and waits for its answer.
  package func send(
    _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8] = [],
    timeout: Duration = .seconds(30)
  ) throws(HTTPClientError) -> HTTPResponse {
    // The array's own function does not pass the type of an error on.
    let result = unsafe body.withUnsafeBytes { bytes -> Result<HTTPResponse, HTTPClientError> in
      do throws(HTTPClientError) {
        return .success(unsafe try send(method, url, headers: headers, body: bytes, timeout: timeout))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

extension HTTPClient {
  /// Sets the handle to a request, but for its body and its time.
  func prepare(_ method: String, _ url: String, _ headers: [(String, String)]) throws(HTTPClientError) {
    if !sameHeaders(headers) { try setHeaders(headers) }
    if url != self.url {
      try check(set(CURLOPT_URL, url))
      self.url = url
    }
    try setMethod(method)
  }

  /// Carries out the request that the handle is set to.
  func perform() -> CURLcode {
    head = []
    body = []
    isTooLarge = false
    unsafe errorText[0] = 0
    return unsafe curl_easy_perform(handle)
  }

  func set(_ option: CURLoption, _ value: Int) -> CURLcode {
    unsafe sluice_curl_set_long(handle, option, value)
  }

  private func set(_ option: CURLoption, _ value: String?) -> CURLcode {
    unsafe sluice_curl_set_text(handle, option, value)
  }

  private func setBody(_ body: UnsafeRawBufferPointer) -> CURLcode {
    if unsafe resends || body.isEmpty {
      return unsafe sluice_curl_set_body(handle, body.baseAddress, Int64(body.count))
    }
    // From a function that cannot go back to the beginning, libcurl cannot send a body twice.
    unsafe unsent = body
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    return unsafe sluice_curl_set_body_once(handle, HTTPClient.giveBody, context, Int64(body.count))
  }

  private func setMethod(_ method: String) throws(HTTPClientError) {
    guard method != self.method else { return }
    let isPlain = method == "GET" || method == "HEAD"
    try check(set(CURLOPT_NOBODY, 0))
    try check(set(isPlain ? CURLOPT_HTTPGET : CURLOPT_POST, 1))
    if method == "HEAD" { try check(set(CURLOPT_NOBODY, 1)) }
    try check(set(CURLOPT_CUSTOMREQUEST, isPlain || method == "POST" ? nil : method))
    self.method = method
  }

  private func sameHeaders(_ other: [(String, String)]) -> Bool {
    other.count == headers.count && zip(other, headers).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
  }

  private func setHeaders(_ headers: [(String, String)]) throws(HTTPClientError) {
    var lines: [String] = []
    for (name, value) in headers {
      guard !name.isEmpty, !(name + value).utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) else {
        throw HTTPClientError(code: .badRequest, curlCode: 0, message: "'\(name)' is no usable header field")
      }
      // "name:" would make libcurl leave the field out, "name;" makes it send an empty one.
      lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
    }
    if !headers.contains(where: { $0.0.lowercased() == "content-type" }) { lines.append("Content-Type:") }
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines {
      guard let longer = unsafe curl_slist_append(list, line) else {
        unsafe curl_slist_free_all(list)
        throw HTTPClientError(code: .other, curlCode: 0, message: "out of memory")
      }
      unsafe list = longer
    }
    let code = unsafe sluice_curl_set_headers(handle, list)
    unsafe curl_slist_free_all(headerList)
    unsafe headerList = list
    self.headers = headers
    try check(code)
  }

  func check(_ code: CURLcode) throws(HTTPClientError) {
    guard code != CURLE_OK else { return }
    var message = unsafe String(cString: errorText)
    if message.isEmpty { message = unsafe String(cString: curl_easy_strerror(code)) }
    let kind: HTTPClientError.Code =
      switch code {
      case CURLE_WRITE_ERROR where isTooLarge: .tooLarge
      case CURLE_WRITE_ERROR where stream != nil, CURLE_ABORTED_BY_CALLBACK:
        stream?.isSilent == true ? .timeout : .stopped
      // What came does not begin as HTTP does.
      case CURLE_UNSUPPORTED_PROTOCOL where message.contains("HTTP/0.9"): .broken
      case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .badRequest
      case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT: .unreachable
      case CURLE_OPERATION_TIMEDOUT: .timeout
      case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM:
        .tls
      case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_WEIRD_SERVER_REPLY,
        CURLE_SEND_FAIL_REWIND:
        .broken
      default: .other
      }
    if let stream, stream.isSilent { message = "nothing came for \(stream.silence)" }
    if kind == .tooLarge { message = "the answer is longer than \(bodyLimit) bytes" }
    throw HTTPClientError(
      code: kind, curlCode: Int(code.rawValue), message: url.isEmpty ? message : "\(method) \(url): \(message)")
  }

  private static let takeHead: sluice_curl_take = { bytes, size, count, context in
    guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
    let client = unsafe Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue()
    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    // A status line begins a new head: what came before belongs to an interim answer such as 100.
    if unsafe line.starts(with: [0x48, 0x54, 0x54, 0x50, 0x2f]) {
      client.head.removeAll(keepingCapacity: true)
    } else if client.head.count + line.count <= HTTPClient.headLimit {
      unsafe client.head.append(contentsOf: line)
    }
    return size * count
  }

  private static let takeBody: sluice_curl_take = { bytes, size, count, context in
    guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
    let client = unsafe Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue()
    if let stream = client.stream {
      let piece = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
      return unsafe stream.take(piece, status: Int(sluice_curl_status(client.handle))) ? size * count : 0
    }
    guard client.body.count + size * count <= client.bodyLimit else {
      client.isTooLarge = true
      return 0
    }
    unsafe client.body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
  }

  private static let giveBody: sluice_curl_give = { bytes, size, count, context in
    guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
    let client = unsafe Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue()
    let piece = unsafe UnsafeRawBufferPointer(rebasing: client.unsent.prefix(size * count))
    unsafe UnsafeMutableRawBufferPointer(start: bytes, count: size * count).copyMemory(from: piece)
    unsafe client.unsent = UnsafeRawBufferPointer(rebasing: client.unsent.dropFirst(piece.count))
    return piece.count
  }

  /// Bytes of an answer's head that are kept.
  private static let headLimit = 64 * 1024
}
