/// How many messages to take at once: as many as there are, until Kafka cannot keep up.
///
/// A batch that Kafka does not take as a whole comes again as a whole. Were it as large again, a Kafka that is slow, or
/// that takes no requests of that size, would never get through one, and would store parts of it over and over.
struct BatchLimit: Equatable {
  let maximum: Int
  private(set) var current: Int

  /// - Parameter maximum: at least 1; less is taken as 1.
  init(maximum: Int) {
    self.maximum = max(1, maximum)
    current = self.maximum
  }

  /// A batch went through: the next may be a sixteenth larger. Eleven go through until it is twice as much again, which
  /// may be too much again.
  mutating func succeeded() {
    let step = max(1, current / 16)
    current = current > maximum - step ? maximum : current + step
  }

  /// A batch of that many did not: the next is at most half of it.
  mutating func failed(count: Int) { current = min(current, max(1, count / 2)) }
}
