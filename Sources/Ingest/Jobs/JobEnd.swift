/// Why a job ended before all of it was read and accounted for.
enum JobEnd: Error, Equatable {
  case cancelled
  /// The process is to end.
  case stopped
  /// The client went away.
  case gone
  case silent(Duration)
  /// The bytes are not what they are said to be.
  case broken(String)
  /// Kafka took nothing for too long, or refuses what no repeat would change.
  case kafka(String)
  /// The key that made it is good for nothing any more.
  case key
  /// What was to be fetched cannot be had.
  case unreachable(String)

  /// For people.
  var reason: String {
    switch self {
    case .cancelled: "the job was cancelled"
    case .stopped: "sluice is stopping; send it again, with the same Idempotency-Key what is stored is left out"
    case .gone: "the client went away before the body was complete"
    case .silent(let time): "nothing came for \(time)"
    case .broken(let reason), .kafka(let reason), .unreachable(let reason): reason
    case .key: "the key is not valid any more"
    }
  }
}
