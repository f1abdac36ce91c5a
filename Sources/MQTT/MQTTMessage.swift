/// A message from the broker, copied out of the library.
package struct MQTTMessage: Sendable, Equatable {
  /// The topic; the library has checked that it is UTF-8 without control characters.
  package var topic: String
  /// The payload byte for byte; may be empty.
  package var payload: [UInt8]
  /// 0 or 1 (2 only when another client subscribed in this session's name with QoS 2).
  package var qos: Int
  /// Whether the broker had kept it from before the subscription (RETAIN).
  package var isRetained: Bool
  /// The packet identifier, 0 for QoS 0; says nothing beyond this connection.
  package var mid: Int

  /// About how much memory it takes: with a topic and a payload of a few bytes each still this much.
  package var byteCount: Int { 128 + topic.utf8.count + payload.count }

  package init(topic: String, payload: [UInt8], qos: Int = 1, isRetained: Bool = false, mid: Int = 0) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.isRetained = isRetained
    self.mid = mid
  }
}
