package import Readings

/// The limits of requests.
package struct IngestLimits: Sendable {
  /// Bytes of one body, also when unpacked.
  package let body: Int
  /// Readings of one body.
  package let readings: Int
  /// Bytes of bodies that all requests together may hold.
  package let memory: Int
  /// Readings of all requests together that may wait for Kafka.
  package let waiting: Int
  /// When readings may have been measured.
  package let bounds: TimeBounds

  /// A body is limited to `memory` and `waiting` too: one that never fits must not be told to come again.
  package init(body: Int, readings: Int, memory: Int, waiting: Int = .max, bounds: TimeBounds) {
    self.body = min(body, memory)
    self.readings = min(readings, waiting)
    self.memory = memory
    self.waiting = waiting
    self.bounds = bounds
  }
}
