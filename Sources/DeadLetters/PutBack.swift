import Publishing

/// What was put back already, as far as the markers say. Its memory is bounded by the number of letters that the topic
/// has, and by ``originPages``.
struct PutBack {
  /// Pages for messages' origins, at most: 256 MiB.
  static let originPages = 1 << 19

  /// By partition of the dead-letter topic.
  private var letters: [Int32: OffsetBitmap] = [:]
  /// By partition of the topic that they came from.
  private var origins: [Int32: OffsetBitmap] = [:]
  private var originPageCount = 0

  init() {}

  /// Whether a letter was put back.
  func contains(_ place: Letter.Place) -> Bool { letters[place.partition]?.contains(place.offset) ?? false }

  /// Whether a message was put back, by this letter or another.
  func contains(_ origin: DeadLetter.Origin) -> Bool {
    origins[origin.partition]?.contains(origin.offset) ?? false
  }

  /// Notes what a marker says.
  /// - Parameters:
  ///   - place: of the marker; it can only speak of letters before it.
  ///   - low: the first offset that its partition still has.
  ///   - originEnds: how far the partitions go that messages came from; whatever a marker says, there are no others.
  /// - Returns: false when there is no more room.
  mutating func note(
    _ marker: RedriveMarker, at place: Letter.Place, low: Int64, originEnds: [Int32: Int64]
  ) -> Bool {
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
          guard note(partition, offset) else { return false }
        }
      }
    }
    return true
  }

  /// Notes that a message is put back now.
  /// - Returns: false when there is no more room.
  mutating func note(_ origin: DeadLetter.Origin) -> Bool { note(origin.partition, origin.offset) }

  private mutating func note(_ partition: Int32, _ offset: Int64) -> Bool {
    guard originPageCount < Self.originPages else { return false }
    let before = origins[partition]?.pageCount ?? 0
    origins[partition, default: OffsetBitmap()].insert(offset)
    originPageCount += origins[partition]!.pageCount - before
    return true
  }
}
