import Kafka
import Operations

/// Why the dead letters cannot be read or put back: one line that says what to do.
package struct DeadLettersError: Error, Sendable, CustomStringConvertible {
  package let description: String
  /// Whether Kafka's settings are wrong.
  package let isMisconfiguration: Bool

  package init(_ description: String) { self.init(description, isMisconfiguration: false) }

  private init(_ description: String, isMisconfiguration: Bool) {
    self.description = description
    self.isMisconfiguration = isMisconfiguration
  }

  static func kafka(_ error: KafkaError) -> DeadLettersError {
    error.isMisconfiguration
      ? DeadLettersError("\(Setting.kafkaConfig.name): \(error.message)", isMisconfiguration: true)
      : DeadLettersError("Kafka: \(error)")
  }
}
