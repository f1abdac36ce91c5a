import Dialects
import Publishing
import Readings

/// Decides what is to become of letters. For one thread.
final class RedriveRules {
  private let topic: String
  private let maximumRedrives: Int
  private let translation: LetterTranslation
  var putBack = PutBack()

  /// - Parameters:
  ///   - topic: the topic of the readings; nothing is put anywhere else.
  ///   - maximumRedrives: a letter that was put back so often is refused.
  ///   - bounds: when readings may have been measured, for MQTT messages: whether others are accepted is the sink's to say.
  ///   - dialects: what MQTT messages may be written in.
  init(topic: String, maximumRedrives: Int, bounds: TimeBounds, dialects: MQTTDialects = MQTTDialects()) {
    self.topic = topic
    self.maximumRedrives = maximumRedrives
    translation = LetterTranslation(bounds: bounds, dialects: dialects)
  }

  /// What is to become of a letter.
  /// - Parameter now: milliseconds since 1970.
  func decide(_ letter: Letter, now: Int64) -> RedriveDecision {
    if putBack.contains(letter.place) { return .skipped(.alreadyPutBack, detail: "a marker says so") }
    if let origin = letter.origin, origin.topic == topic, putBack.contains(origin, received: letter.received) {
      return .skipped(
        .sameMessage, detail: "message \(origin.partition):\(origin.offset) was put back from another letter")
    }
    if let bytes = letter.truncated {
      return .refused(.truncated, detail: "only its beginning was kept; the message had \(bytes) bytes")
    }
    if letter.redrives >= maximumRedrives {
      return .refused(
        .maximumRedrives,
        detail: "it was put back \(letter.redrives) times and came again; see to its reason, or raise --max-redrives")
    }
    let headers = Self.headers(of: letter)
    if let mqttTopic = letter.mqttTopic {
      return translate(letter, mqttTopic, headers, now)
    }
    guard let origin = letter.origin else {
      return .refused(
        .noOrigin, detail: "it does not say where it came from (\(DeadLetter.Header.topic)); Sluice did not write it")
    }
    guard origin.topic == topic else {
      return .refused(
        .otherTopic,
        detail: "it came from the topic \(origin.topic), not \(topic); give --kafka-topic \(origin.topic) and "
          + "--kafka-dead-letter-topic")
    }
    return .putBack([RedriveDecision.Outgoing(key: letter.key, value: letter.value, headers: headers)])
  }

  /// An MQTT message was never on the topic: what is put there are the readings that it is to this version.
  private func translate(
    _ letter: Letter, _ mqttTopic: String, _ headers: [(String, [UInt8]?)], _ now: Int64
  ) -> RedriveDecision {
    let arrival = letter.received ?? letter.time ?? now
    do throws(ReadingError) {
      let readings = try translation.readings(
        topic: mqttTopic, payload: letter.value ?? [], arrival: min(arrival, now), now: now)
      guard !readings.isEmpty else { return .refused(.notUnderstood, detail: "there is no reading in it") }
      return .putBack(
        readings.map { RedriveDecision.Outgoing(key: $0.device, value: $0.value, headers: headers) })
    } catch {
      return .refused(.notUnderstood, detail: "\(error.code.rawValue): \(error)")
    }
  }

  /// The original's headers, the number of redrives, and when it was received: what has no time of its own was measured
  /// then, and not when it was put back.
  private static func headers(of letter: Letter) -> [(String, [UInt8]?)] {
    var headers = letter.headers.filter { !$0.0.hasPrefix(DeadLetter.Header.prefix) }
    if letter.received == nil, let time = letter.time { headers.append((Letter.receivedHeader, Array("\(time)".utf8))) }
    headers.append((DeadLetter.Header.redrives, Array("\(letter.redrives + 1)".utf8)))
    return headers
  }
}
