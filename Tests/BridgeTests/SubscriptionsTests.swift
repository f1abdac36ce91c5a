import Testing

@testable import Bridge

@Suite struct SubscriptionsTests {
  @Test func givesUpAllKnownOnesButTheWanted() {
    let shared = Subscriptions(to: ["a/+"], known: ["a/+", "b/#", "b/#"], group: "g", usualGroup: "usual")
    #expect(shared.wanted == ["$share/g/a/+"])
    #expect(shared.former == ["a/+", "b/#", "$share/g/b/#", "$share/usual/a/+", "$share/usual/b/#"])
    let usual = Subscriptions(to: ["a/+", "b/#"], known: ["a/+", "b/#"], group: "usual", usualGroup: "usual")
    #expect(usual.wanted == ["$share/usual/a/+", "$share/usual/b/#"])
    #expect(usual.former == ["a/+", "b/#"])
    let ordinary = Subscriptions(to: ["b/#"], known: ["a/+", "b/#"], group: nil, usualGroup: "usual")
    #expect(ordinary.wanted == ["b/#"])
    #expect(ordinary.former == ["a/+", "$share/usual/a/+", "$share/usual/b/#"])
  }
}
