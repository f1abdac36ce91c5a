/// How many statements a command has, so that the database answers it in time whatever it takes for one: a command that is
/// always too long would be repeated for ever.
struct Portion {
  static let limit = 10_000
  /// A command that takes longer is followed by a shorter one; one that takes less than a quarter of it by a longer one.
  static let duration: Duration = .seconds(1)

  private(set) var count = 1_000

  /// Notes how long a command with so many statements took.
  mutating func answered(_ statements: Int, after duration: Duration) {
    if duration > Self.duration {
      count = max(1, statements / 2)
    } else if statements == count && duration < Self.duration / 4 {
      count = min(Self.limit, count * 2)
    }
  }

  /// Notes that a command with so many statements was not answered.
  mutating func failed(_ statements: Int) { count = max(1, statements / 4) }
}
