import Foundation
import Synchronization
import TestServers
import Testing

@testable import WebSocket

/// Connections over pairs of sockets: what is read when, and how they end.
@Suite struct ServerTests {
  /// Answers every message with itself, or the beginning of it, at once or when the test says so.
  final class Receiver: MessageReceiver {
    private struct State: Sendable {
      var message: [UInt8] = []
      var held: [[UInt8]] = []
      var endings: [Ending] = []
    }

    let connection: WebSocketConnection
    let holds: Bool
    let answerLimit: Int
    private let state = Mutex(State())

    init(_ connection: WebSocketConnection, holds: Bool, answerLimit: Int = .max) {
      self.connection = connection
      self.holds = holds
      self.answerLimit = answerLimit
    }

    var held: Int { state.withLock { $0.held.count } }
    var endings: [Ending] { state.withLock { $0.endings } }

    func receive(_ piece: UnsafeRawBufferPointer) -> CloseReason? {
      state.withLock { $0.message.append(contentsOf: piece) }
      return nil
    }

    func finish(isText: Bool) {
      let message = state.withLock { state in
        defer { state.message = [] }
        if holds { state.held.append(state.message) }
        return state.message
      }
      if !holds { connection.answer(Array(message.prefix(answerLimit))) }
    }

    /// Answers what is held, the last first.
    func answer() {
      let held = state.withLock { state in
        defer { state.held = [] }
        return state.held
      }
      for message in held.reversed() { connection.answer(Array(message.prefix(answerLimit))) }
    }

    func ended(_ ending: Ending) { state.withLock { $0.endings.append(ending) } }
  }

  private final class Releases: Sendable { let count = Atomic(0) }

  /// A server, its thread, and one connection.
  final class Fixture: Sendable {
    let server: WebSocketServer
    let client: WebSocketClient
    let receiver: Receiver
    private let releases = Releases()

    init(
      holds: Bool = false, answerLimit: Int = .max, received: [UInt8] = [],
      _ adjust: (inout WebSocketServer.Configuration) -> Void = { _ in }
    ) throws {
      var configuration = WebSocketServer.Configuration()
      adjust(&configuration)
      server = try WebSocketServer(configuration)
      for loop in server.loops { Thread { loop.run() }.start() }
      var pair: [Int32] = [0, 0]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
        throw TestServerError("no pair of sockets")
      }
      client = WebSocketClient(descriptor: pair[0])
      let made = Mutex<Receiver?>(nil)
      let releases = releases
      let descriptor = pair[1]
      server.serve(
        descriptor: descriptor, received: received,
        release: {
          close(descriptor)
          releases.count.add(1, ordering: .relaxed)
        },
        receiver: { connection in
          let receiver = Receiver(connection, holds: holds, answerLimit: answerLimit)
          made.withLock { $0 = receiver }
          return receiver
        })
      receiver = made.withLock { $0! }
    }

