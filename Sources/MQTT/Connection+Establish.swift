import CMosquitto
import Glibc

extension Connection {
  /// Connects to the broker and waits for its answer.
  ///
  /// - Parameter timeout: bounds everything but the lookup of the name, for which the resolver has limits of its own.
  /// - Returns: the connection, and whether the broker had a session for the client.
  static func establish(
    _ configuration: MQTTConfiguration, keepsMessages: Bool, timeout: Duration, wake: WakeSignal
  ) throws(MQTTError) -> (Connection, sessionPresent: Bool) {
    let deadline = ContinuousClock.now + timeout
    let address = configuration.address
    let families = try addressFamilies(of: address.host)
    var failure = MQTTError(.unreachable, "\(address): no address")
    for (index, family) in families.enumerated() {
      let connection = try Connection(configuration, keepsMessages: keepsMessages, wake: wake)
      do throws(MQTTError) {
        // Without blocking, the library tries only the first address, and "localhost" begins with ::1 where brokers
        // often do not listen. A local address of one family makes it skip those of the other.
        let local = families.count == 1 ? nil : family == AF_INET6 ? "::" : "0.0.0.0"
        try connection.start(address, from: local)
        let share = (deadline - .now) / (families.count - index)
        try connection.awaitTCP(address, until: .now + share)
      } catch {
        guard error.kind == .unreachable else { throw error }
        failure = error
        continue
      }
      return (connection, try connection.awaitConnack(address, until: deadline))
    }
    throw failure
  }

  /// The families (AF_INET, AF_INET6) of a name's addresses, in the resolver's order.
  private static func addressFamilies(of host: String) throws(MQTTError) -> [Int32] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      throw MQTTError(
        .unreachable, "\(host): \(unsafe String(cString: gai_strerror(code)))", code: Int(MOSQ_ERR_EAI.rawValue))
    }
    defer { unsafe freeaddrinfo(list) }
    var families: [Int32] = []
    var next = unsafe list
    while let entry = unsafe next {
      let family = unsafe entry.pointee.ai_family
      if !families.contains(family) { families.append(family) }
      unsafe next = unsafe entry.pointee.ai_next
    }
    return families
  }
}

extension Duration {
  /// For poll(2): at least 0, and not shorter than the duration.
  var roundedUpMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return Int32(
      clamping: min(seconds, 1_000_000) * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

extension [String] {
  /// Calls `body` with the strings as C strings that live as long as the call.
  func withCStrings<Result>(
    _ body: (UnsafeBufferPointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    let copies = unsafe map { unsafe strdup($0) }
    defer { for index in unsafe copies.indices { unsafe free(copies[index]) } }
    return unsafe copies.withUnsafeBufferPointer(body)
  }
}
