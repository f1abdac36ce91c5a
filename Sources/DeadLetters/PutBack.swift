import Publishing

/// What was put back already, as far as the markers say. Its memory is bounded by the number of letters that the topic
/// has, and by ``originPages``.
struct PutBack {
  /// Pages for messages' origins, at most: 256 MiB.
  static let originPages = 1 << 19

  /// By partition of the dead-letter topic.
  private var letters: [Int32: OffsetBitmap] = [:]
  /// By the hour in which they were put back, for there are many times and few hours, and by the partition of the topic
  /// that they came from.
  private var origins: [Int64: [Int32: OffsetBitmap]] = [:]
  private var originPageCount = 0

  init() {}

  /// Whether a letter was put back.
  func contains(_ place: Letter.Place) -> Bool { letters[place.partition]?.contains(place.offset) ?? false }

  /// Whether a message was put back, by this letter or another.
  /// - Parameter received: when Sluice got it, in milliseconds since 1970: what was put back before that is another one, of
  ///   a topic that had this name. Nil when nobody knows.
  func contains(_ origin: DeadLetter.Origin, received: Int64?) -> Bool {
    // Clocks that are set differ by less than a minute.
    let earliest = received.map { Self.hour($0 - 60_000) } ?? .min
    return origins.contains { $0.key >= earliest && $0.value[origin.partition]?.contains(origin.offset) ?? false }
  }

  /// Notes what a marker says.
  /// - Parameters:
  ///   - place: of the marker; it can only speak of letters before it.
  ///   - time: when it was written, in milliseconds since 1970; nil when nobody knows.
  ///   - low: the first offset that its partition still has.
  ///   - originEnds: how far the partitions go that messages came from; whatever a marker says, there are no others.
  /// - Returns: false when there is no more room.
  mutating func note(
    _ marker: RedriveMarker, at place: Letter.Place, time: Int64?, low: Int64, originEnds: [Int32: Int64]
  ) -> Bool {
    let hour = Self.hour(time ?? .max)
    for range in marker.offsets {
      let range = range.clamped(to: 0...max(place.offset - 1, 0))
      guard place.offset > 0, range.upperBound >= low else { continue }
      for offset in max(range.lowerBound, low)...range.upperBound {
        letters[place.partition, default: OffsetBitmap()].insert(offset)
      }
    }
    for (partition, ranges) in marker.origins {
      let end = originEnds[partition] ?? 0
      for range in ranges where range.lowerBound < end {
        for offset in range.lowerBound...min(range.upperBound, end - 1) {
          guard note(partition, offset, hour) else { return false }
        }
      }
    }
    return true
  }

  /// Notes that a message is put back.
  /// - Parameter time: in milliseconds since 1970.
  /// - Returns: false when there is no more room.
  mutating func note(_ origin: DeadLetter.Origin, time: Int64) -> Bool {
    note(origin.partition, origin.offset, Self.hour(time))
  }

  private mutating func note(_ partition: Int32, _ offset: Int64, _ hour: Int64) -> Bool {
    guard originPageCount < Self.originPages else { return false }
    let before = origins[hour]?[partition]?.pageCount ?? 0
    origins[hour, default: [:]][partition, default: OffsetBitmap()].insert(offset)
    originPageCount += origins[hour]![partition]!.pageCount - before
    return true
  }

  private static func hour(_ time: Int64) -> Int64 { time / 3_600_000 }
}
