import Foundation
import HTTP
import HTTPClient
import Kafka
import Operations
import TestServers
import Testing

/// What clients are told while Kafka is away, hangs or is slow, with a Kafka in this process.
@Suite struct KafkaFaultTests {
  /// Answers that must not have waited for Kafka take no part of this.
  private static let atOnce: Duration = .seconds(5)

  private func options(
    deliveryTimeout: Duration = .seconds(30), queueMessages: Int = 100_000, isKafkaUp: Bool = true
  ) -> Served.Options {
    var options = Served.Options()
    options.deliveryTimeout = deliveryTimeout
    options.queueMessages = queueMessages
    options.isKafkaUp = isKafkaUp
    return options
  }

  @Test func startsWithoutKafkaAndRecoversByItself() throws {
    try withServed(options(isKafkaUp: false)) { served in
      let answer = try served.post(reading(), timeout: Self.atOnce)
      #expect(answer.status == 503 && apiErrorCode(answer.text) == "unavailable")
      #expect(answer.header("Retry-After") == "2" && answer.text.contains("nothing was accepted"))
      #expect(!served.health.isReady)
      try eventually("the reason is known") { served.unavailability?.contains("does not answer") == true }
      #expect(try served.post(reading(), timeout: Self.atOnce).text.contains("does not answer"))
      try served.cluster?.setBroker(1, up: true)
      try served.waitUntilAvailable()
      #expect(try served.post(reading("back")).status == 202)
      #expect(served.health.isReady)
      #expect(try served.stored().map(\.key) == ["back"])
    }
  }

