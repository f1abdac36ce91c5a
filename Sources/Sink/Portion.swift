/// How many statements a command has, so that the database answers it in time whatever it takes for one: a command that is
/// always too long would be repeated for ever. What a command takes however few it has is no reason for fewer.
struct Portion {
  static let limit = 10_000
  /// What the statements of a command may take: where they take longer, shorter commands follow, and otherwise longer ones.
  static let duration: Duration = .seconds(1)
  /// After so many commands of one statement that took too long it is tried whether two take longer.
  private static let patience = 20

  private(set) var count = 1_000
  /// What a command takes whatever it has, as two of different lengths tell.
  private var fixed: Duration = .zero
  /// A command that took too long, until one of another length tells whether its statements were to blame.
  private var suspect: (statements: Int, duration: Duration)?
  /// How many of one statement took too long.
  private var singles = 0

  /// Notes how long a command with so many statements took.
  mutating func answered(_ statements: Int, after duration: Duration) {
    // Lengths that hardly differ tell nothing.
    if let known = suspect, statements <= known.statements * 3 / 4 || known.statements <= statements * 3 / 4 {
      let each = max(.zero, (known.duration - duration) / (known.statements - statements))
      fixed = max(.zero, duration - each * statements)
      suspect = nil
    }
    fixed = min(fixed, duration)
    let own = duration - fixed
    if own > Self.duration {
      suspect = (statements, duration)
      if statements > 1 {
        count = statements / 2
      } else {
        singles += 1
        count = singles % Self.patience == 0 ? 2 : 1
      }
    } else if statements == count {
      count = min(Self.limit, own < Self.duration / 2 ? count * 2 : count + max(1, count / 4))
    }
  }

  /// Notes that a command with so many statements was not answered.
  mutating func failed(_ statements: Int) {
    count = max(1, statements / 4)
    fixed = .zero
    suspect = nil
  }
}
