import Crypto
package import HTTP
package import Keys
package import Operations
import Synchronization

/// Decides who may send: by the key that a request presents, if keys are asked for at all.
package final class Authenticator: Sendable {
  /// nil: everybody may send everything.
  private let ring: KeyRing?
  private let now: @Sendable () -> Int64
  private let clock: @Sendable () -> Int64
  private let refusals: [Refusal.Reason: Counter]

  /// One text for all that is wrong with a key, so that nobody can find out which keys there were.
  private static let unauthorized = Response.error(
    401, code: "unauthorized",
    message: "a valid key is needed: Authorization: Bearer slk_…, or X-API-Key: slk_…, or Basic authentication with the "
      + "key as password",
    headers: [("WWW-Authenticate", "Bearer realm=\"sluice\", Basic realm=\"sluice\", charset=\"UTF-8\"")]
  ).prepared()

  /// - Parameters:
  ///   - ring: nil: no key is asked for.
  ///   - now: milliseconds since 1970.
  ///   - clock: nanoseconds of a clock that never goes back.
  package init(
    ring: KeyRing?, metrics: Metrics, now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds,
    clock: @escaping @Sendable () -> Int64 = Clock.monotonicNanoseconds
  ) {
    self.ring = ring
    self.now = now
    self.clock = clock
    let family = metrics.counters(
      "sluice_auth_refused_total", "Requests, and items of requests, that their key does not allow.",
      labels: ["reason"])
    refusals = Dictionary(uniqueKeysWithValues: Refusal.Reason.allCases.map { ($0, family.with($0.rawValue)) })
  }

  /// What the client of a request may do; 401 when its key is missing or good for nothing, 403 when it is not for this
  /// dialect.
  ///
  /// - Parameters:
  ///   - dialect: what the body is written in, as it stands in the keys file.
  ///   - places: where else than in `Authorization` and `X-API-Key` this dialect's clients put their key.
  package func authenticate(
    _ head: borrowing RequestHead, dialect: String, places: CredentialPlaces = []
  ) -> Result<Grant, Refusal> {
    guard let ring else { return .success(Grant(nil, self)) }
    switch Credentials.presented(head, in: places) {
    case .nothing: return .failure(refuse(.missing))
    case .other: return .failure(refuse(.unknown))
    case .secret(let digest): return admit(ring.find(digest, at: now()), dialect)
    }
  }

  /// The grant as it is now, for a connection that lives on: the key's limits may have changed, and it may have expired or
  /// been revoked.
  package func renew(_ grant: Grant, dialect: String) -> Result<Grant, Refusal> {
    guard let ring, let key = grant.key else { return .success(grant) }
    return admit(ring.find(id: key.key.id, at: now()), dialect)
  }

  private func admit(_ finding: KeyRing.Finding, _ dialect: String) -> Result<Grant, Refusal> {
    switch finding {
    case .unknown: return .failure(refuse(.unknown))
    case .expired: return .failure(refuse(.expired))
    case .revoked: return .failure(refuse(.revoked))
    case .valid(let key):
      guard key.mayUse(dialect: dialect) else { return .failure(refuse(.dialect, Self.forbidden(dialect))) }
      key.usage.lastUsed.store(now(), ordering: .relaxed)
      return .success(Grant(key, self))
    }
  }

  /// Counts readings that were refused because of their device.
  func countForbidden(devices count: Int) { refusals[.device]?.increment(by: count) }

  func take(_ count: Int, for key: LiveKey?) -> Refusal? {
    guard let key, let policy = key.policy else { return nil }
    let now = clock()
    let (outcome, remaining) = key.usage.bucket.withLock { bucket in
      (bucket.take(count, at: now, policy), bucket.remaining(at: now, policy))
    }
    return switch outcome {
    case .taken: nil
    case .wait(let nanoseconds):
      refuse(.rate, Answers.tooManyRequests("key", policy, remaining: remaining, wait: nanoseconds))
    case .tooMany: refuse(.rate, Answers.moreThanBurst(policy))
    }
  }

  func give(_ count: Int, for key: LiveKey?) {
    guard let key, let policy = key.policy else { return }
    key.usage.bucket.withLock { $0.give(count, policy) }
  }

  private static func forbidden(_ dialect: String) -> Response {
    .error(403, code: "forbidden", message: "this key may not be used for \(dialect)")
  }

  private func refuse(_ reason: Refusal.Reason, _ response: Response = unauthorized) -> Refusal {
    refusals[reason]?.increment()
    return Refusal(reason: reason, response: response)
  }
}