    /// Waits for its end, which comes exactly once, also after the server was stopped.
    func expectEnd(_ cause: Ending.Cause, _ code: UInt16) throws {
      try eventually("the connection is released") { server.connectionCount == 0 }
      server.stop(timeout: .seconds(5))
      #expect(receiver.endings == [Ending(cause: cause, code: code)])
      let count = releases.count.load(ordering: .relaxed)
      #expect(count == 1)
    }
  }

  @Test func answersAndClosesWithTheClient() throws {
    let fixture = try Fixture(received: WebSocketFrame.text("early").encoded())
    #expect(try fixture.client.receive()?.text == "early")
    fixture.client.send("one")
    #expect(try fixture.client.receive()?.text == "one")
    fixture.client.send(.close(1000, "bye"))
    #expect(try fixture.client.untilClosed() == [.close(1000, "bye")])
    try fixture.expectEnd(.client, 1000)
  }

  @Test func answersInAnyOrder() throws {
    let fixture = try Fixture(holds: true)
    for number in 0..<100 { fixture.client.send("\(number)") }
    try eventually("all have come") { fixture.receiver.held == 100 }
    fixture.receiver.answer()
    for number in (0..<100).reversed() { #expect(try fixture.client.receive()?.text == "\(number)") }
    fixture.client.reset()
    try fixture.expectEnd(.lost, 1006)
  }

  @Test func readsNoMoreThanMayBeInFlight() throws {
    let fixture = try Fixture(holds: true, answerLimit: 1) { $0.inFlightLimit = 10 }
    // More than a read's worth beyond the limit, so that bytes stay both here and in the socket.
    let message = String(repeating: "x", count: 5_000)
    let sender = Thread { for _ in 0..<200 { fixture.client.send(message) } }
    sender.start()
    var answered = 0
    while answered < 200 {
      try eventually("it reads up to the limit") { fixture.receiver.held == min(10, 200 - answered) }
      answered += fixture.receiver.held
      fixture.receiver.answer()
    }
    for _ in 0..<200 { #expect(try fixture.client.receive()?.text == "x") }
    fixture.server.stop(timeout: .seconds(1))
    try fixture.expectEnd(.shutdown, 1001)
  }

  /// What is being answered at a shutdown is answered before the close frame, and nothing more is read.
  @Test func shutsDownAfterTheLastAnswer() throws {
    let fixture = try Fixture(holds: true) { $0.inFlightLimit = 3 }
    for number in 0..<5 { fixture.client.send("\(number)") }
    try eventually("three have come") { fixture.receiver.held >= 3 }
    let held = fixture.receiver.held
    let stopping = Thread { fixture.server.stop(timeout: .seconds(30)) }
    stopping.start()
    fixture.receiver.answer()
    let frames = try (0...held).map { _ in try #require(try fixture.client.receive()) }
    #expect(frames.dropLast().allSatisfy { $0.opcode == 1 } && frames.last?.closeCode == 1001)
    fixture.client.send(.close(1001))
    #expect(try fixture.client.receive() == nil)
    try fixture.expectEnd(.shutdown, 1001)
  }

  /// What came before something that may not be is answered before the connection is closed for it.
  @Test(
    arguments: [
      (WebSocketFrame(3), 1002), (WebSocketFrame(1, [], reserved: 4), 1002), (WebSocketFrame(0, [65]), 1002),
      (WebSocketFrame(9, [UInt8](repeating: 0, count: 126)), 1002),
      (WebSocketFrame(1, [0xff]), 1007), (WebSocketFrame(2, [UInt8](repeating: 0, count: 100_001)), 1009),
    ] as [(WebSocketFrame, UInt16)])
  func answersWhatCameBeforeAnError(_ wrong: WebSocketFrame, _ code: UInt16) throws {
    let messages = [0, 125, 126, 65_535, 65_536].map { WebSocketFrame(2, [UInt8](repeating: 65, count: $0)) }
    let fixture = try Fixture(
      holds: true, received: (messages + [wrong, .text("late")]).flatMap { $0.encoded() }
    ) { $0.messageLimit = 100_000 }
    try eventually("all have come") { fixture.receiver.held == messages.count }
    fixture.receiver.answer()
    let frames = try fixture.client.untilClosed()
    #expect(frames.dropLast().map(\.payload) == messages.reversed().map(\.payload))
    #expect(frames.last?.closeCode == code)
    fixture.client.endSending()
    try fixture.expectEnd(.server, code)
  }

  /// A client that says nothing at a shutdown does not hold it up beyond its time.
  @Test func shutsDownWithoutTheClient() throws {
    let fixture = try Fixture(holds: true) { $0.closeTimeout = .milliseconds(50) }
    fixture.client.send("never answered")
    try eventually("it has come") { fixture.receiver.held == 1 }
    fixture.server.stop(timeout: .milliseconds(300))
    #expect(try fixture.client.untilClosed().map(\.closeCode) == [1001])
    try fixture.expectEnd(.shutdown, 1001)
    fixture.receiver.answer()
  }

  /// A client that reads nothing: what waits for it is bounded, and it is cut off.
  @Test func cutsOffAClientThatDoesNotRead() throws {
    let fixture = try Fixture {
      $0.sendLimit = 64 << 10
      $0.sendTimeout = .milliseconds(200)
    }
    let message = String(repeating: "x", count: 10_000)
    // Ends when the server has closed.
    let sender = Thread { while fixture.client.send(message) {} }
    sender.start()
    try fixture.expectEnd(.slow, 1006)
  }

  /// Many small messages come with one read, and each is answered as it is taken, as while Kafka is away.
  @Test func answersAllThatAClientSendsAtOnce() throws {
    let fixture = try Fixture { $0.sendLimit = 4 << 10 }
    let messages = (0..<2_000).map { "message \($0)" }
    fixture.client.send(messages.flatMap { WebSocketFrame.text($0).encoded() })
    for message in messages { #expect(try fixture.client.receive()?.text == message) }
  }

  /// The same when answers come that nothing held back, for instance those to many messages in flight.
  @Test func cutsOffAClientWhoseAnswersPileUp() throws {
    let fixture = try Fixture(holds: true) { $0.sendLimit = 64 << 10 }
    let message = String(repeating: "x", count: 10_000)
    for _ in 0..<200 { fixture.client.send(message) }
    try eventually("all have come") { fixture.receiver.held == 200 }
    fixture.receiver.answer()
    try fixture.expectEnd(.slow, 1006)
  }

  @Test func pingsAndCutsOffTheSilent() throws {
    let fixture = try Fixture { $0.pingInterval = .milliseconds(100) }
    for _ in 0..<3 {
      #expect(try fixture.client.receive() == WebSocketFrame(9))
      fixture.client.send(WebSocketFrame(10))
    }
    #expect(try fixture.client.untilClosed() == [WebSocketFrame(9)])
    try fixture.expectEnd(.silent, 1006)
  }

  @Test func closesTheIdle() throws {
    let fixture = try Fixture { $0.idleTimeout = .milliseconds(50) }
    #expect(try fixture.client.receive()?.closeCode == 1001)
    fixture.client.send(.close(1001))
    #expect(try fixture.client.receive() == nil)
    try fixture.expectEnd(.server, 1001)
  }

  @Test func closesASlowMessage() throws {
    let fixture = try Fixture { $0.messageTimeout = .milliseconds(50) }
    fixture.client.send(WebSocketFrame(1, [65], isFinal: false))
    #expect(try fixture.client.receive()?.closeCode == 1008)
    fixture.client.endSending()
    try fixture.expectEnd(.server, 1008)
  }

  /// The close frame arrives although the client is still sending what nobody reads.
  @Test func closesWhatItCannotRead() throws {
    let fixture = try Fixture { $0.messageLimit = 1_000 }
    fixture.client.send(WebSocketFrame(2, [UInt8](repeating: 0, count: 100_000)))
    fixture.client.send("more")
    #expect(try fixture.client.untilClosed().map(\.closeCode) == [1009])
    fixture.client.endSending()
    try fixture.expectEnd(.server, 1009)
  }

  @Test func takesNoMoreThanItMay() throws {
    let fixture = try Fixture { $0.connectionLimit = 0 }
    #expect(try fixture.client.receive()?.closeCode == 1013)
    fixture.client.send(.close(1013))
    try fixture.expectEnd(.server, 1013)
  }

  @Test func takesNothingAfterItsEnd() throws {
    let fixture = try Fixture()
    fixture.server.stop(timeout: .milliseconds(100))
    var pair: [Int32] = [0, 0]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
    defer { for descriptor in pair { close(descriptor) } }
    let released = Atomic(false)
    let made = Mutex<Receiver?>(nil)
    fixture.server.serve(
      descriptor: pair[1], received: [], release: { released.store(true, ordering: .relaxed) },
      receiver: { connection in
        let receiver = Receiver(connection, holds: false)
        made.withLock { $0 = receiver }
        return receiver
      })
    let isReleased = released.load(ordering: .relaxed)
    #expect(isReleased)
    let endings = made.withLock { $0?.endings.map(\.cause) }
    #expect(endings == [.shutdown])
  }
}
