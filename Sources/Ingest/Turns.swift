import HTTP
import Keys
import Operations
import Synchronization

/// Has requests of one client wait for each other while other clients send too.
///
/// One thread serves many connections in the order in which they have something, and Kafka's queue is one too; so a client
/// with hundreds of requests at once has them stand before everybody else's. Here all beyond the first `limit` stand in a
/// line of their client's own, and each comes when another of that client is over. A client that is alone never waits.
final class Turns: Sendable {
  private struct Line {
    var served = 0
    var waiting: [Turn] = []
  }

  private struct State {
    var lines: [ObjectIdentifier: Line] = [:]
    var lastClient: ObjectIdentifier?
    /// When a request came of another client than the one before it; nil: never.
    var changed: Int64?
  }

  /// Requests of one client between its body and the end of its answer, while there are others. With as many, a request
  /// that comes waits some milliseconds for them, and a client alone against a Kafka on the same machine has three quarters
  /// of the rate that it has without a limit.
  static let usualLimit = 64
  /// Nanoseconds for which a client counts as there after its last request.
  private static let presence: Int64 = 10_000_000_000

  private let limit: Int
  private let clock: @Sendable () -> Int64
  private let state = Mutex(State())

  /// - Parameter clock: nanoseconds of a clock that never goes back.
  init(limit: Int = usualLimit, clock: @escaping @Sendable () -> Int64 = Clock.monotonicNanoseconds) {
    self.limit = limit
    self.clock = clock
  }

  /// Gives a request its turn; only inside `BodyReceiver.finish`. When it has not come yet, the exchange is paused, and
  /// `finish` is called again when it has. The turn ends with the object.
  func turn(of account: Account, _ exchange: Exchange) -> (Turn, hasCome: Bool) {
    let turn = Turn(self, account, exchange)
    if enter(turn, orWait: false) { return (turn, true) }
    // Before it stands in the line, for from there it may come at once.
    exchange.pause()
    if enter(turn, orWait: true) { exchange.resume() }
    return (turn, false)
  }

  private func enter(_ turn: Turn, orWait: Bool) -> Bool {
    state.withLock { state in
      if state.lastClient != turn.client {
        if state.lastClient != nil { state.changed = clock() }
        state.lastClient = turn.client
      }
      let changed = state.changed
      return enter(turn, orWait: orWait, changed, &state.lines[turn.client, default: Line()])
    }
  }

  private func enter(_ turn: Turn, orWait: Bool, _ changed: Int64?, _ line: inout Line) -> Bool {
    guard line.served < limit || !isShared(changed) else {
      if orWait { line.waiting.append(turn) }
      return false
    }
    line.served += 1
    turn.hasCome.store(true, ordering: .relaxed)
    return true
  }

  /// - Parameter changed: when a request came of another client than the one before it.
  private func isShared(_ changed: Int64?) -> Bool { changed.map { clock() - $0 < Self.presence } ?? false }

  fileprivate func end(of client: ObjectIdentifier) {
    var ended = 1
    while ended > 0 {
      var next = self.next(of: client, after: ended)
      ended = 0
      for index in next.indices {
        if isKnownUniquelyReferenced(&next[index]) {
          // Its connection has gone meanwhile. Counted here, for its end would call this function within itself.
          next[index].hasCome.store(false, ordering: .relaxed)
          ended += 1
        } else {
          next[index].exchange.resume()
        }
      }
    }
  }

  /// Those whose turn has come when so many have ended.
  private func next(of client: ObjectIdentifier, after ended: Int) -> [Turn] {
    state.withLock { state in
      guard let index = state.lines.index(forKey: client) else { return [] }
      let changed = state.changed
      let next = leave(ended, changed, &state.lines.values[index])
      if state.lines.values[index].served == 0 { state.lines.remove(at: index) }
      return next
    }
  }

  private func leave(_ ended: Int, _ changed: Int64?, _ line: inout Line) -> [Turn] {
    line.served -= ended
    guard !line.waiting.isEmpty else { return [] }
    let room = isShared(changed) ? max(0, limit - line.served) : line.waiting.count
    let next = Array(line.waiting.prefix(room))
    line.waiting.removeFirst(next.count)
    line.served += next.count
    for turn in next { turn.hasCome.store(true, ordering: .relaxed) }
    return next
  }
}

/// A request's turn, from when it comes to the end of this object.
final class Turn: Sendable {
  /// Whether it has come, and its end is to be told.
  fileprivate let hasCome = Atomic(false)
  fileprivate let exchange: Exchange
  fileprivate let client: ObjectIdentifier
  // Keeps the identifier from becoming another's.
  private let account: Account
  private let turns: Turns

  fileprivate init(_ turns: Turns, _ account: Account, _ exchange: Exchange) {
    self.turns = turns
    self.account = account
    self.exchange = exchange
    client = ObjectIdentifier(account)
  }

  deinit {
    if hasCome.load(ordering: .relaxed) { turns.end(of: client) }
  }
}
