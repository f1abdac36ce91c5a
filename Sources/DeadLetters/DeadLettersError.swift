import Kafka

/// Why the dead letters cannot be read or put back: one line that says what to do.
package struct DeadLettersError: Error, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }

  static func kafka(_ error: KafkaError) -> DeadLettersError { DeadLettersError("Kafka: \(error)") }
}
