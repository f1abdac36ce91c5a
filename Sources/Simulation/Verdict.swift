import HTTPClient
import JSON

/// What an answer of the HTTP API, or its absence, says about the readings that were sent.
struct Verdict: Equatable {
  enum Fate: Equatable {
    case accepted
    /// For what it is: repeating it is of no use.
    case invalid
    /// Certainly not accepted, and not for what it is: it may be sent again.
    case turnedAway
    /// It may have been accepted.
    case unknown
  }

  /// Of each reading in its order.
  let fates: [Fate]
  /// What no sound server answers to sound readings.
  var complaint: String?

  private init(all fate: Fate, _ count: Int, complaint: String? = nil) {
    fates = Array(repeating: fate, count: count)
    self.complaint = complaint
  }

  private init(fates: [Fate], complaint: String?) {
    self.fates = fates
    self.complaint = complaint
  }

  /// Of readings that were not sent at all.
  static func notSent(_ count: Int, complaint: String) -> Verdict {
    Verdict(all: .turnedAway, count, complaint: complaint)
  }

  /// From a complete answer.
  /// - Parameter count: how many readings were sent.
  init(_ response: HTTPResponse, count: Int, parser: JSONParser) {
    self.init(status: response.status, body: response.body, count: count, parser: parser)
  }

  init(status: Int, body: [UInt8], count: Int, parser: JSONParser) {
    let complaint = { (what: String) in "\(what): \(status) \(String(decoding: body.prefix(300), as: UTF8.self))" }
    let answer = Answer(body, parser)
    switch status {
    case 202:
      if let accepted = answer?.accepted, accepted != count {
        self.init(all: .unknown, count, complaint: complaint("\(count) readings were sent"))
      } else {
        self.init(all: .accepted, count)
      }
    case 207:
      guard let answer, answer.accepted == count - answer.failures.count,
        answer.failures.allSatisfy({ (0..<count).contains($0.index) })
      else {
        self.init(all: .unknown, count, complaint: complaint("\(count) readings were sent"))
        return
      }
      var fates = Array(repeating: Fate.accepted, count: count)
      var hasInvalid = false
      for failure in answer.failures {
        // A failure that names no member is Kafka's, and may yet turn out a success.
        fates[failure.index] = failure.hasField ? .invalid : .unknown
        if failure.hasField { hasInvalid = true }
      }
      self.init(fates: fates, complaint: hasInvalid ? complaint("refused") : nil)
    case 503:
      // Only the server's own words say that nothing was taken; a proxy's do not.
      self.init(all: answer?.code == "unavailable" ? .turnedAway : .unknown, count)
    case 408, 429: self.init(all: .turnedAway, count)
    case 400...499: self.init(all: .invalid, count, complaint: complaint("refused"))
    default: self.init(all: .unknown, count, complaint: complaint("unexpected answer"))
    }
  }

  /// From a request without an answer.
  init(_ error: HTTPClientError, count: Int) {
    switch error.code {
    case .unreachable: self.init(all: .turnedAway, count)
    case .timeout, .broken: self.init(all: .unknown, count)
    case .badRequest, .tls: self.init(all: .turnedAway, count, complaint: error.message)
    default: self.init(all: .unknown, count, complaint: error.message)
    }
  }
}

/// The members of an answer that matter.
private struct Answer {
  var accepted: Int?
  var code: String?
  var failures: [(index: Int, hasField: Bool)] = []

  init?(_ body: [UInt8], _ parser: JSONParser) {
    do {
      self = try body.withUnsafeBytes { try parser.parse(copying: $0) { root in Answer(root) } }
    } catch { return nil }
  }

  private init(_ root: JSONValue) {
    accepted = root["accepted"]?.integer.map { Int($0) }
    if let text = root["error"]?["code"]?.string { code = String(decoding: text, as: UTF8.self) }
    guard let errors = root["errors"] else { return }
    for error in errors.elements {
      // Without an index nobody knows which reading it is; -1 is none.
      failures.append((Int(error["index"]?.integer ?? -1), error["field"]?.string.map { !$0.isEmpty } ?? false))
    }
  }
}
