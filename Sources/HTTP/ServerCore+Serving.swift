import CMicroHTTPD
import Glibc
import Synchronization

/// What the library calls, on the thread that serves the connection. False closes the connection.
extension ServerCore {
  /// The head of a request is complete.
  func begin(
    _ connection: OpaquePointer, url: UnsafePointer<CChar>, method: UnsafePointer<CChar>,
    version: UnsafePointer<CChar>, request: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) -> Bool {
    guard let context = unsafe sluice_http_record(connection) else { return false }
    let record = unsafe Unmanaged<ConnectionRecord>.fromOpaque(context).takeUnretainedValue()
    let framing = unsafe sluice_http_frame(connection)
    let hasBody = framing.chunked || framing.content_length > 0
    let head = unsafe RequestHead(
      method: Method(method), path: ServerCore.path(of: url),
      contentLength: framing.content_lengths > 0 ? Int64(clamping: framing.content_length) : nil,
      isChunked: framing.chunked, expectsContinue: framing.expects, connection: connection)
    let exchange = unsafe Exchange(
      core: self, connection: connection, record: record, method: head.method, path: head.path)
    unsafe request.pointee = Unmanaged.passRetained(exchange).toOpaque()
    record.exchange.withLock { $0 = exchange }
    inProgress.add(1, ordering: .sequentiallyConsistent)

    let inTime: Bool
    if hasBody {
      unsafe exchange.progress.bodyDeadline = MonotonicClock.coarseMilliseconds + limits.body
      inTime = unsafe record.deadline.set(.body, at: exchange.progress.bodyDeadline)
    } else {
      inTime = record.deadline.clear()
    }
    guard inTime else { return false }

    if let refusal = unsafe refusal(of: framing, method: head.method, url: url, version: version) {
      return unsafe refuse(exchange, with: refusal, on: connection)
    }
    if let refusal = crossOrigin.refusal(head) { return unsafe refuse(exchange, with: refusal, on: connection) }
    if crossOrigin.isOn {
      unsafe exchange.progress.extraHeaders = crossOrigin.headers(for: head.header("Origin"))
      if let answer = crossOrigin.preflight(head) { return unsafe refuse(exchange, with: answer, on: connection) }
    }
    switch handler.begin(head) {
    case .receive(let receiver):
      unsafe exchange.progress.receiver = receiver
      if hasBody, receiver.keepsTime {
        unsafe exchange.progress.bodyDeadline = Deadline.never
        _ = record.deadline.set(.body, at: Deadline.never)
      }
      receiver.began(exchange)
      return true
    case .upgrade(let upgrade):
      if let refusal = unsafe upgradeRefusal(hasBody: hasBody, version: version) {
        return unsafe refuse(exchange, with: refusal, on: connection)
      }
      unsafe exchange.progress.upgrade = upgrade
      return true
    case .respond(let response):
      // An answer that is queued now ends the connection, so a small body is rather awaited.
      if framing.expects || framing.content_length > UInt64(limits.dropBytes) {
        return unsafe refuse(exchange, with: response, on: connection)
      }
      exchange.respond(response)
      unsafe exchange.progress.isRefused = true
      return true
    }
  }

  /// A piece of the body.
  func receive(_ piece: UnsafeRawBufferPointer, for exchange: Exchange) -> Bool {
    guard let record = exchange.record, !record.deadline.isExpired else { return false }
    unpark(exchange)
    unsafe exchange.progress.receivedBytes += Int64(piece.count)
    if exchange.isAnswered {
      // By another thread, since the last piece.
      unsafe exchange.progress.isRefused = true
      unsafe exchange.progress.receiver = nil
    }
    if unsafe exchange.progress.isRefused { return drop(piece.count, of: exchange, on: record) }
    if let refusal = unsafe exchange.progress.receiver?.receive(piece) {
      exchange.respond(refusal)
      unsafe exchange.progress.isRefused = true
      // What it holds of the body must not wait for the rest to be dropped.
      unsafe exchange.progress.receiver = nil
      // From here on no further bytes buy time.
      return record.deadline.set(.body, at: MonotonicClock.coarseMilliseconds + limits.body)
    }
    // From here to its going on the connection's time is not this thread's.
    if unsafe exchange.progress.isParked { return true }
    let earned = unsafe exchange.progress.receivedBytes * 1000 / limits.bodyBytesPerSecond
    let until = unsafe exchange.startedAt / 1_000_000 + limits.body + exchange.progress.pausedTime + earned
    guard unsafe until > exchange.progress.bodyDeadline + 100 else { return true }
    unsafe exchange.progress.bodyDeadline = until
    return exchange.awaitBody(until: until)
  }

