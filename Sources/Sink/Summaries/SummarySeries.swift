import MongoDB

/// A device's sensor on a day: which documents of `summaries` it has, and what is written to them.
struct SummarySeries {
  enum Kind: String {
    /// All of each hour.
    case hours
    /// Number and sum of each hour, and nothing else, for queries that read many.
    case profile
    /// The whole day.
    case day
  }

  let device: String
  let sensor: String
  /// Days since 1970, in UTC.
  let day: Int64

  /// The name of an hour in what a day has.
  static func slot(_ hour: Int64) -> String { hour < 10 ? "h0\(hour)" : "h\(hour)" }

  /// How the `_id` begins of what a day, or a device on a day, has. What follows is behind a `|`, which no name contains.
  static func prefix(_ kind: Kind, day: Int64, device: String?) -> String {
    "\(kind.rawValue)|\(day)" + (device.map { "|\($0)" } ?? "")
  }

  /// Appends the updates that bring an hour up to date.
  func append(_ summary: Summary, hour: Int64, to statements: inout BSONBatch) {
    let slot = Self.slot(hour)
    if summary.numbers > 0 {
      append(.profile, [(slot, .document(BSONDocument(summary.mean)))], to: &statements)
    }
    append(.hours, [(slot, .document(BSONDocument(summary.fields)))], to: &statements)
  }

  /// Appends the update that brings the day up to date, from its hours in their order.
  func append(day hours: [Summary], to statements: inout BSONBatch) {
    guard var day = hours.first else { return }
    for hour in hours.dropFirst() { day.add(hour) }
    let every = Summary.usualInterval(hours).map { [("every", BSONValue.double($0))] } ?? []
    append(.day, day.fields + every, to: &statements)
  }

  private func append(_ kind: Kind, _ fields: [(String, BSONValue)], to statements: inout BSONBatch) {
    let start = day * SummaryPlan.day * SummaryPlan.hour
    let set: [(String, BSONValue)] = [
      ("kind", .string(kind.rawValue)), ("meta", ["device": .string(device), "sensor": .string(sensor)]),
      ("ts", .date(start)), ("until", .date(start + SummaryPlan.day * SummaryPlan.hour)),
    ]
    statements.appendUpdate(
      filter: ["_id": .string(Self.prefix(kind, day: day, device: device) + "|\(sensor)")],
      update: ["$set": .document(BSONDocument(set + fields))], upsert: true)
  }
}
