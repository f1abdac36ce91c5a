import TestServers
import Testing

@testable import FaultSuite

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// The fault suite's form for a minute. `make faults` is the long one.
@Suite(.enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct ShortRunTests {
  @Test func nothingIsLostAndNothingIsThereTwice() throws {
    var plan = FaultRun.Plan(seed: 20_261_121, sluice: TestServers.sluice)
    plan.isShort = true
    plan.rate = 600
    plan.patience = .seconds(120)
    let verdict = try FaultRun(plan).run()
    #expect(verdict.isClean)
  }
}
