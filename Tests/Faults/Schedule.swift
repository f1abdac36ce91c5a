import Simulation

/// What is done to some processes at once, and for how long.
struct Fault: Hashable, Sendable, CustomStringConvertible {
  enum Kind: String, Sendable {
    /// SIGKILL, and started again.
    case kill
    /// SIGSTOP, and SIGCONT.
    case freeze
    /// SIGSTOP, then SIGKILL: what slept never wakes to tidy up.
    case freezeThenKill = "freeze, then kill"
  }

  struct Action: Hashable, Sendable {
    let target: Target
    let kind: Kind
  }

  let actions: [Action]
  /// How long the processes are gone or frozen, in milliseconds.
  let duration: Int
  /// How long all is left in peace afterwards, in milliseconds.
  let pause: Int

  var description: String { actions.map { "\($0.kind.rawValue) \($0.target)" }.joined(separator: " + ") }
}

/// Which faults come one after another: the same for the same seed. In each round every process is killed and frozen, and
/// every pair has its turn.
struct Schedule: Sequence, IteratorProtocol, Sendable {
  private var generator: SeededGenerator
  private var round: [[Fault.Action]] = []
  /// How many faults a round has.
  static let roundLength = singles.count + 10

  private static let singles: [[Fault.Action]] = Target.all.flatMap { target in
    [[.init(target: target, kind: .kill)], [.init(target: target, kind: .freeze)]]
  }

  /// What fits into a minute: each kind of process is killed, and each of the two long silences has its turn.
  static func short(seed: UInt64) -> [Fault] {
    var generator = SeededGenerator(seed: seed)
    let sinks = [Target(.sink, 1), Target(.sink, 2)].shuffled(using: &generator)
    let nodes = [Target(.kafka, 1), Target(.kafka, 2), Target(.kafka, 3)].shuffled(using: &generator)
    let one = Int.random(in: 1...2, using: &generator)
    let plan: [(actions: [Fault.Action], duration: ClosedRange<Int>)] = [
      ([.init(target: sinks[0], kind: .kill), .init(target: Target(.mongodb), kind: .kill)], 0...1_500),
      ([.init(target: sinks[1], kind: .freeze)], 11_000...13_000),
      ([.init(target: Target(.ingest, one), kind: .kill)], 0...1_500),
      ([.init(target: Target(.bridge, one), kind: .kill)], 0...1_500),
      ([.init(target: nodes[0], kind: .kill)], 0...1_500), ([.init(target: nodes[1], kind: .freeze)], 1_000...4_000),
      ([.init(target: Target(.mosquitto), kind: .kill)], 0...1_500),
    ]
    return plan.shuffled(using: &generator).map {
      Fault(actions: $0.actions, duration: Int.random(in: $0.duration, using: &generator), pause: 500)
    }
  }

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  mutating func next() -> Fault? {
    if round.isEmpty { round = (Self.singles + pairs()).shuffled(using: &generator) }
    let actions = round.removeLast()
    let isKill = actions.allSatisfy { $0.kind == .kill }
    return Fault(
      actions: actions, duration: duration(isKill: isKill), pause: Int.random(in: 500...5_000, using: &generator))
  }

  /// A process that is started again at once meets what it left; one that stays away is replaced. Consumers are put out of
  /// their group after 10 s of silence.
  private mutating func duration(isKill: Bool) -> Int {
    let longest = isKill ? 15_000 : 30_000
    switch Int.random(in: 0..<10, using: &generator) {
    case 0..<4: return Int.random(in: isKill ? 0...1_000 : 1_000...4_000, using: &generator)
    case 4..<7: return Int.random(in: 1_000...9_000, using: &generator)
    default: return Int.random(in: 10_500...longest, using: &generator)
    }
  }

  /// Those that are worse together than one by one. Of Kafka's three nodes never two: with one there is no majority.
  private mutating func pairs() -> [[Fault.Action]] {
    let sinks = [Target(.sink, 1), Target(.sink, 2)].shuffled(using: &generator)
    let ingest = Target(.ingest, Int.random(in: 1...2, using: &generator))
    let bridge = Target(.bridge, Int.random(in: 1...2, using: &generator))
    var node: Target { Target(.kafka, Int.random(in: 1...3, using: &generator)) }
    let database = Target(.mongodb)
    return [
      [.init(target: sinks[0], kind: .kill), .init(target: database, kind: .kill)],
      [.init(target: sinks[0], kind: .freeze), .init(target: database, kind: .kill)],
      [.init(target: sinks[1], kind: .freeze), .init(target: database, kind: .freeze)],
      [.init(target: sinks[0], kind: .freeze), .init(target: sinks[1], kind: .kill)],
      [.init(target: sinks[0], kind: .freeze), .init(target: sinks[1], kind: .freeze)],
      [.init(target: sinks[0], kind: .freezeThenKill)],
      [.init(target: sinks[1], kind: .freeze), .init(target: node, kind: .kill)],
      [.init(target: ingest, kind: .kill), .init(target: node, kind: .freeze)],
      [.init(target: bridge, kind: .kill), .init(target: Target(.mosquitto), kind: .freeze)],
      [.init(target: bridge, kind: .freeze), .init(target: node, kind: .kill)],
    ]
  }
}
