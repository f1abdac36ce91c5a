import MongoDB

/// What the readings of one sensor come to in some time: counts, sums and extremes that can be put together.
struct Summary: Equatable {
  /// After how many seconds a reading is late; each is counted.
  static let delays: [Int64] = [10, 60, 300, 3_600, 86_400]

  /// Readings with numbers and with texts.
  var readings: Int64
  /// Those with numbers, `true` and `false` among them.
  var numbers: Int64
  var sum: Double
  /// The sum of the numbers' squares.
  var squares: Double
  var min: Double
  var max: Double
  var isBoolean: Bool
  /// When the first and last of them were measured, in milliseconds since 1970.
  var first: Int64
  var last: Int64
  /// Milliseconds from measurement to arrival: of all together, the least, and the most.
  var lag: Int64
  var leastLag: Int64
  var mostLag: Int64
  /// How many came later than each of `delays`.
  var delayed: [Int64]

  /// Adds what came at another time.
  mutating func add(_ other: Summary) {
    if other.numbers > 0 {
      min = numbers > 0 ? Swift.min(min, other.min) : other.min
      max = numbers > 0 ? Swift.max(max, other.max) : other.max
    }
    readings += other.readings
    numbers += other.numbers
    sum += other.sum
    squares += other.squares
    isBoolean = isBoolean || other.isBoolean
    first = Swift.min(first, other.first)
    last = Swift.max(last, other.last)
    lag += other.lag
    leastLag = Swift.min(leastLag, other.leastLag)
    mostLag = Swift.max(mostLag, other.mostLag)
    for index in delayed.indices { delayed[index] += other.delayed[index] }
  }

  /// The usual seconds between two readings, of the summaries of successive hours: the median of their own means and of what
  /// lies between them; nil when there is only one reading.
  static func usualInterval(_ hours: [Summary]) -> Double? {
    var gaps: [Double] = []
    for (index, hour) in hours.enumerated() {
      if index > 0 { gaps.append(Double(hour.first - hours[index - 1].last)) }
      if hour.readings > 1 { gaps.append(Double(hour.last - hour.first) / Double(hour.readings - 1)) }
    }
    return gaps.isEmpty ? nil : gaps.sorted()[gaps.count / 2] / 1_000
  }
}

extension Summary {
  /// The accumulators of a `$group` over readings.
  static let accumulators: [(String, BSONValue)] = {
    let lag: BSONValue = ["$dateDiff": ["startDate": "$ts", "endDate": "$received", "unit": "millisecond"]]
    let delayed = delays.map { delay -> (String, BSONValue) in
      ("s\(delay)", ["$sum": ["$cond": [["$gt": [lag, .int64(delay * 1_000)]], 1, 0]]])
    }
    return [
      ("readings", ["$sum": 1]), ("n", ["$sum": ["$cond": [["$gt": ["$value", .null]], 1, 0]]]),
      ("sum", ["$sum": "$value"]), ("squares", ["$sum": ["$multiply": ["$value", "$value"]]]),
      ("min", ["$min": "$value"]), ("max", ["$max": "$value"]), ("boolean", ["$max": "$boolean"]),
      ("first", ["$min": "$ts"]), ("last", ["$max": "$ts"]),
      ("lag", ["$sum": lag]), ("lagMin", ["$min": lag]), ("lagMax", ["$max": lag]),
    ] + delayed
  }()

  /// Reads what `accumulators` or `fields` made; nil when it is neither.
  init?(_ document: BSONDocument) {
    guard let readings = document["readings"]?.int, let first = document["first"]?.date,
      let last = document["last"]?.date, let leastLag = document["lagMin"]?.int, let mostLag = document["lagMax"]?.int,
      let lag = document["lag"]?.int
    else { return nil }
    self.readings = readings
    numbers = document["n"]?.int ?? 0
    sum = document["sum"]?.double ?? 0
    squares = document["squares"]?.double ?? 0
    min = document["min"]?.double ?? 0
    max = document["max"]?.double ?? 0
    isBoolean = document["boolean"]?.bool ?? false
    self.first = first
    self.last = last
    self.lag = lag
    self.leastLag = leastLag
    self.mostLag = mostLag
    delayed = Self.delays.map { document["s\($0)"]?.int ?? 0 }
  }

  /// Everything, as fields of a document.
  var fields: [(String, BSONValue)] {
    var fields: [(String, BSONValue)] = [("readings", .int64(readings))]
    if numbers > 0 { fields += mean + [("min", .double(min)), ("max", .double(max)), ("squares", .double(squares))] }
    if isBoolean { fields.append(("boolean", true)) }
    fields += [
      ("first", .date(first)), ("last", .date(last)), ("lag", .int64(lag)), ("lagMin", .int64(leastLag)),
      ("lagMax", .int64(mostLag)),
    ]
    return fields + zip(Self.delays, delayed).map { ("s\($0)", .int64($1)) }
  }

  /// What a mean is made of.
  var mean: [(String, BSONValue)] { [("n", .int64(numbers)), ("sum", .double(sum))] }
}
