import Testing

@testable import Sink

@Suite struct GroupPlaceTests {
  private var place = GroupPlace(now: .seconds(100))

  private mutating func state(_ seconds: Int, kafka isKafkaThere: Bool = true) -> GroupPlace.State {
    place.state(at: .seconds(seconds), isKafkaThere: isKafkaThere)
  }

  @Test mutating func joiningMayTakeAWhile() {
    #expect(state(100) == .between)
    #expect(state(114) == .between)
    #expect(state(115) == .out)
    place.joined()
    #expect(state(1_000) == .within)
  }

  @Test mutating func soMayARebalance() {
    place.joined()
    place.left(at: .seconds(200))
    #expect(state(214) == .between)
    place.joined()
    place.left(at: .seconds(220))
    #expect(state(234) == .between)
    #expect(state(235) == .out)
  }

  @Test mutating func withoutKafkaItIsNoTroubleOfItsOwn() {
    #expect(state(1_000, kafka: false) == .between)
    #expect(state(1_014) == .between)
    #expect(state(1_015) == .out)
    #expect(state(1_016, kafka: false) == .between)
    #expect(state(1_030) == .between)
    place.joined()
    #expect(state(2_000, kafka: false) == .within)
  }
}
