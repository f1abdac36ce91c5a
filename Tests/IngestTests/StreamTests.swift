import Foundation
import HTTP
import HTTPClient
import Kafka
import Keys
import Synchronization
import TestServers
import Testing
import WebSocket

/// `GET /v1/stream`, with a Kafka in this process.
@Suite struct StreamTests {
  private func options(deliveryTimeout: Duration = .seconds(30)) -> Served.Options {
    var options = Served.Options()
    options.deliveryTimeout = deliveryTimeout
    return options
  }

  // MARK: Handshake

  private static let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
  private static let handshakes: [(fields: [String], status: Int, note: String)] = [
    (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key], 101, "the example"),
    (
      [
        "Upgrade: h2c, WebSocket", "Connection: keep-alive", "Connection: close, UPGRADE", "Sec-WebSocket-Version: 13",
        key,
      ],
      101, "lists, and several fields"
    ),
    (["Connection: Upgrade", "Sec-WebSocket-Version: 13", key], 426, "no Upgrade"),
    (["Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key], 426, "another protocol"),
    (["Upgrade: websocket", "Connection: keep-alive", "Sec-WebSocket-Version: 13", key], 426, "not for this hop"),
    (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8", key], 426, "an old version"),
    (["Upgrade: websocket", "Connection: Upgrade", key], 426, "no version"),
    (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"], 400, "no key"),
    (
      ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], 400,
      "a key that is none"
    ),
    (
      ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key, "Content-Length: 1"], 400,
      "a body"
    ),
  ]

  @Test func shakesHandsOrSaysWhyNot() throws {
    try withServed { served in
      for handshake in Self.handshakes {
        let client = try WebSocketClient(port: served.server.port, headers: handshake.fields)
        #expect(client.status == handshake.status, "\(handshake.note): \(client.head)")
        switch handshake.status {
        case 101:
          #expect(client.head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
          #expect(client.head.contains("Upgrade: websocket\r\n") && client.head.contains("Connection: Upgrade\r\n"))
          #expect(!client.head.contains("Sec-WebSocket-Extensions") && !client.head.contains("Sec-WebSocket-Protocol"))
        case 426: #expect(client.head.contains("Sec-WebSocket-Version: 13\r\n"))
        default: break
        }
      }
      let url = "http://127.0.0.1:\(served.server.port)/v1/stream"
      let posted = try HTTPClient().send("POST", url, headers: [], body: Array("{}".utf8), timeout: .seconds(10))
      #expect(posted.status == 405 && posted.header("Allow")?.contains("GET") == true)
      let plain = try HTTPClient().send("GET", url, headers: [], body: [], timeout: .seconds(10))
      #expect(plain.status == 426 && apiErrorCode(plain.text) == "upgrade_required")
      let offer = Self.handshakes[0].fields + ["Sec-WebSocket-Protocol: other, sluice"]
      #expect(
        try WebSocketClient(port: served.server.port, headers: offer).head
          .contains("Sec-WebSocket-Protocol: sluice\r\n"))
    }
  }

  @Test func wantsAKeyAndGoesByItAsLongAsItIsValid() throws {
    var file = KeyFile()
    let made = try file.create(name: "one", at: 0) { $0.devices = ["mine"] }
    let ring = KeyRing()
    ring.replace(with: file.keys)
    var options = options()
    options.keys = ring
    try withServed(options) { served in
      let port = served.server.port
      let handshake = Self.handshakes[0].fields
      #expect(try WebSocketClient(port: port, headers: handshake).status == 401)
      #expect(try WebSocketClient(port: port, headers: handshake + ["X-API-Key: slk_nonsense"]).status == 401)
      let subprotocol = "Sec-WebSocket-Protocol: sluice, \(made.secret)"
      let client = try WebSocketClient(port: port, headers: handshake + [subprotocol])
      #expect(client.status == 101)
      client.send(reading("mine"))
      #expect(try client.receive()?.text == #"{"seq":0,"accepted":1}"#)
      client.send(reading("another"))
      let refused = try client.answer()
      #expect(refused["accepted"] as? Int == 0 && refused["rejected"] as? Int == 1, "\(refused)")
      // A page of another origin has to know the key; its browser does not.
      let evil = "Origin: https://evil.example"
      let basic = "Authorization: Basic \(Data("any:\(made.secret)".utf8).base64EncodedString())"
      #expect(try WebSocketClient(port: port, headers: handshake + [basic]).status == 101)
      #expect(try WebSocketClient(port: port, headers: handshake + [basic, evil]).status == 403)
      #expect(try WebSocketClient(port: port, headers: handshake + [subprotocol, evil]).status == 101)
      let rotated = try file.rotate("one", grace: 0, at: 1)
      ring.replace(with: file.keys)
      client.send(reading("mine"))
      #expect(try client.untilClosed().last?.closeCode == 1008)
      let next = try WebSocketClient(port: port, headers: handshake + ["X-API-Key: \(rotated.secret)"])
      next.send(reading("mine"))
      #expect(try next.receive()?.text == #"{"seq":0,"accepted":1}"#)
      ring.replace(with: [])
      next.send(reading("mine"))
      #expect(try next.untilClosed().last?.closeCode == 1008)
      #expect(try served.stored().map(\.key) == ["mine", "mine"])
    }
  }

