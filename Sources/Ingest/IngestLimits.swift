package import Readings

/// The limits of requests.
package struct IngestLimits: Sendable {
  /// Bytes of one body, also when unpacked.
  package var body: Int
  /// Readings of one body.
  package var readings: Int
  /// Bytes of bodies that all requests together may hold.
  package var memory: Int
  /// When readings may have been measured.
  package var bounds: TimeBounds

  package init(body: Int, readings: Int, memory: Int, bounds: TimeBounds) {
    self.body = body
    self.readings = readings
    self.memory = memory
    self.bounds = bounds
  }
}
