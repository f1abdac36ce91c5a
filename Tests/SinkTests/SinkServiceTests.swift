import Foundation
import Kafka
import MongoDB
import Operations
import Publishing
import TestServers
import Testing

@testable import Sink

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable

@Suite(.enabled(if: servers, "needs Kafka and MongoDB servers")) struct SinkServiceTests {
  private func fixture(_ layout: Layout = .timeseries, uri: String? = nil) throws -> SinkFixture {
    try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: uri ?? MongoServer.shared().uri, layout: layout)
  }

  @Test(arguments: Layout.allCases) func storesWhatIsOnTheTopic(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    let sink = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<3_000))
    try fixture.expectStored(0..<3_000)
    try eventually("it is ready") { sink.health.isReady }
    #expect(sink.metric("sluice_sink_written_total") == 3_000)
    #expect(sink.metric("sluice_sink_age_seconds_count") == 3_000)
  }

  /// Kafka's client may write again, at other offsets, what it does not know to be stored; a sink may have stored it, and
  /// ended, meanwhile.
  @Test(arguments: Layout.allCases) func whatIsOnTheTopicTwiceIsStoredOnce(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    let messages = SinkFixture.readings(0..<1_200).enumerated().map { index, message in
      message.numbered(index % 2 == 0 ? 1 : 2, UInt64(index / 2), partition: Int32(index % 2))
    }
    let first = try fixture.startSink(batchReadings: 100)
    // In order, some again at once, and some before those that they come behind.
    try fixture.produce(Array(messages[..<600]))
    try fixture.produce(Array(messages[500..<700]))
    try fixture.expectStored(0..<700)
    first.stop()
    let second = try fixture.startSink(batchReadings: 100)
    try fixture.produce(Array(messages[400..<800]) + Array(messages[1_000...]) + Array(messages[700...]))
    // Without a number each counts, whatever it says.
    try fixture.produce(SinkFixture.readings(1_200..<1_300))
    try fixture.expectStored(0..<1_300)
    if layout == .timeseries {
      // The last are those whose second copy came last.
      try eventually("all were looked at") { second.metric("sluice_sink_repeated_total") == 300 + 100 + 200 }
    }
  }

  /// Makes the topic anew, produces readings, and waits until they and all before them are stored. The sink is given the
  /// partitions anew, or ends for having read backwards, and is started again.
  private func expectAnew(_ range: Range<Int>, in fixture: SinkFixture, under sink: RunningSink) throws {
    // What is committed after that would be of the new topic, and pass for what a log has lost.
    try eventually("all is committed") { sink.lag == 0 }
    try fixture.remakeTopic()
    try produceAnew(range, in: fixture)
    let all = 0..<range.upperBound
    try eventually(timeout: .seconds(60), "it has ended, or stored them") {
      try sink.supervisor.isStopping || Set(fixture.stored().keys).isSuperset(of: all)
    }
    if sink.supervisor.isStopping { try fixture.startSink() }
    try eventually(timeout: .seconds(60), "all are stored") { try Set(fixture.stored().keys) == Set(all) }
  }

  /// Of the topic of that name that was there before, Kafka may still know what came last, and take this for a repeat.
  private func produceAnew(_ range: Range<Int>, in fixture: SinkFixture) throws {
    try eventually(timeout: .seconds(60), "Kafka takes readings") {
      (try? fixture.produce(SinkFixture.readings(range))) != nil
    }
  }

  /// Its offsets begin again at 0, where the ledger has others.
  @Test func aTopicThatWasMadeAnewIsStoredToo() throws {
    let fixture = try fixture()
    let first = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<500))
    try fixture.expectStored(0..<500)
    first.stop()
    try fixture.remakeTopic()
    let second = try fixture.startSink()
    try produceAnew(500..<700, in: fixture)
    try eventually(timeout: .seconds(60), "they are stored") { try Set(fixture.stored().keys) == Set(0..<700) }
    // Under its eyes.
    try expectAnew(700..<800, in: fixture, under: second)
  }

  /// Nothing was read of it that its offsets could be compared with.
  @Test func aTopicThatIsMadeAnewWhileNothingComesIsStoredToo() throws {
    let fixture = try fixture()
    let first = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<500))
    try fixture.expectStored(0..<500)
    first.stop()
    let second = try fixture.startSink()
    try eventually("it has its partitions") { second.lag == 0 }
    try expectAnew(500..<700, in: fixture, under: second)
  }

  /// As after the database was restored from a backup, or another was taken: what it lost is read again, also when it does not
  /// answer when the sink is given its partitions.
  @Test(arguments: [false, true]) func whatTheDatabaseLostIsReadAgain(_ knowsNothing: Bool) throws {
    let server = try MongoServer()
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: server.uri, keeping: server)
    let first = try fixture.startSink(batchReadings: 100)
    try fixture.produce(SinkFixture.readings(0..<500))
    try fixture.expectStored(0..<500)
    first.stop()
    try fixture.pool.withClient { (client) throws(MongoError) in
      if knowsNothing {
        _ = try client.deleteMany(fixture.database, DatabaseSchema.ledger, filter: [:])
        _ = try client.deleteMany(fixture.database, DatabaseSchema.readings, filter: [:])
      } else {
        _ = try client.updateMany(
          fixture.database, DatabaseSchema.ledger, filter: [:],
          update: ["$set": ["next": .int64(10), "streams": [], "claims": []]])
        _ = try client.deleteMany(fixture.database, DatabaseSchema.readings, filter: ["k.o": ["$gte": 10]])
      }
    }
    server.pause()
    let second = try fixture.startSink(batchReadings: 100)
    try eventually(timeout: .seconds(60), "it was given its partitions, and knows that the database is away") {
      second.lag == 0 && second.log.count(of: "cannot be compared with the topic") > 0
    }
    server.resume()
    try fixture.expectStored(0..<500)
    try fixture.produce(SinkFixture.readings(500..<600))
    try fixture.expectStored(0..<600)
  }

  /// A letter has its message's number, and what is put back has it too.
  @Test(arguments: Layout.allCases) func whatWasPutBackIsNoRepeat(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    try fixture.startSink()
    var poison = Message(key: "device-1", value: "{").numbered(1, 0, partition: 0)
    try fixture.produce(SinkFixture.readings(0..<1).map { $0.numbered(1, 1, partition: 0) } + [poison])
    let letter = try #require(try fixture.deadLetters(atLeast: 1).first)
    #expect(letter.header("sequence")?.count == 16)
    poison.value = SinkFixture.readings(1..<2)[0].value
    poison.headers = letter.headers.filter { !$0.0.hasPrefix("dlq-") } + [("dlq-redrives", Array("1".utf8))]
    try fixture.produce([poison])
    try fixture.expectStored(0..<2)
  }

  /// In a time-series collection's ledger, which knows a repeat before it is stored.
  @Test func aRepeatedMessageThatIsNoReadingBecomesOneDeadLetter() throws {
    let fixture = try fixture()
    let sink = try fixture.startSink()
    let poison = Message(key: "device-1", value: "{").numbered(1, 0, partition: 0)
    try fixture.produce([poison])
    _ = try fixture.deadLetters(atLeast: 1)
    try fixture.produce([poison] + SinkFixture.readings(0..<1).map { $0.numbered(1, 1, partition: 0) })
    try fixture.expectStored(0..<1)
    try eventually("it was looked at") { sink.metric("sluice_sink_repeated_total") == 1 }
    #expect(try fixture.deadLetters(atLeast: 1).count == 1)
  }

  /// What is fetched ahead is little, and librdkafka looks only once a second whether it may fetch more. On a busy machine
  /// that cannot be told from other waiting.
  @Test(.enabled(if: TestServers.runsLongTests, "looks for a wait: make test-long, on a machine that is not busy"))
  func whatFollowsABurstIsNotKeptWaiting() throws {
    let fixture = try fixture(.documents)
    let sink = try fixture.startSink()
    let durations = try (0..<15).map { burst in
      let start = ContinuousClock.now
      try fixture.produce(SinkFixture.readings(burst * 400..<(burst + 1) * 400))
      try eventually("burst \(burst) is stored") {
        sink.metric("sluice_sink_written_total") == Double((burst + 1) * 400)
      }
      return ContinuousClock.now - start
    }
    // A second each if they were; a tenth of it here.
    #expect(durations.sorted()[7] < .milliseconds(800), "\(durations)")
  }

  @Test func theDocumentIsTheContracts() throws {
    let fixture = try fixture()
    try fixture.startSink()
    let ts = (Int64(Date().timeIntervalSince1970) - 60) * 1_000
    var message = Message(
      key: "greenhouse-3",
      value:
        #"{"device":"greenhouse-3","sensor":"temperature","value":21.5,"unit":"Cel","ts":"\#(SinkFixture.time(ts))","location":[7.68,51.97,66],"id":"x","tags":{"site":"north","seq":"0"},"colour":"red"}"#
    )
    message.headers = [("source", Array("http".utf8)), ("received", Array("\(ts + 5)".utf8))]
    message.partition = 2
    try fixture.produce([message])
    try fixture.expectStored(0..<1)
    let document = try #require(
      try fixture.pool.withClient { (client) throws(MongoError) in
        try client.findOne(fixture.database, "readings", filter: [:], options: ["projection": ["_id": 0]])
      })
    #expect(document["ts"] == .date(ts))
    #expect(document["meta"] == ["device": "greenhouse-3", "sensor": "temperature", "unit": "Cel"])
    #expect(document["value"] == 21.5)
    #expect(document["location"] == ["type": "Point", "coordinates": [7.68, 51.97, 66.0]])
    #expect(document["tags"] == ["site": "north", "seq": "0"])
    #expect(document["received"] == .date(ts + 5))
    #expect(document["k"] == ["p": .int32(2), "o": .int64(0), "e": .int32(1)])
    #expect(document["text"] == nil && document["quality"] == nil)
  }

  @Test func theDevicesCollectionFollowsEventTime() throws {
    let fixture = try fixture()
    try fixture.startSink()
    let now = Int64(Date().timeIntervalSince1970) * 1_000
    func reading(_ number: Int, _ sensor: String, _ value: String, _ ts: Int64) -> Message {
      Message(
        key: "d",
        value:
          #"{"device":"d","sensor":"\#(sensor)","value":\#(value),"ts":"\#(SinkFixture.time(ts))","tags":{"seq":"\#(number)"}}"#
      )
    }
    func device() throws -> BSONDocument? {
      try fixture.pool.withClient { (client) throws(MongoError) in
        try client.findOne(fixture.database, "devices", filter: ["_id": "d"])
      }
    }
    try fixture.produce([reading(0, "a.b", "1", now - 1_000), reading(1, "door", "true", now - 2_000)])
    try eventually("the device is there") { try device()?["sensors"]?.document?["a．b"] != nil }
    // Older than what is there, and then one that is newer.
    try fixture.produce([reading(2, "a.b", "2", now - 50_000), reading(3, "door", "\"$ajar\"", now)])
    try eventually("the device is up to date") { try device()?["lastSeen"] == .date(now) }
    let sensors = try #require(try device()?["sensors"]?.document)
    #expect(sensors["a．b"] == ["sensor": "a.b", "ts": .date(now - 1_000), "value": 1.0])
    #expect(sensors["door"] == ["sensor": "door", "ts": .date(now), "text": "$ajar"])
    #expect(try device()?["firstSeen"] == .date(now - 50_000))
    // Those of the newest, whichever sensor's.
    #expect(try device()?["tags"] == ["seq": "3"] && device()?["tagged"] == .date(now))
  }

  @Test func whatIsNoReadingBecomesADeadLetterWithItsBytes() throws {
    let fixture = try fixture()
    try fixture.startSink()
    let good = #"{"device":"d","sensor":"s","value":1,"tags":{"seq":"0"}}"#
    var binary = Message(key: "d", value: nil)
    binary.value = [0xff, 0x00, 0x80]
    let bad: [(Message, String)] = [
      (Message(key: nil, value: good), "no_key"), (Message(key: "", value: good), "no_key"),
      (Message(key: "e", value: good), "key_mismatch"), (Message(key: "d", value: nil), "tombstone"),
      (Message(key: "d", value: ""), "malformed"), (Message(key: "d", value: "{"), "malformed"), (binary, "malformed"),
      (Message(key: "d", value: "[1]"), "shape"),
      (Message(key: "d", value: #"{"device":"d","sensor":"s"}"#), "missing"),
      (Message(key: "d", value: #"{"device":"d","sensor":"s","value":1,"value":2}"#), "repeated"),
      (Message(key: "d", value: #"{"device":"d","sensor":"s","value":1e999}"#), "malformed"),
      (Message(key: "d", value: #"{"device":"d","sensor":"s","value":1,"ts":"1970-01-01T00:00:00Z"}"#), "expired"),
      (Message(key: "d", value: #"{"device":"d","sensor":"s","value":1,"ts":"2200-01-01T00:00:00Z"}"#), "future"),
      (
        Message(key: "d", value: #"{"device":"d","sensor":"s","value":"\#(String(repeating: "x", count: 900_000))"}"#),
        "invalid"
      ),
    ]
    var messages: [Message] = []
    for (index, (message, _)) in bad.enumerated() {
      var message = message
      message.partition = Int32(index % 4)
      message.headers = [("n", Array("\(index)".utf8)), ("none", nil)]
      messages.append(message)
    }
    // Good ones before, among and after them.
    try fixture.produce(SinkFixture.readings(0..<50) + messages + SinkFixture.readings(50..<100))
    try fixture.expectStored(0..<100)
    let letters = try fixture.deadLetters(atLeast: bad.count)
    #expect(letters.count == bad.count)
    for letter in letters {
      let index = try #require(letter.header("n").flatMap { Int(String(decoding: $0, as: UTF8.self)) })
      func header(_ name: String) -> String? { letter.header(name).map { String(decoding: $0, as: UTF8.self) } }
      #expect(header("dlq-reason") == bad[index].1)
      #expect(letter.withKey { $0.map { Array($0) } } == bad[index].0.key)
      #expect(letter.withValue { $0.map { Array($0) } } == bad[index].0.value)
      #expect(letter.headers.contains { $0.0 == "none" && $0.1 == nil })
      #expect(header("dlq-topic") == fixture.topic)
      #expect(header("dlq-partition") == "\(index % 4)")
      #expect(header("dlq-offset").flatMap { Int64($0) } != nil)
      #expect(header("dlq-detail")?.isEmpty == false)
    }
  }

  @Test(arguments: Layout.allCases) func aRepeatWithTheSameIDIsStoredOnce(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    func readings(_ range: Range<Int>, id: String) -> [Message] {
      range.map { number in
        Message(
          key: "d",
          value:
            #"{"device":"d","sensor":"s","value":1,"id":"\#(id)-\#(number)","tags":{"seq":"\#(number)"}}"#)
      }
    }
    let sink = try fixture.startSink()
    // Twice in one batch, again in another, and after a restart.
    try fixture.produce(readings(0..<100, id: "a") + readings(0..<100, id: "a"))
    try fixture.produce(readings(50..<150, id: "a"))
    try fixture.expectStored(0..<150)
    sink.stop()
    try fixture.startSink()
    try fixture.produce(readings(0..<200, id: "a") + readings(200..<250, id: "b"))
    try fixture.expectStored(0..<250)
  }

  /// What the database refused is no first of its id: put back when the reason is gone, it is stored.
  @Test func whatTheDatabaseRefusedIsNoRepeatLater() throws {
    let fixture = try fixture(.documents)
    func validate(_ validator: BSONValue) throws {
      _ = try fixture.pool.withClient { (client) throws(MongoError) in
        try client.command(fixture.database, ["collMod": "readings", "validator": validator])
      }
    }
    try validate(["meta.sensor": ["$ne": "s1"]])
    let sink = try fixture.startSink()
    let readings = SinkFixture.readings(0..<1, sensor: "s1") + SinkFixture.readings(1..<2, sensor: "s2")
    let messages = readings.map { message in
      var message = message
      message.value = message.value.map { Array(#"{"id":"x","#.utf8) + $0.dropFirst() }
      return message
    }
    try fixture.produce(messages)
    let letters = try fixture.deadLetters(atLeast: 1)
    #expect(letters.count == 1)
    try fixture.expectStored(1..<2)
    try validate([:])
    try fixture.produce(messages)
    try fixture.expectStored(0..<2)
    // The repeat of the other is in another partition, and may be read later.
    try eventually("it is recognised") { sink.metric("sluice_sink_repeated_total") == 1 }
  }

  @Test(arguments: Layout.allCases) func sinksShareThePartitionsAndTakeOver(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    let first = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<1_000))
    try fixture.expectStored(0..<1_000)
    try fixture.startSink()
    try fixture.produce(SinkFixture.readings(1_000..<5_000))
    first.stop()
    try fixture.produce(SinkFixture.readings(5_000..<6_000))
    try fixture.expectStored(0..<6_000)
  }

  /// Each time that another takes a partition is said, and once, though a batch and a flush may both find it.
  @Test func thatAnotherOwnsAPartitionIsSaidEachTime() throws {
    let fixture = try fixture()
    let sink = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<100, devices: 1))
    try fixture.expectStored(0..<100)
    for times in 1...2 {
      // What is under way goes on under the epoch that it has; the next claim finds another.
      let taken = try fixture.pool.withClient { (client) throws(MongoError) in
        try client.updateMany(
          fixture.database, DatabaseSchema.ledger, filter: ["claims": ["$exists": true]], update: ["$inc": ["epoch": 1]]
        )
      }
      #expect(taken.modified > 0)
      try fixture.produce(SinkFixture.readings(times * 100..<(times + 1) * 100, devices: 1))
      try fixture.expectStored(0..<(times + 1) * 100)
      #expect(sink.log.count(of: "another sink owns the partition") == times)
    }
  }

  /// Also while the sink never has nothing to do for long, and while nothing comes at all.
  @Test(arguments: [true, false]) func aLateCopyIsRemoved(_ readingsKeepComing: Bool) throws {
    let fixture = try SinkFixture(
      brokers: KafkaServer.shared().bootstrapServers, uri: MongoServer.shared().uri, partitions: 1)
    let first = try fixture.startSink()
    try fixture.produce(SinkFixture.readings(0..<10))
    try fixture.expectStored(0..<10)
    first.stop()
    // As an owner leaves it that sleeps with an insert on its way.
    let claim: BSONDocument = [
      "epoch": 0, "from": .int64(0), "to": .int64(10), "tsMin": .date(0), "tsMax": .date(1 << 50), "settled": false,
    ]
    var ts: BSONValue?
    try fixture.pool.withClient { (client) throws(MongoError) in
      _ = try client.updateMany(
        fixture.database, DatabaseSchema.ledger, filter: ["claims": ["$exists": true]],
        update: ["$push": ["claims": .document(claim)]])
      try client.find(fixture.database, "readings", filter: ["k.o": 3], options: [:]) { ts = $0["ts"] }
    }
    let sink = try fixture.startSink()
    var count = 10
    func another() throws {
      try fixture.produce(SinkFixture.readings(count..<count + 1))
      count += 1
    }
    if readingsKeepComing {
      try eventually("the partition is taken") {
        try another()
        return sink.metric("sluice_sink_written_total") ?? 0 > 0
      }
    }
    let late: BSONDocument = [
      "ts": ts!, "meta": ["device": "device-3", "sensor": "s"], "value": 3, "tags": ["seq": "3"],
      "k": ["p": 0, "o": 3, "e": 0],
    ]
    try fixture.pool.withClient { (client) throws(MongoError) in
      _ = try client.command(fixture.database, ["insert": "readings", "documents": [.document(late)]])
    }
    try eventually("the late copy is removed") {
      if readingsKeepComing { try another() }
      return sink.metric("sluice_sink_late_copies_total") == 1
    }
    try fixture.expectStored(0..<count)
    // What was summarised while it was there is summarised again.
    try fixture.pool.withClient { (client) throws(MongoError) in
      _ = try client.updateMany(
        fixture.database, DatabaseSchema.ledger, filter: ["claims.epoch": 0],
        update: ["$set": ["claims.$.settled": true]])
    }
    let hour = try #require(ts?.date) / SummaryPlan.hour
    try eventually("its hour is due") {
      let device = try fixture.pool.withClient { (client) throws(MongoError) in
        try client.findOne(fixture.database, DatabaseSchema.devices, filter: ["_id": "device-3"])
      }
      return device?["due"]?.document?["h\(hour)"]?.int != nil
    }
  }

  @Test(arguments: Layout.allCases) func aRestartGoesOnWhereItWas(_ layout: Layout) throws {
    let fixture = try fixture(layout)
    try fixture.startSink().stop()
    for part in 0..<3 {
      try fixture.produce(SinkFixture.readings(part * 700..<(part + 1) * 700))
      let sink = try fixture.startSink(batchReadings: 100)
      try fixture.expectStored(0..<(part + 1) * 700)
      sink.stop()
    }
  }
}
