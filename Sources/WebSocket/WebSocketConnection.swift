import Synchronization

/// One connection, as those who answer its messages see it.
package final class WebSocketConnection: Sendable {
  struct Outbox: Sendable {
    var answers: [(message: [UInt8], isText: Bool)] = []
    /// Bytes of these.
    var size = 0
    var closeReason: CloseReason?
    /// Messages without an answer.
    var inFlight = 0
    /// The loop knows that there is something here.
    var isNoted = false
    var isOver = false
  }

  let id: UInt64
  private let outbox = Mutex(Outbox())
  private let note: @Sendable (UInt64) -> Void

  init(id: UInt64, note: @escaping @Sendable (UInt64) -> Void) {
    self.id = id
    self.note = note
  }

  /// Answers a message, from any thread; exactly one call for each message, in any order. To a client that has gone it
  /// does nothing.
  package func answer(_ answer: [UInt8], isText: Bool = true) {
    change { outbox in
      outbox.inFlight -= 1
      outbox.answers.append((answer, isText))
      outbox.size += answer.count
    }
  }

  /// Ends the connection with a reason, from any thread. What was answered before goes out first.
  package func close(_ reason: CloseReason) {
    change { outbox in
      if outbox.closeReason == nil { outbox.closeReason = reason }
    }
  }

  private func change(_ body: (inout Outbox) -> Void) {
    let isNews = outbox.withLock { outbox in
      guard !outbox.isOver else { return false }
      body(&outbox)
      defer { outbox.isNoted = true }
      return !outbox.isNoted
    }
    if isNews { note(id) }
  }

  /// A message is to be answered.
  func begin() { outbox.withLock { $0.inFlight += 1 } }

  /// Messages without an answer, and bytes of answers that were not taken.
  var waiting: (messages: Int, bytes: Int) { outbox.withLock { ($0.inFlight, $0.size) } }

  /// Whether everything is answered, and every answer taken.
  var isSettled: Bool { outbox.withLock { $0.inFlight == 0 && $0.answers.isEmpty } }

  /// Takes what there is to send.
  func take() -> (answers: [(message: [UInt8], isText: Bool)], closeReason: CloseReason?) {
    outbox.withLock { outbox in
      defer {
        outbox.answers = []
        outbox.size = 0
        outbox.isNoted = false
      }
      return (outbox.answers, outbox.closeReason)
    }
  }

  /// Nothing is sent any more.
  func end() {
    outbox.withLock {
      $0.isOver = true
      $0.answers = []
    }
  }
}
