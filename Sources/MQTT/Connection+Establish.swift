import CMosquitto
import Glibc

/// What the library is given to connect to.
struct ConnectionTarget: Equatable {
  /// A name or an address.
  let host: String
  /// An address of this machine; one of a family makes the library skip the other's addresses of a name.
  var localAddress: String?

  /// All that a broker can be reached by, in the resolver's order.
  ///
  /// Without blocking, the library tries only the first address of a name: so it gets each address by itself. Not over TLS,
  /// where it compares the certificate with what it was given: then it gets the name, for the first address of each family.
  /// - Parameter addresses: those of the host, with their families (AF_INET, AF_INET6).
  static func all(of address: MQTTAddress, at addresses: [(family: Int32, text: String)]) -> [ConnectionTarget] {
    guard address.usesTLS else { return addresses.map { ConnectionTarget(host: $0.text) } }
    var families: [Int32] = []
    for (family, _) in addresses where !families.contains(family) { families.append(family) }
    guard families.count > 1 else { return families.map { _ in ConnectionTarget(host: address.host) } }
    return families.map { ConnectionTarget(host: address.host, localAddress: $0 == AF_INET6 ? "::" : "0.0.0.0") }
  }
}

extension Connection {
  /// Connects to the broker and waits for its answer.
  ///
  /// - Parameter timeout: bounds everything but the lookup of the name, for which the resolver has limits of its own.
  /// - Returns: the connection, and whether the broker had a session for the client.
  static func establish(
    _ configuration: MQTTConfiguration, keepsMessages: Bool, timeout: Duration, wake: WakeSignal
  ) throws(MQTTError) -> (Connection, sessionPresent: Bool) {
    let deadline = ContinuousClock.now + timeout
    let targets = ConnectionTarget.all(of: configuration.address, at: try addresses(of: configuration.address.host))
    return try establish(configuration, through: targets, keepsMessages: keepsMessages, until: deadline, wake: wake)
  }

  /// Connects to the first of some targets where a broker listens.
  static func establish(
    _ configuration: MQTTConfiguration, through targets: [ConnectionTarget], keepsMessages: Bool,
    until deadline: ContinuousClock.Instant, wake: WakeSignal
  ) throws(MQTTError) -> (Connection, sessionPresent: Bool) {
    let address = configuration.address
    var failure = MQTTError(.unreachable, "\(address): no address")
    for (index, target) in targets.enumerated() {
      let connection = try Connection(configuration, keepsMessages: keepsMessages, wake: wake)
      do throws(MQTTError) {
        try connection.start(address, at: target)
        let share = (deadline - .now) / (targets.count - index)
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

  /// The addresses of a name with their families (AF_INET, AF_INET6), in the resolver's order.
  private static func addresses(of host: String) throws(MQTTError) -> [(family: Int32, text: String)] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      throw MQTTError(
        .unreachable, "\(host): \(unsafe String(cString: gai_strerror(code)))", code: Int(MOSQ_ERR_EAI.rawValue))
    }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [(family: Int32, text: String)] = []
    var next = unsafe list
    while let entry = unsafe next {
      let info = unsafe entry.pointee
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { text in
        let code = unsafe getnameinfo(
          info.ai_addr, info.ai_addrlen, text.baseAddress, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard code == 0, let start = text.baseAddress else { return }
        unsafe addresses.append((info.ai_family, String(cString: start)))
      }
      unsafe next = unsafe info.ai_next
    }
    return addresses
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