  @Test func allowsOnlySoManyStreams() throws {
    var options = options()
    options.streams.connectionLimit = 2
    try withServed(options) { served in
      let clients = try (0..<2).map { _ in try WebSocketClient(port: served.server.port) }
      try eventually("both are there") { served.streams.connectionCount == 2 }
      #expect(try WebSocketClient(port: served.server.port).status == 503)
      clients[0].send(.close(1000))
      #expect(try clients[0].untilClosed() == [.close(1000)])
      try eventually("there is room again") { served.streams.connectionCount == 1 }
      #expect(try WebSocketClient(port: served.server.port).status == 101)
    }
  }

  // MARK: Messages

  /// A message, and the answer to it.
  private static let messages: [(message: String, answer: String)] = [
    (reading("a"), #"{"seq":0,"accepted":1}"#),
    ("[\(reading("b")),\(reading("c"))]", #"{"seq":1,"accepted":2}"#),
    (reading("d") + "\r\n\n" + reading("e") + "\n", #"{"seq":2,"accepted":2}"#),
    (#"{"seq":17,"reading":\#(reading("f"))}"#, #"{"seq":17,"accepted":1}"#),
    (
      #"{"readings":[\#(reading("g")),\#(reading("h"))],"seq":9007199254740991}"#,
      #"{"seq":9007199254740991,"accepted":2}"#
    ),
    (#"{"reading":\#(reading("i"))}"#, #"{"seq":5,"accepted":1}"#),
    (
      "{\n\"seq\" : 1,\n\"readings\" : [\n{\"device\":\"j\",\n\"sensor\":\"s\",\"value\":1}\n]\n}\n",
      #"{"seq":1,"accepted":1}"#
    ),
  ]

  @Test func answersWithTheNumberOfTheSender() throws {
    try withServed { served in
      let client = try WebSocketClient(port: served.server.port)
      for (message, answer) in Self.messages {
        client.send(message)
        #expect(try client.receive()?.text == answer)
      }
      // Binary, and in fragments.
      client.send(WebSocketFrame(2, Array(reading("k").utf8)))
      #expect(try client.receive()?.text == #"{"seq":7,"accepted":1}"#)
      let text = Array(reading("l").utf8)
      for (index, byte) in text.enumerated() {
        client.send(WebSocketFrame(index == 0 ? 1 : 0, [byte], isFinal: index == text.count - 1))
      }
      #expect(try client.receive()?.text == #"{"seq":8,"accepted":1}"#)
      let stored = try served.stored()
      #expect(stored.map(\.key).sorted() == "abcdefghijkl".map(String.init))
      let sources = stored.map { $0.headers.first { $0.0 == "source" }?.1 ?? [] }
      #expect(sources.allSatisfy { $0 == Array("stream".utf8) })
      #expect(served.metric("sluice_stream_messages_total") == 9)
      #expect(served.metric("sluice_stream_answers_total{result=\"accepted\"}") == 9)
      #expect(served.metric("sluice_http_body_bytes") == 0)
    }
  }

  @Test func saysWhatIsWrongWithAMessage() throws {
    var options = options()
    options.body = 100_000
    options.readings = 3
    try withServed(options) { served in
      let client = try WebSocketClient(port: served.server.port)
      func code(_ message: String) throws -> (seq: Int?, code: String?) {
        client.send(message)
        let answer = try client.answer()
        return (answer["seq"] as? Int, (answer["error"] as? [String: Any])?["code"] as? String)
      }
      var place = 0
      for message in ["", "nonsense", "3", "{\"seq\":1", #"{"seq":-1,"reading":{}}"#, #"{"seq":"x","reading":{}}"#] {
        let answer = try code(message)
        #expect(answer.seq == place && answer.code == "malformed", "\(message)")
        place += 1
      }
      for body in ["", #","reading":{},"readings":[]"#, #","reading":[]"#, #","readings":{}"#, #","reading":{},"x":1"#]
      {
        let answer = try code("{\"seq\":40\(body)}")
        #expect(answer.seq == 40 && answer.code == "malformed", "\(body)")
      }
      #expect(try code(#"{"seq":41,"readings":[]}"#) == (41, "no_readings"))
      #expect(try code(#"{"seq":42,"readings":[1,1,1,1]}"#) == (42, "too_many_readings"))
      #expect(try code(#"{"seq":43,"reading":{"device":"d"}}"#) == (43, "invalid_readings"))
      client.send(#"{"seq":44,"readings":[\#(reading("kept")),{"device":"d"}]}"#)
      let partial = try client.answer()
      #expect(partial["seq"] as? Int == 44 && partial["accepted"] as? Int == 1 && partial["rejected"] as? Int == 1)
      #expect((partial["errors"] as? [[String: Any]])?.first?["index"] as? Int == 1)
      #expect(try served.stored().map(\.key) == ["kept"])
      client.send(WebSocketFrame(1, [UInt8](repeating: 65, count: 100_001)))
      #expect(try client.receive()?.closeCode == 1009)
      #expect(served.metric("sluice_stream_answers_total{result=\"refused\"}") == 14)
    }
  }

  /// Ten thousand messages without waiting for an answer; each is answered once, and all are stored.
  @Test func takesTenThousandMessagesInFlight() throws {
    try withServed { served in
      let client = try WebSocketClient(port: served.server.port)
      let sender = Background {
        for number in 0..<10_000 { client.send(#"{"seq":\#(number),"reading":\#(reading("d", value: "\(number)"))}"#) }
      }
      var answered: Set<Int> = []
      for _ in 0..<10_000 {
        let answer = try client.answer()
        #expect(answer["accepted"] as? Int == 1)
        answered.insert(answer["seq"] as? Int ?? -1)
      }
      try sender.value()
      #expect(answered == Set(0..<10_000))
      #expect(try served.stored().count == 10_000)
      #expect(served.metric("sluice_http_body_bytes") == 0)
    }
  }

  /// Where memory for messages ends, so does the connection that asks for more: 1013.
  @Test func isBoundedByMemory() throws {
    var options = options()
    options.memory = 1 << 20
    options.body = 1 << 20
    try withServed(options) { served in
      let clients = try (0..<2).map { _ in try WebSocketClient(port: served.server.port) }
      let part = WebSocketFrame(1, [UInt8](repeating: 0x20, count: 600_000), isFinal: false)
      clients[0].send(part)
      try eventually("it is held") { served.metric("sluice_http_body_bytes") == 600_000 }
      clients[1].send(part)
      #expect(try clients[1].receive()?.closeCode == 1013)
      clients[0].reset()
      try eventually("it is given back") { served.metric("sluice_http_body_bytes") == 0 }
    }
  }

  /// Connections that break with messages in flight: nothing is left behind, and what was produced stays produced.
  @Test func abruptEndsLeaveNothingBehind() throws {
    try withServed { served in
      for round in 0..<20 {
        let client = try WebSocketClient(port: served.server.port)
        for number in 0..<50 { client.send(reading("d\(round)", value: "\(number)")) }
        _ = try client.answer()
        switch round % 3 {
        case 0: client.reset()
        case 1: client.send(Array(WebSocketFrame.text(reading("half")).encoded().dropLast(5)))
        default: client.send([0xff, 0xff, 0xff])
        }
      }
      try eventually("all are gone") { served.streams.connectionCount == 0 && served.server.connectionCount == 0 }
      try eventually("all is acknowledged") { served.metric("sluice_kafka_queue_messages") == 0 }
      #expect(served.metric("sluice_http_body_bytes") == 0)
      let stored = try served.stored().map(\.key)
      #expect(Set(stored) == Set((0..<20).map { "d\($0)" }))
    }
  }

  /// The same under TLS, where the server passes bytes on between two sockets: many messages, a large one, and the close
  /// frame as the last.
  @Test func streamsUnderTLS() throws {
    let files = try TLSFixture()
    var options = options()
    options.tls = .init(certificate: files.certificate, key: files.key)
    try withServed(options) { served in
      var pair: [Int32] = [0, 0]
      #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0)
      let tls = Process()
      tls.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
      tls.arguments = [
        "s_client", "-quiet", "-connect", "127.0.0.1:\(served.server.port)", "-CAfile", files.certificate,
      ]
      let far = FileHandle(fileDescriptor: pair[1], closeOnDealloc: false)
      tls.standardInput = far
      tls.standardOutput = far
      tls.standardError = FileHandle.nullDevice
      try tls.run()
      close(pair[1])
      defer { tls.terminate() }
      let client = WebSocketClient(descriptor: pair[0])
      try client.shakeHands()
      #expect(client.status == 101)
      let sender = Background {
        for number in 0..<2_000 { client.send(#"{"seq":\#(number),"reading":\#(reading("d", value: "\(number)"))}"#) }
      }
      var answered: Set<Int> = []
      for _ in 0..<2_000 { answered.insert(try client.answer()["seq"] as? Int ?? -1) }
      try sender.value()
      #expect(answered == Set(0..<2_000))
      let many = (0..<5_000).map { reading("d", value: "\($0)") }.joined(separator: ",")
      client.send("[\(many)]")
      #expect(try client.answer()["accepted"] as? Int == 5_000)
      client.send(.close(1000))
      #expect(try client.receive() == .close(1000))
      try eventually("it is gone") { served.streams.connectionCount == 0 && served.server.connectionCount == 0 }
      #expect(try served.stored().count == 7_000)
    }
  }

  // MARK: Kafka

  @Test func saysThatKafkaIsAway() throws {
    var options = options()
    options.isKafkaUp = false
    try withServed(options) { served in
      let client = try WebSocketClient(port: served.server.port)
      client.send(#"{"seq":3,"reading":\#(reading())}"#)
      let answer = try client.answer()
      let error = answer["error"] as? [String: Any]
      #expect(answer["seq"] as? Int == 3 && error?["code"] as? String == "unavailable")
      #expect(error?["retry_after"] as? Int == 2 && error?["message"] != nil)
      try served.cluster?.setBroker(1, up: true)
      try served.waitUntilAvailable()
      client.send(#"{"seq":4,"reading":\#(reading("back"))}"#)
      #expect(try client.answer()["accepted"] as? Int == 1)
    }
  }

  /// A broker that hangs: what is in flight is answered after the delivery timeout, what comes later at once.
  @Test func saysThatKafkaHangs() throws {
    try withServed(options(deliveryTimeout: .seconds(2))) { served in
      let cluster = try #require(served.cluster)
      let client = try WebSocketClient(port: served.server.port)
      client.send(reading("before"))
      #expect(try client.answer()["accepted"] as? Int == 1)
      try cluster.setRoundTripTime(.seconds(60), broker: 1)
      client.send(#"{"seq":50,"reading":\#(reading("hanging"))}"#)
      let answer = try client.answer()
      let error = answer["error"] as? [String: Any]
      #expect(answer["seq"] as? Int == 50 && ["undelivered", "unavailable"].contains(error?["code"] as? String))
      #expect(error?["retry_after"] as? Int == 2)
      try served.waitUntilUnavailable()
      client.send(#"{"seq":51,"reading":\#(reading("late"))}"#)
      let late = try client.answer()
      #expect(late["seq"] as? Int == 51)
      #expect((late["error"] as? [String: Any])?["code"] as? String == "unavailable")
    }
  }

  // MARK: The end

  /// A stop in the middle of a stream: what was answered is stored, and then comes 1001.
  @Test func stopsAfterTheLastAnswer() throws {
    let served = try Served(options())
    let clients = try (0..<3).map { _ in try WebSocketClient(port: served.server.port) }
    let answered = Mutex<Set<String>>([])
    let isEnough = { answered.withLock { $0.count > 300 } }
    let talks = clients.enumerated().map { index, client in
      let sender = Background {
        var number = 0
        while client.send(#"{"seq":\#(number),"reading":\#(reading("d\(index)-\(number)"))}"#) { number += 1 }
      }
      let reader = Background {
        while let frame = try client.receive() {
          if let code = frame.closeCode { return Int(code) }
          let answer = try JSONSerialization.jsonObject(with: Data(frame.payload)) as? [String: Any]
          guard answer?["accepted"] as? Int == 1 else { continue }
          answered.withLock { _ = $0.insert("d\(index)-\(answer?["seq"] as? Int ?? -1)") }
        }
        return 1006
      }
      return (sender, reader)
    }
    try eventually("they stream", isEnough)
    served.streams.stop(timeout: .seconds(20))
    for (sender, reader) in talks {
      #expect(try reader.value() == 1001)
      try sender.value()
    }
    let stored = Set(try served.stored().map(\.key))
    let missing = answered.withLock { $0.subtracting(stored) }
    #expect(missing.isEmpty, "answered and not stored: \(missing.sorted().prefix(10))")
    served.stop()
    #expect(served.server.connectionCount == 0 && served.streams.connectionCount == 0)
  }

  /// A server that is stopped while its streams are not: they end, and nothing hangs.
  @Test func outlivesAServerThatIsStoppedFirst() throws {
    let served = try Served(options())
    let client = try WebSocketClient(port: served.server.port)
    client.send(reading())
    _ = try client.answer()
    served.server.stop(timeout: .milliseconds(100))
    #expect(try client.untilClosed().isEmpty)
    #expect(served.streams.connectionCount == 0)
    served.stop()
  }
}
