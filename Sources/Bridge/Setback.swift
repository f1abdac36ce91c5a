import Kafka
import MQTT

/// Why a connection is given up.
enum Setback: Error, CustomStringConvertible {
  case broker(MQTTError)
  case refused(KafkaError)
  /// Kafka did not say in time what became of a batch.
  case unanswered

  static let kafka = "kafka"

  /// Whose fault it is, as a metric's label.
  var cause: String {
    switch self {
    case .broker: "mqtt"
    case .refused, .unanswered: Self.kafka
    }
  }

  var description: String {
    switch self {
    case .broker(let error): "\(error)\(Self.hint(error))"
    case .refused(let error): "Kafka did not take a batch, which the broker will send again: \(error)"
    case .unanswered: "Kafka did not acknowledge a batch in time, which the broker will send again"
    }
  }

  /// Whether the connection ended, and nobody said why: as when another client connects under the same id.
  var isCut: Bool {
    if case .broker(let error) = self { error.kind == .connectionLost } else { false }
  }

  private static func hint(_ error: MQTTError) -> String {
    guard case .subscriptionRefused(let filter) = error.kind, filter.hasPrefix("$share/") else { return "" }
    return "; where the broker has no shared subscriptions, set SLUICE_MQTT_SHARE= (empty)"
  }
}
