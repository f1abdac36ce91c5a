import CCurl

extension HTTPClient {
  /// What a request was answered whose body was handed over as it came.
  package struct Streamed: Sendable {
    package let status: Int
    /// Where a redirect leads, made whole by the address that was asked.
    package let redirect: String?
  }

  /// Sends a GET and hands the body over piece by piece as it comes, as the server sends it; bodies of other answers than
  /// 200 are dropped. The path is asked for as it is written.
  ///
  /// - Parameters:
  ///   - silence: how long nothing may come, from the beginning on; what `take` takes does not count.
  ///   - goesOn: is asked about once a second; false ends it.
  ///   - take: may block, and gets each piece for the length of the call; false ends it.
  /// - Throws: `HTTPClientError`, with the code `.stopped` after a false.
  package func stream(
    _ url: String, headers: [(String, String)] = [], silence: Duration, goesOn: @escaping () -> Bool,
    take: @escaping (UnsafeRawBufferPointer) -> Bool
  ) throws(HTTPClientError) -> Streamed {
    let stream = unsafe Stream(silence: silence, goesOn: goesOn, take: take)
    self.stream = stream
    defer {
      self.stream = nil
      _ = set(CURLOPT_NOPROGRESS, 1)
    }
    try prepare("GET", url, headers)
    try check(set(CURLOPT_TIMEOUT_MS, 0))
    try check(set(CURLOPT_PATH_AS_IS, 1))
    try check(unsafe sluice_curl_set_watch(handle, Self.watch, Unmanaged.passUnretained(stream).toOpaque()))
    try check(perform())
    return unsafe Streamed(
      status: Int(sluice_curl_status(handle)), redirect: sluice_curl_redirect(handle).map { unsafe String(cString: $0) }
    )
  }

  /// The taking of one answer.
  @safe final class Stream {
    let silence: Duration
    /// Whether that was the end.
    private(set) var isSilent = false
    private let goesOn: () -> Bool
    private let take: (UnsafeRawBufferPointer) -> Bool
    private var lastPiece = ContinuousClock.now

    init(silence: Duration, goesOn: @escaping () -> Bool, take: @escaping (UnsafeRawBufferPointer) -> Bool) {
      self.silence = silence
      self.goesOn = goesOn
      unsafe self.take = take
    }

    func take(_ piece: UnsafeRawBufferPointer, status: Int) -> Bool {
      defer { lastPiece = .now }
      return unsafe status != 200 || take(piece)
    }

    /// Whether to go on waiting.
    func watch() -> Bool {
      isSilent = .now - lastPiece > silence
      return !isSilent && goesOn()
    }
  }

  private static let watch: sluice_curl_watch = { context, _, _, _, _ in
    guard let context = unsafe context else { return 1 }
    return unsafe Unmanaged<Stream>.fromOpaque(context).takeUnretainedValue().watch() ? 0 : 1
  }
}
