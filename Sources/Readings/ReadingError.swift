/// Why something is not a reading.
package struct ReadingError: Error, Equatable, CustomStringConvertible {
  /// A short name for machines: the reason in a dead letter's headers, a label of a metric.
  package enum Code: String, CaseIterable, Sendable {
    /// Not JSON at all.
    case malformed
    /// JSON, but not an object, or a member of the wrong type.
    case shape
    /// A required member is absent.
    case missing
    /// A member that the contract does not know.
    case unknown
    /// A member appears twice.
    case repeated
    /// A value outside the rules.
    case invalid
    /// Measured further ahead than clocks may differ.
    case future
    /// Measured longer ago than readings are kept.
    case expired
    /// Of a device that its sender may not write.
    case forbidden
  }

  package var code: Code
  /// The member at fault; empty when it is the whole.
  package var field: String
  /// A sentence that says what is wrong and what is accepted.
  package var reason: String

  package init(_ code: Code, field: String, _ reason: String) {
    self.code = code
    self.field = field
    self.reason = reason
  }

  package var description: String { field.isEmpty ? reason : "\(field): \(reason)" }
}
