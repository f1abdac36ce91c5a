package import HTTP
package import Keys
package import Operations
import Synchronization

/// Decides who may send: by the key that a request presents, or else by the client certificate that stands for one, if keys
/// are asked for at all. What a browser adds by itself lets only pages in that may use it.
package final class Authenticator: Sendable {
  /// nil: everybody may send everything.
  private let ring: KeyRing?
  /// Which pages may use what a browser adds by itself.
  private let pages: CrossOrigin
  private let now: @Sendable () -> Int64
  /// Nanoseconds.
  let clock: @Sendable () -> Int64
  private let addressPolicy: RatePolicy?
  private let addresses = AddressAccounts()
  private let refusals: [Refusal.Reason: Counter]

  /// One text for all that is wrong with a key, so that nobody can find out which keys there were.
  private static let unauthorized = Response.error(
    401, code: "unauthorized",
    message:
      "a valid key is needed: Authorization: Bearer slk_…, or X-API-Key: slk_…, or Basic authentication with the "
      + "key as password",
    headers: [("WWW-Authenticate", "Bearer realm=\"sluice\", Basic realm=\"sluice\", charset=\"UTF-8\"")]
  ).prepared()

  /// - Parameters:
  ///   - ring: nil: no key is asked for.
  ///   - origins: whose pages may use what a browser adds by itself, as `CrossOrigin` has them.
  ///   - addressPolicy: how many readings each address may send; nil: any number.
  ///   - now: milliseconds since 1970.
  ///   - clock: nanoseconds of a clock that never goes back.
  package init(
    ring: KeyRing?, origins: [String] = [], addressPolicy: RatePolicy? = nil, metrics: Metrics,
    now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds,
    clock: @escaping @Sendable () -> Int64 = Clock.monotonicNanoseconds
  ) {
    self.ring = ring
    var pages = CrossOrigin()
    pages.origins = origins
    pages.others = .refused
    self.pages = pages
    self.addressPolicy = addressPolicy
    self.now = now
    self.clock = clock
    let family = metrics.counters(
      "sluice_auth_refused_total", "Requests, and items of requests, that their key does not allow.",
      labels: ["reason"])
    refusals = Dictionary(uniqueKeysWithValues: Refusal.Reason.allCases.map { ($0, family.with($0.rawValue)) })
  }

  /// What the client of a request may do; 401 when its key is missing or good for nothing, 403 when it is not for this
  /// dialect, or is used by a page that may not.
  ///
  /// - Parameters:
  ///   - dialect: what the body is written in, as it stands in the keys file; nil where none matters.
  ///   - places: where else than in `Authorization` and `X-API-Key` this dialect's clients put their key.
  package func authenticate(
    _ head: borrowing RequestHead, dialect: String?, places: CredentialPlaces = []
  ) -> Result<Grant, Refusal> {
    guard let ring else { return .success(Grant(nil, by: nil, address: address(of: head), self)) }
    switch Credentials.presented(head, in: places) {
    case .nothing: return .failure(refuse(.missing))
    case .other: return .failure(refuse(.unknown))
    case .one(let credential):
      // Before it is looked up, so that such a page does not find out whether there is a key.
      if credential.isAmbient, let answer = pages.refusal(head) { return .failure(refuse(.origin, answer)) }
      let address = addressPolicy == nil ? nil : address(of: head)
      return admit(find(credential, in: ring), by: credential, dialect, address)
    }
  }

  private func find(_ credential: Credential, in ring: KeyRing) -> KeyRing.Finding {
    switch credential {
    case .secret(let digest), .password(let digest): ring.find(digest, at: now())
    case .certificate(let digest): ring.find(certificate: digest, at: now())
    }
  }

  /// Looked up once for a connection.
  private func address(of head: borrowing RequestHead) -> Account {
    head.connectionValue { addresses.account(of: $0.network) }
  }

  /// The grant as it is now, for a connection that lives on: the key's limits may have changed, it may have expired or been
  /// revoked, and what it was found by may be another key's or nobody's.
  package func renew(_ grant: Grant, dialect: String) -> Result<Grant, Refusal> {
    guard let ring, let key = grant.key, let credential = grant.credential else { return .success(grant) }
    let finding = find(credential, in: ring)
    if case .valid(let found) = finding, found.key.id != key.key.id { return .failure(refuse(.unknown)) }
    return admit(finding, by: credential, dialect, grant.address)
  }

  private func admit(
    _ finding: KeyRing.Finding, by credential: Credential, _ dialect: String?, _ address: Account?
  ) -> Result<Grant, Refusal> {
    switch finding {
    case .unknown: return .failure(refuse(.unknown))
    case .expired: return .failure(refuse(.expired))
    case .revoked: return .failure(refuse(.revoked))
    case .valid(let key):
      if let dialect, !key.mayUse(dialect: dialect) { return .failure(refuse(.dialect, Self.forbidden(dialect))) }
      key.account.lastUsed.store(now(), ordering: .relaxed)
      return .success(Grant(key, by: credential, address: address, self))
    }
  }

  /// Counts readings that were refused because of their device.
  func countForbidden(devices count: Int) { refusals[.device]?.increment(by: count) }

  /// Whether nobody is let in without a key.
  var asksForKeys: Bool { ring != nil }

  // MARK: Rates

  private typealias Limit = (name: String, account: Account, policy: RatePolicy)

  /// What limits a grant: the address's rate, and the key's.
  private func limits(of grant: Grant) -> (address: Limit?, key: Limit?) {
    let address = addressPolicy.flatMap { policy in grant.address.map { ("address", $0, policy) } }
    let key = grant.key.flatMap { key in key.policy.map { ("key", key.account, $0) } }
    return (address, key)
  }

  func take(_ count: Int, of grant: Grant) -> Refusal? {
    let (address, key) = limits(of: grant)
    if let address, let refusal = take(count, of: address) { return refusal }
    guard let key, let refusal = take(count, of: key) else { return nil }
    if let address { give(count, to: address) }
    return refusal
  }

  /// Takes as many readings as there are, up to that many.
  /// - Returns: how many; never a refusal, for who asks like this waits.
  func take(upTo count: Int, of grant: Grant) -> Int {
    let (address, key) = limits(of: grant)
    var taken = count
    for limit in [address, key] {
      guard let limit else { continue }
      taken = min(taken, limit.account.bucket.withLock { $0.remaining(at: clock(), limit.policy) })
    }
    // Another of the client's requests may have been faster.
    return taken > 0 && take(taken, of: grant) == nil ? taken : 0
  }

  private func take(_ count: Int, of limit: Limit) -> Refusal? {
    let now = clock()
    let (outcome, remaining) = limit.account.bucket.withLock { bucket in
      (bucket.take(count, at: now, limit.policy), bucket.remaining(at: now, limit.policy))
    }
    return switch outcome {
    case .taken: nil
    case .wait(let nanoseconds):
      refuse(.rate, Answers.tooManyRequests(limit.name, limit.policy, remaining: remaining, wait: nanoseconds))
    case .tooMany: refuse(.rate, Answers.moreThanBurst(limit.policy))
    }
  }

  func give(_ count: Int, to grant: Grant) {
    let (address, key) = limits(of: grant)
    if let address { give(count, to: address) }
    if let key { give(count, to: key) }
  }

  private func give(_ count: Int, to limit: Limit) {
    limit.account.bucket.withLock { $0.give(count, limit.policy) }
  }

  /// A refusal when there is not one reading left: before the body is read, for reading it is not free.
  func exhaustion(of grant: Grant) -> Refusal? {
    let refusal = take(1, of: grant)
    if refusal == nil { give(1, to: grant) }
    return refusal
  }

  private static func forbidden(_ dialect: String) -> Response {
    .error(403, code: "forbidden", message: "this key may not be used for \(dialect)")
  }

  private func refuse(_ reason: Refusal.Reason, _ response: Response = unauthorized) -> Refusal {
    refusals[reason]?.increment()
    return Refusal(reason: reason, response: response)
  }
}
