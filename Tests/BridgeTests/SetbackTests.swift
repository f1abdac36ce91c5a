import Testing

@testable import Bridge
@testable import MQTT

@Suite struct SetbackTests {
  @Test func saysWhatHelpsWhereSharedSubscriptionsAreRefused() {
    func description(_ filter: String) -> String {
      "\(Setback.broker(MQTTError(.subscriptionRefused(filter: filter), "refused \(filter)", code: 128)))"
    }
    #expect(
      description("$share/sluice/v3/+/devices/+/up")
        == "MQTT: refused $share/sluice/v3/+/devices/+/up (128); "
        + "where the broker has no shared subscriptions, set SLUICE_MQTT_SHARE= (empty)")
    #expect(description("v3/+/devices/+/up") == "MQTT: refused v3/+/devices/+/up (128)")
  }
}
