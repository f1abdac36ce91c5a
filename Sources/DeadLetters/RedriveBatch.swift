import Publishing

/// Letters to be put back in one transaction.
struct RedriveBatch {
  struct Entry {
    let place: Letter.Place
    /// Where the message was on the topic; nil for one that never was there.
    let origin: DeadLetter.Origin?
    let messages: [RedriveDecision.Outgoing]
  }

  /// Messages and bytes of a transaction: what bounds its time and memory. One letter may have more.
  static let messageLimit = 2_000
  static let byteLimit = 4 << 20

  private(set) var entries: [Entry] = []
  private var messageCount = 0
  private var byteCount = 0

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    messageCount += entry.messages.count
    for message in entry.messages {
      byteCount += (message.key?.count ?? 0) + (message.value?.count ?? 0)
      byteCount += message.headers.reduce(0) { $0 + $1.0.utf8.count + ($1.1?.count ?? 0) }
    }
  }

  func isFull(letters: Int) -> Bool {
    entries.count >= letters || messageCount >= Self.messageLimit || byteCount >= Self.byteLimit
  }

  /// What says that these were put back, by partition of the dead-letter topic.
  static func markers(_ entries: some Sequence<Entry>) -> [Int32: RedriveMarker] {
    var markers: [Int32: RedriveMarker] = [:]
    for entry in entries {
      markers[entry.place.partition, default: RedriveMarker()].add(entry.place.offset, origin: entry.origin)
    }
    return markers
  }
}