  /// All of the body is there, or a suspended connection goes on.
  func finish(_ exchange: Exchange, on connection: OpaquePointer) -> Bool {
    guard let record = exchange.record, record.deadline.clear() else { return false }
    unpark(exchange)
    if unsafe !exchange.progress.isFinished, !exchange.isAnswered {
      unsafe exchange.progress.isFinished = true
      if isForcing {
        exchange.respond(stoppingResponse)
      } else if let upgrade = unsafe exchange.progress.upgrade {
        unsafe exchange.progress.queuedStatus = 101
        return unsafe upgrade.queue(on: connection)
      } else if let answer = unsafe exchange.progress.receiver?.finish(exchange) {
        exchange.respond(answer)
      }
      if unsafe exchange.progress.isParked {
        if unsafe exchange.progress.pausedAt != nil { unsafe exchange.progress.isFinished = false }
        return true
      }
    }
    if !exchange.isAnswered {
      exchange.respond(.error(500, code: "internal", message: "the request was left without an answer"))
    }
    return unsafe queue(exchange, on: connection)
  }

  /// A request is over, whatever its outcome; the socket is still open.
  func completed(_ exchange: Exchange, how: Int32) {
    if exchange.record?.isUpgraded.load(ordering: .relaxed) == true {
      // The request was over when another protocol got the connection.
      exchange.record?.loop.isReleased()
      upgraded.subtract(1, ordering: .sequentiallyConsistent)
      signalIfStopping()
      return
    }
    unpark(exchange)
    let answer = exchange.answer
    var status: Int?
    if how == Int32(SLUICE_HTTP_COMPLETED_OK), let queued = unsafe exchange.progress.queuedStatus {
      status = queued
    } else if let sent = unsafe exchange.progress.sentStatus {
      status = sent
    } else if let record = exchange.record {
      if !record.deadline.clear() {
        status = isTLS ? nil : answer?.status ?? timeoutResponse.status
      } else if !isTLS, unsafe exchange.progress.queuedStatus == nil, let answer {
        // The library saw the end of what the client sends and gave up; but a client that only closed its own
        // direction still waits for the answer.
        status = send(answer, of: exchange, on: record) ? answer.status : nil
      }
    }
    let isDelivered = status != nil && answer != nil
    exchange.end(abandoned: !isDelivered)
    let receiver = unsafe exchange.progress.receiver
    unsafe exchange.progress.receiver = nil
    if unsafe !isDelivered && !exchange.progress.isRefused { receiver?.abandoned() }
    if let record = exchange.record {
      record.exchange.withLock { $0 = nil }
      _ = record.deadline.set(.head, at: MonotonicClock.coarseMilliseconds + limits.idle)
    }
    report(exchange, status: status)
  }

  /// Tells the handler of the end of a request.
  func report(_ exchange: Exchange, status: Int?) {
    handler.completed(
      RequestSummary(
        method: exchange.method, path: exchange.path, status: status,
        duration: .nanoseconds(MonotonicClock.nanoseconds - exchange.startedAt),
        receivedBytes: unsafe exchange.progress.receivedBytes))
    inProgress.subtract(1, ordering: .sequentiallyConsistent)
    signalIfStopping()
  }

  /// Waits until the tending thread has done what it does to an expired connection, then lets it be closed.
  func leaveToTending(_ exchange: Exchange? = nil) -> Bool {
    connections.withLock { _ in }
    if isTLS, let exchange, exchange.record?.deadline.isExpired == true { answerExpired(exchange) }
    return false
  }

  /// Under TLS the tending thread cannot answer a client whose time for the body is over.
  func answerExpired(_ record: ConnectionRecord) {
    // As long as it has a request, the library has it.
    guard let exchange = record.exchange.withLock({ $0 }) else { return }
    answerExpired(exchange)
    shutdown(record.descriptor, Int32(SHUT_RD))
  }

  private func answerExpired(_ exchange: Exchange) {
    guard unsafe exchange.progress.sentStatus == nil && exchange.progress.queuedStatus == nil else { return }
    let answer = exchange.answer ?? timeoutResponse
    if let record = exchange.record, send(answer, of: exchange, on: record) {
      unsafe exchange.progress.sentStatus = answer.status
    }
  }

