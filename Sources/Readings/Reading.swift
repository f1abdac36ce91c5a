/// One reading of one sensor. Its texts are in the `ReadingBatch` that holds it, so that it is a plain value without
/// references.
package struct Reading: Equatable, Sendable {
  /// What was measured.
  package enum Value: Equatable, Sendable {
    /// Always finite.
    case number(Double)
    case boolean(Bool)
    case text(ByteRange)
  }

  /// Degrees east and north (WGS 84), metres above sea level.
  package struct Location: Equatable, Sendable {
    package var longitude: Double
    package var latitude: Double
    package var height: Double?

    package init(longitude: Double, latitude: Double, height: Double? = nil) {
      self.longitude = longitude
      self.latitude = latitude
      self.height = height
    }
  }

  /// A tag's name and value.
  package struct Tag: Equatable, Sendable {
    package var name: ByteRange
    package var value: ByteRange
  }

  package var device: ByteRange
  package var sensor: ByteRange
  package var value: Value
  /// Absent when empty.
  package var unit: ByteRange = .none
  /// When it was measured: milliseconds since 1970.
  package var ts: Int64
  package var location: Location?
  /// Whether `ts` is the sender's, rather than the time of arrival. It stands here, where it takes no room.
  package var isTimed = false
  /// The sender's own identity for this reading, or one made for it; absent when empty.
  package var id: ByteRange = .none
  /// Where its tags are among the batch's.
  package var firstTag: UInt32 = 0
  package var tagCount: UInt32 = 0
  /// The place of the item that it came from among those of its body.
  package var item: UInt32 = 0

  package init(device: ByteRange, sensor: ByteRange, value: Value, ts: Int64) {
    self.device = device
    self.sensor = sensor
    self.value = value
    self.ts = ts
  }
}
