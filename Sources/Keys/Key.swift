package import Crypto

/// A key: who it was made for, what it may do, and how it is recognised. Times are milliseconds since 1970.
package struct Key: Sendable, Equatable {
  /// A digest that is still accepted after a rotation.
  package struct Previous: Sendable, Equatable {
    package var hash: Digest
    package var until: Int64

    package init(hash: Digest, until: Int64) {
      self.hash = hash
      self.until = until
    }
  }

  /// Short and public; it never changes.
  package var id: String
  package var name: String
  /// Of the secret.
  package var hash: Digest
  package var created: Int64
  package var expires: Int64?
  /// Devices that it may write.
  package var devices: [String] = []
  /// It may write all devices whose names begin with one of these; with the empty one all there are.
  package var prefixes: [String] = []
  /// Dialects that it may use; empty: all.
  package var dialects: [String] = []
  /// Readings per second in the long run; nil: without limit.
  package var rate: Double?
  /// Readings at once, after a silence.
  package var burst: Int?
  /// SHA-256 of client certificates (DER) that stand for the secret.
  package var certificates: [Digest] = []
  /// Digests of earlier secrets.
  package var previous: [Previous] = []
  package var revoked: Int64?

  package init(id: String, name: String, hash: Digest, created: Int64) {
    self.id = id
    self.name = name
    self.hash = hash
    self.created = created
  }

  /// What a key is good for at some time.
  package enum State: String, Sendable { case valid, expired, revoked }

  package func state(at now: Int64) -> State {
    if revoked != nil { return .revoked }
    if let expires, expires <= now { return .expired }
    return .valid
  }

  /// The limit of its rate; nil: none.
  package var policy: RatePolicy? {
    rate.map { RatePolicy(rate: $0, burst: burst ?? RatePolicy.usualBurst(of: $0)) }
  }

  /// What is wrong with it; nil when nothing is.
  package var problem: String? {
    if id.isEmpty || id.utf8.count > 32 || !id.utf8.allSatisfy(Self.isIdentifier) {
      return "id must be 1 to 32 of a-z 0-9"
    }
    if name.isEmpty || name.utf8.count > 128 || name.unicodeScalars.contains(where: { $0.properties.isControl }) {
      return "name must be 1 to 128 bytes on one line"
    }
    for device in devices where !Self.isDevice(device) { return "devices: \"\(device)\" is no device" }
    for prefix in prefixes where !(prefix.isEmpty || Self.isDevice(prefix)) {
      return "prefixes: no device begins with \"\(prefix)\""
    }
    if let rate, !RatePolicy.rates.contains(rate) {
      return "rate must be \(RatePolicy.rates.lowerBound) to \(Int(RatePolicy.rates.upperBound)) readings per second"
    }
    if let burst, rate == nil || !RatePolicy.bursts.contains(burst) {
      return rate == nil ? "burst is there without rate" : "burst must be 1 to \(RatePolicy.bursts.upperBound) readings"
    }
    return nil
  }

  private static func isIdentifier(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// The rule that readings have for their devices.
  private static func isDevice(_ text: String) -> Bool {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      isIdentifier(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
    guard let first = text.utf8.first, isAlphanumeric(first), text.utf8.count <= 128 else { return false }
    return text.utf8.allSatisfy { isAlphanumeric($0) || "._:/-".utf8.contains($0) }
  }
}

extension Unicode.Scalar.Properties {
  fileprivate var isControl: Bool {
    switch generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