  /// A broker that goes away, and one that hangs.
  @Test(arguments: [false, true])
  func givesUpWhatIsInFlightAndRefusesWhatIsNew(_ hangs: Bool) throws {
    try withServed(options(deliveryTimeout: .seconds(2))) { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("before")).status == 202)
      if hangs {
        try cluster.setRoundTripTime(.seconds(60), broker: 1)
      } else {
        try cluster.setBroker(1, up: false)
      }
      // It takes a moment until that is noticed: what comes before is in flight.
      let inFlight = (0..<5).map { number in
        Background { try served.post("[\(reading("flight-\(number)")),1]") }
      }
      for answer in inFlight {
        let answer = try answer.value()
        #expect(answer.status == 503)
        if apiErrorCode(answer.text) == "undelivered", hangs {
          #expect(answer.text.contains("may still be delivered: repeat with the same ids"))
        }
        #expect(answer.header("Retry-After") != nil)
      }
      try served.waitUntilUnavailable()
      let refused = try served.post(reading("refused"), timeout: Self.atOnce)
      #expect(refused.status == 503 && apiErrorCode(refused.text) == "unavailable")
      #expect(!served.health.isReady)
      if hangs {
        try cluster.setRoundTripTime(.zero, broker: 1)
      } else {
        try cluster.setBroker(1, up: true)
      }
      try served.waitUntilAvailable()
      #expect(try served.post(reading("after")).status == 202)
      let keys = try served.stored().map(\.key)
      #expect(keys.filter { $0 == "before" }.count == 1 && keys.filter { $0 == "after" }.count == 1)
      #expect(!keys.contains("refused"))
      for number in 0..<5 { #expect(keys.filter { $0 == "flight-\(number)" }.count <= 1) }
      #expect(served.metric("sluice_http_body_bytes") == 0)
    }
  }

  @Test func refusesAtOnceWhenTheQueueIsFull() throws {
    try withServed(options(queueMessages: 10)) { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading()).status == 202)
      func send() throws -> Background<HTTPResponse> {
        try cluster.setRoundTripTime(.seconds(10), broker: 1)
        return Background { try served.post("[\((0..<10).map { reading("waiting-\($0)") }.joined(separator: ","))]") }
      }
      var waiting = try send()
      try eventually(timeout: .seconds(90), "the queue is full") {
        if served.metric("sluice_kafka_queue_messages") >= 10 { return true }
        if waiting.hasEnded {
          // On a busy machine it came after Kafka had been found to hang.
          try cluster.setRoundTripTime(.zero, broker: 1)
          try served.waitUntilAvailable()
          waiting = try send()
        }
        return false
      }
      let refused = try served.post(reading("refused"), timeout: Self.atOnce)
      #expect(refused.status == 503 && refused.text.contains("queue") && refused.header("Retry-After") == "2")
      #expect(try waiting.value().status == 202)
      try cluster.setRoundTripTime(.zero, broker: 1)
      // A request that is larger than the queue is taken when that is empty: it would never fit otherwise.
      try eventually("the queue is empty") { served.metric("sluice_kafka_queue_messages") == 0 }
      // The probe had to wait too.
      try served.waitUntilAvailable()
      let large = try served.post("[\((0..<20).map { reading("large-\($0)") }.joined(separator: ","))]")
      #expect(large.status == 202)
      let keys = try served.stored().map(\.key)
      #expect(keys.count == 31 && !keys.contains("refused"))
    }
  }

  /// The broker refuses one of the batches that the readings of a request are sent in, for good.
  @Test func saysWhichReadingsOfARequestAreNotStored() throws {
    try withServed { served in
      let cluster = try #require(served.cluster)
      let tooLarge = KafkaError.Code.messageTooLarge
      try cluster.fail(.produce, with: [tooLarge])
      // Every fourth item is no reading; the others are spread over the partitions by their devices.
      let items = (0..<40).map { $0 % 4 == 3 ? "{}" : reading("device-\($0)") }
      let answer = try served.post("[\(items.joined(separator: ","))]")
      #expect(answer.status == 207)
      let object = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
      let errors = object?["errors"] as? [[String: Any]] ?? []
      let indices = errors.compactMap { $0["index"] as? Int }
      #expect(indices == indices.sorted() && indices.count > 10 && indices.count < 40)
      #expect(object?["rejected"] as? Int == indices.count && object?["accepted"] as? Int == 40 - indices.count)
      let stored = try served.stored().map(\.key)
      #expect(Set(stored) == Set((0..<40).filter { !indices.contains($0) }.map { "device-\($0)" }))
      #expect(stored.count == 40 - indices.count)
      #expect(served.metric("sluice_kafka_failed_total") == indices.count - 10)

      try cluster.fail(.produce, with: [tooLarge])
      let alone = try served.post(reading("alone"))
      #expect(alone.status == 413 && apiErrorCode(alone.text) == "too_large")
      #expect(try served.post(reading("after")).status == 202)
    }
  }

  @Test func aClientThatLeavesDoesNotCancelItsReadings() throws {
    try withServed { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("first")).status == 202)
      try cluster.setRoundTripTime(.seconds(1), broker: 1)
      do {
        let body = "[\((0..<100).map { reading("left-\($0)") }.joined(separator: ","))]"
        let connection = try RawConnection(served.server.port)
        connection.sendHead("Content-Length: \(body.utf8.count)")
        connection.send(body)
        try eventually("it was handed over") { served.metric("sluice_kafka_produced_total") == 101 }
        #expect(served.server.requestsInProgress == 1)
        connection.reset()
      }
      try eventually("it is on the topic") { served.metric("sluice_kafka_acknowledged_total") == 101 }
      try eventually("nothing is left of it") {
        served.server.requestsInProgress == 0 && served.server.connectionCount == 0
          && served.metric("sluice_http_body_bytes") == 0
      }
      try cluster.setRoundTripTime(.zero, broker: 1)
      #expect(try served.stored().count == 101)
    }
  }

  @Test func finishesWhatIsInFlightWhenItStops() throws {
    try withServed { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("first")).status == 202)
      try cluster.setRoundTripTime(.seconds(1), broker: 1)
      let port = served.server.port
      let kept = try RawConnection(port)
      let inFlight = (0..<10).map { number in Background { try served.post(reading("flight-\(number)")) } }
      try eventually("all are handed over") { served.metric("sluice_kafka_produced_total") == 11 }
      let stopping = Background { served.stop() }
      for answer in inFlight { #expect(try answer.value().status == 202) }
      try stopping.value()
      #expect(throws: TestServerError.self) { try RawConnection(port) }
      kept.sendHead("Content-Length: 0")
      #expect(throws: TestServerError.self) { try kept.receive() }
      #expect(served.metric("sluice_kafka_acknowledged_total") == 11)
    }
  }

  /// When Kafka hangs as well, nobody is told that a reading is stored which may not be.
  @Test func stopsInTimeWhenKafkaHangs() throws {
    try withServed { served in
      let cluster = try #require(served.cluster)
      #expect(try served.post(reading("first")).status == 202)
      try cluster.setRoundTripTime(.seconds(60), broker: 1)
      let inFlight = Background { try served.post(reading("flight")) }
      try eventually("it is handed over") { served.metric("sluice_kafka_produced_total") == 2 }
      served.server.stop(timeout: .milliseconds(200))
      let answer = try inFlight.value()
      #expect(answer.status == 503 && answer.header("Retry-After") != nil)
      #expect(!answer.text.contains("nothing was accepted"))
    }
  }
}
