package import Chunks
package import Dialects
package import Readings

/// What is imported, and how.
package struct ImportPlan: Sendable {
  /// `-` is standard input.
  package var files: [String]
  /// Nil guesses it for each file.
  package var dialect: RecordDialect?
  /// Which column of a CSV file is what.
  package var mapping: CSVMapping
  /// Of readings that name none.
  package var device: String?
  /// Where it is kept how far each file has come; nil for nowhere.
  package var stateFile: String?
  package var bounds: TimeBounds
  /// How long Kafka may acknowledge nothing; nil waits for ever.
  package var timeout: Duration?
  /// How long what is under way is waited for when a stop is asked for.
  package var stopTimeout: Duration

  package init(files: [String], mapping: CSVMapping, bounds: TimeBounds, stopTimeout: Duration) {
    self.files = files
    self.mapping = mapping
    self.bounds = bounds
    self.stopTimeout = stopTimeout
  }
}