  private func unpark(_ exchange: Exchange) {
    guard unsafe exchange.progress.isParked else { return }
    unsafe exchange.progress.isParked = false
    if let since = unsafe exchange.progress.pausedAt {
      unsafe exchange.progress.pausedAt = nil
      unsafe exchange.progress.pausedTime += MonotonicClock.coarseMilliseconds - since
      // Whoever resumed it has counted it out.
      return
    }
    suspended.subtract(1, ordering: .sequentiallyConsistent)
    signalIfStopping()
  }

  /// Answers without reading the body, which ends the connection.
  private func refuse(_ exchange: Exchange, with response: Response, on connection: OpaquePointer) -> Bool {
    exchange.respond(response)
    unsafe exchange.progress.isRefused = true
    guard let record = exchange.record, record.deadline.clear() else { return false }
    record.lingers.store(true, ordering: .relaxed)
    return unsafe queue(exchange, on: connection)
  }

  private func queue(_ exchange: Exchange, on connection: OpaquePointer) -> Bool {
    guard var answer = exchange.answer else { return false }
    for (name, value) in unsafe exchange.progress.extraHeaders { answer = answer.adding(name, value) }
    unsafe exchange.progress.queuedStatus = answer.status
    return unsafe answer.queue(on: connection, closing: stage != .running)
  }

  private func drop(_ count: Int, of exchange: Exchange, on record: ConnectionRecord) -> Bool {
    unsafe exchange.progress.droppedBytes += count
    // The library cannot answer in the middle of a body.
    guard unsafe exchange.progress.droppedBytes > limits.dropBytes, let answer = exchange.answer else {
      return true
    }
    guard record.deadline.clear() else { return false }
    if send(answer, of: exchange, on: record) { unsafe exchange.progress.sentStatus = answer.status }
    return false
  }

  private func send(_ answer: Response, of exchange: Exchange, on record: ConnectionRecord) -> Bool {
    record.lingers.store(true, ordering: .relaxed)
    var answer = answer
    for (name, value) in unsafe exchange.progress.extraHeaders { answer = answer.adding(name, value) }
    return exchange.sendLast(answer.serialized(isHead: exchange.method == .head))
  }

  /// Refuses what two servers could read differently (RFC 9112, 6.1 to 6.3, and 3.2), and what is too long.
  private func refusal(
    of framing: sluice_http_framing, method: Method, url: UnsafePointer<CChar>, version: UnsafePointer<CChar>
  ) -> Response? {
    func malformed(_ reason: String) -> Response { .error(400, code: "malformed", message: reason) }
    let isOld = unsafe strcmp(version, "HTTP/1.0") == 0
    if isForcing { return stoppingResponse }
    if framing.malformed { return malformed("a header field is not well-formed") }
    if framing.content_lengths > 1 { return malformed("more than one Content-Length") }
    if framing.transfer_encodings > 0 {
      if framing.content_lengths > 0 { return malformed("both Content-Length and Transfer-Encoding") }
      if framing.transfer_encodings > 1 { return malformed("more than one Transfer-Encoding") }
      if isOld { return malformed("Transfer-Encoding in HTTP/1.0") }
      if !framing.chunked {
        return .error(501, code: "transfer_encoding", message: "the only transfer encoding known here is chunked")
      }
    }
    if framing.hosts > 1 || (framing.hosts == 0 && !isOld) {
      return malformed("exactly one Host is needed")
    }
    if framing.header_bytes > limits.headerBytes {
      return .error(431, code: "header_too_large", message: "the header is limited to \(limits.headerBytes) bytes")
    }
    if case .other(let name) = method, unsafe !sluice_http_is_token(name, name.utf8.count) {
      return malformed("the method is no token")
    }
    if unsafe sluice_http_has_blank(url) { return malformed("the path has a blank in it") }
    return nil
  }

  /// What keeps a connection from going on with another protocol (RFC 9110, 7.8).
  private func upgradeRefusal(hasBody: Bool, version: UnsafePointer<CChar>) -> Response? {
    if stage != .running { return stoppingResponse }
    if hasBody { return .error(400, code: "malformed", message: "an upgrade request has no body") }
    if unsafe strcmp(version, "HTTP/1.0") == 0 {
      return .error(400, code: "malformed", message: "an upgrade needs HTTP/1.1")
    }
    return nil
  }

  /// The path of an origin-form or absolute-form target (RFC 9112, 3.2).
  private static func path(of url: UnsafePointer<CChar>) -> String {
    let text = unsafe String(cString: url)
    guard unsafe url[0] != 0x2f, let scheme = text.firstRange(of: "://") else { return text }
    return text[scheme.upperBound...].firstIndex(of: "/").map { String(text[$0...]) } ?? "/"
  }
}
