import Foundation
import Synchronization
import Testing

@testable import Operations

@Suite struct HealthTests {
  @Test func readyWhenAllPartsAre() {
    let health = Health()
    #expect(!health.isReady, "nobody has said that anything works")
    let kafka = health.component("kafka")
    let mongo = health.component("mongodb")
    #expect(kafka.state == .starting && !health.isReady)
    kafka.set(.ok)
    #expect(!health.isReady)
    mongo.set(.ok)
    #expect(health.isReady)
    mongo.set(.failing("gone"))
    #expect(!health.isReady)
    mongo.set(.ok)
    #expect(health.isReady)
  }

  @Test func sameNameIsSamePart() {
    let health = Health()
    #expect(health.component("kafka") === health.component("kafka"))
    #expect(health.component("kafka") !== health.component("mongodb"))
  }

  @Test func report() {
    let time = Mutex<Int64>(0)
    let health = Health(now: { time.withLock { $0 } })
    #expect(String(decoding: health.report(), as: UTF8.self) == #"{"ready":false,"components":{}}"#)
    let kafka = health.component("kafka")
    health.component("mongodb").set(.ok)
    time.withLock { $0 = 1_795_227_318_070 }
    kafka.set(.failing("first"))
    time.withLock { $0 += 5_000 }
    kafka.set(.failing("no \"broker\"\n"))
    #expect(
      String(decoding: health.report(), as: UTF8.self)
        == #"{"ready":false,"components":{"kafka":{"state":"failing","reason":"no \"broker\"\n","#
        + #""since":"2026-11-21T02:15:18.070Z"},"mongodb":{"state":"ok","since":"1970-01-01T00:00:00.000Z"}}}"#)
    kafka.set(.ok)
    let read = try? JSONSerialization.jsonObject(with: Data(health.report())) as? [String: Any]
    #expect(read?["ready"] as? Bool == true)
    let parts = read?["components"] as? [String: [String: String]]
    #expect(parts?["kafka"] == ["state": "ok", "since": "2026-11-21T02:15:23.070Z"])
  }
}
