/// What is to become of a letter that somebody wants to put back.
package enum RedriveDecision {
  /// A message for the topic of the readings.
  package struct Outgoing {
    package var key: [UInt8]?
    package var value: [UInt8]?
    package var headers: [(String, [UInt8]?)]
  }

  /// Why a letter is passed over: there is nothing to do.
  package enum Skip: String, CaseIterable, Sendable {
    case alreadyPutBack = "already_put_back"
    /// Another letter of the same message was.
    case sameMessage = "same_message"
  }

  /// Why a letter cannot be put back.
  package enum Refusal: String, CaseIterable, Sendable {
    case truncated
    case otherTopic = "other_topic"
    case noOrigin = "no_origin"
    case maximumRedrives = "max_redrives"
    /// An MQTT message that is no reading, also to this version with these settings.
    case notUnderstood = "not_understood"
    /// Kafka does not take it.
    case tooLarge = "too_large"
  }

  case putBack([Outgoing])
  case skipped(Skip, detail: String)
  case refused(Refusal, detail: String)
}
