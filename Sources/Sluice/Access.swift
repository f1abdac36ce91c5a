import HTTP
import Ingest
import Keys
import Operations

/// Whether clients need a key, as the settings say it.
enum Access {
  /// Everybody may send everything.
  case off
  /// Those of this file.
  case keys(String)

  /// - Throws: where other machines can connect, when there is no file of keys, or when none is said to be needed.
  init(_ settings: Settings) throws(CommandError) {
    let file = settings.string(.keysFile)
    let word = settings.string(.auth)
    let address = settings.listenAddress(.httpListen)
    let isLoopback = Self.isLoopback(address)
    if word == "keys" || word == "auto" && (!file.isEmpty || !isLoopback) {
      guard !file.isEmpty else {
        throw .usage(
          "\(Setting.keysFile.name) is missing: name a file of keys (sluice keys create makes one), or say "
            + "\(Setting.auth.name)=off if everybody on this machine may send everything")
      }
      self = .keys(file)
      return
    }
    guard isLoopback || word == "off-anywhere" else {
      throw .usage(
        "\(Setting.auth.name)=off on \(address), which other machines can reach: everybody could send everything. Name a "
          + "\(Setting.keysFile.name), listen on 127.0.0.1, or say \(Setting.auth.name)=off-anywhere if that is meant")
    }
    self = .off
  }

  /// What decides in a process; its thread is started.
  func authenticator(in service: Service) throws(CommandError) -> Authenticator {
    let rate = service.settings.int(.httpRatePerAddress)
    let burst = service.settings.int(.httpRatePerAddressBurst)
    let policy =
      rate == 0
      ? nil
      : RatePolicy(rate: Double(rate), burst: burst == 0 ? RatePolicy.usualBurst(of: Double(rate)) : burst)
    guard case .keys(let file) = self else {
      if service.settings.string(.auth) == "auto" {
        service.log.warning("no keys are asked for: everybody on this machine may send everything")
      }
      return Authenticator(ring: nil, addressPolicy: policy, metrics: service.metrics)
    }
    do throws(KeyFile.Problem) {
      let watch = try KeyWatch(file, log: service.log.component("keys"), metrics: service.metrics)
      service.supervisor.start("keys") { [supervisor = service.supervisor] in watch.run(under: supervisor) }
      return Authenticator(
        ring: watch.ring, origins: Self.origins(service.settings), addressPolicy: policy, metrics: service.metrics)
    } catch {
      throw .failed("\(Setting.keysFile.name) (\(file)): \(error)")
    }
  }

  private static func isLoopback(_ address: Operations.ListenAddress) -> Bool {
    address.host == "localhost" || ClientAddress(address.host)?.isLoopback == true
  }

  /// nil: HTTP without TLS.
  static func tlsFiles(_ settings: Settings) -> HTTPServer.TLSFiles? {
    guard !settings.string(.tlsCertificate).isEmpty else { return nil }
    let authorities = settings.string(.tlsClientCA)
    return HTTPServer.TLSFiles(
      certificate: settings.string(.tlsCertificate), key: settings.string(.tlsKey),
      clientAuthorities: authorities.isEmpty ? nil : authorities)
  }

  private static func origins(_ settings: Settings) -> [String] {
    settings.string(.httpCORSOrigins).split(separator: ",").map { String($0.drop { $0 == " " }.prefix { $0 != " " }) }
  }

  /// Which pages may send from a browser. Where no key is asked for, whoever looks at a foreign page would lend it his own
  /// access to this address; where one is, the authenticator knows whether the browser added it by itself.
  func crossOrigin(_ settings: Settings) -> CrossOrigin {
    var policy = CrossOrigin()
    if case .off = self {
      policy.others = Self.isLoopback(settings.listenAddress(.httpListen)) ? .refusedLocally : .refused
    }
    policy.origins = Self.origins(settings)
    policy.requestHeaders = [
      "Authorization", "Content-Type", "Content-Encoding", "Idempotency-Key", "X-API-Key", "traceparent",
    ]
    policy.exposedHeaders = ["Location", "Retry-After", "RateLimit", "RateLimit-Policy"]
    return policy
  }
}
