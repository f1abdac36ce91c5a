import Foundation
import HTTPClient
import Kafka
import TestServers
import Testing

/// Messages that cannot be stored, or not be taken at all.
@Suite(.enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
struct FailureMessagesTests {
  private let good = #"{"device":"d","sensor":"s","value":1,"ts":"TS"}"#

  private static func poison() -> [(reason: String, message: TopicMessage)] {
    func bytes(_ value: [UInt8]) -> TopicMessage {
      var message = TopicMessage("d", nil)
      message.value = value
      return message
    }
    let nesting = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    return [
      ("malformed", TopicMessage("d", "no JSON")), ("malformed", TopicMessage("d", "")),
      ("malformed", bytes(Array(#"{"device":"d","sensor":"s","value":""#.utf8) + [0xc3, 0x28] + Array("\"}".utf8))),
      ("tombstone", TopicMessage("d", nil)), ("malformed", TopicMessage("d", nesting)),
      ("malformed", TopicMessage("d", #"{"device":"d","sensor":"s","value":1,"x":\#(nesting)}"#)),
      ("missing", TopicMessage("d", #"{"sensor":"s","value":1}"#)),
      ("expired", TopicMessage("d", #"{"device":"d","sensor":"s","value":1,"ts":"1999-12-31T23:00:00Z"}"#)),
      ("future", TopicMessage("d", #"{"device":"d","sensor":"s","value":1,"ts":"2199-12-31T23:00:00Z"}"#)),
      // Larger than a client takes by default, and as large as the topic takes: with what a dead letter has besides, it is
      // larger than that.
      ("malformed", bytes([UInt8](repeating: 0x78, count: 1_020_000))),
      ("malformed", bytes([UInt8](repeating: 0x78, count: 1_048_400))),
    ]
  }

  /// In the middle of a batch, all in one partition: what is before and behind is stored, and each is a dead letter with
  /// its bytes and headers.
  @Test func poisonAmongNeighbours() throws {
    let kafka = try KafkaServer.shared()
    let roles = try Roles(kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri)
    let writer = try TopicWriter(kafka.bootstrapServers, roles.topic)
    let poison = Self.poison()
    var messages = (0..<100).map { TopicMessage.reading($0) }
    for (number, (_, message)) in poison.enumerated() {
      var message = message
      message.headers = [("n", Array("\(number)".utf8)), ("none", nil), ("binary", [0, 0xff])]
      messages.append(message)
      messages.append(.reading(100 + number))
    }
    messages += (100 + poison.count..<300).map { .reading($0) }
    for index in messages.indices { messages[index].partition = 1 }
    try writer.write(messages)
    let sink = try roles.launch("sink", settings: ["SLUICE_KAFKA_DELIVERY_TIMEOUT": "2s"])
    try roles.expectStored(0..<300)
    let letters = try TopicReader(kafka.bootstrapServers, "\(roles.topic).dlq").read(poison.count)
    #expect(letters.count == poison.count)
    for letter in letters {
      let number = try #require(letter.text("n").flatMap { Int($0) })
      #expect(letter.text("dlq-reason") == poison[number].reason, "\(number)")
      #expect(letter.key == poison[number].message.key && letter.value == poison[number].message.value, "\(number)")
      #expect(letter.headers.contains { $0.0 == "none" && $0.1 == nil } && letter.header("binary") == [0, 0xff])
      #expect(letter.text("dlq-partition") == "1" && letter.text("dlq-offset") != nil)
      if let time = ["expired": "1999-12-31T23:00:00", "future": "2199-12-31T23:00:00"][poison[number].reason] {
        let detail = try #require(letter.text("dlq-detail"))
        #expect(detail.contains(time) && detail.contains("\(Self.year)-"), "\(detail)")
      }
    }
    #expect(sink.log.split(separator: "\n").allSatisfy { $0.contains(" info ") }, "\(sink.log)")

    // Larger than the dead letters' topic takes: its beginning, and how large it was; alone, and among others.
    try kafka.configure(roles.topic, "max.message.bytes=20000000")
    var large = TopicMessage("d", nil)
    large.value = [UInt8](repeating: 0x79, count: 18_000_000)
    try writer.write([.reading(300), large, TopicMessage("d", "among others"), .reading(301)])
    try roles.expectStored(0..<302)
    let more = try TopicReader(kafka.bootstrapServers, "\(roles.topic).dlq").read(poison.count + 2)
    let cut = try #require(more.first { $0.header("dlq-truncated") != nil })
    #expect(cut.text("dlq-truncated") == "18000000" && cut.value == [UInt8](repeating: 0x79, count: 65_536))
    #expect(more.contains { $0.value == Array("among others".utf8) && $0.header("dlq-truncated") == nil })

    // A topic that takes no dead letters: the sink says so, once, and goes on when it does.
    try kafka.configure("\(roles.topic).dlq", "message.timestamp.before.max.ms=0")
    try writer.write([.reading(302), TopicMessage("d", "later"), .reading(303)])
    try sink.waitUntilFailing("does not take dead letters")
    try kafka.configure("\(roles.topic).dlq", "message.timestamp.before.max.ms=9223372036854775807")
    try roles.expectStored(0..<304)
    try sink.waitUntilReady()
    _ = try TopicReader(kafka.bootstrapServers, "\(roles.topic).dlq").read(poison.count + 3)
    #expect(sink.lines("dead letters is failing") == 1 && sink.lines("dead letters works again") == 1, "\(sink.log)")
    #expect(sink.terminate() == 0)
  }

  private static var year: Int { Calendar(identifier: .gregorian).component(.year, from: Date()) }

  @Test func whatTheAPIRefuses() throws {
    let kafka = try KafkaServer.shared()
    let roles = try Roles(kafka: kafka.bootstrapServers, mongo: MongoServer.shared().uri)
    let http = TestServers.freePort()
    let ingest = try roles.launch("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    try ingest.waitUntilReady()
    let client = try HTTPClient()
    func post(_ body: String) throws -> HTTPResponse {
      try client.send(
        "POST", "http://127.0.0.1:\(http)/v1/readings", headers: [("Content-Type", "application/json")],
        body: Array(body.utf8), timeout: .seconds(30))
    }
    for time in ["1999-12-31T23:00:00", "2199-12-31T23:00:00"] {
      let answer = try post(good.replacingOccurrences(of: "TS", with: "\(time)Z"))
      #expect(
        answer.status == 422 && answer.text.contains(time) && answer.text.contains("\(Self.year)-"), "\(answer.text)")
    }

    // The topic takes less than it did.
    let text = String(repeating: "x", count: 1_000)
    let large = #"{"device":"large","sensor":"s","value":"\#(text)"}"#
    #expect(try post(large).status == 202)
    try kafka.configure(roles.topic, "max.message.bytes=600")
    try eventually("it is refused") {
      let answer = try post(large)
      #expect(answer.status == 202 || answer.status == 413, "\(answer.status) \(answer.text)")
      return answer.status == 413
    }
    #expect(try post(#"{"device":"d","sensor":"s","value":1}"#).status == 202)
    // Several that go as one: none of them is too large, but what they are sent in.
    let several = "[\((0..<20).map { #"{"device":"d","sensor":"s","value":\#($0)}"# }.joined(separator: ","))]"
    let answer = try post(several)
    #expect([202, 207, 413, 503].contains(answer.status), "\(answer.status) \(answer.text)")
    #expect(ingest.lines("Z error ") == 0, "\(ingest.log)")
    #expect(ingest.terminate() == 0)
  }
}
