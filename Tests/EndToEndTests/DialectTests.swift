import Foundation
import HTTPClient
import MQTT
import MongoDB
import Operations
import TestServers
import Testing

private let servers = KafkaServer.isAvailable && MongoServer.isAvailable && MosquittoServer.isAvailable

/// One message of each kind of client, from its own words to the documents.
@Suite(.enabled(if: servers, "needs Kafka, MongoDB and mosquitto")) struct DialectTests {
  private static let box = "5386e5fca0a2a8a0163c8ea1"
  private static let sensor = "5386e5fca0a2a8a0163c8ea2"

  private struct Post {
    let path: String
    let type: String
    let body: String
    let status: Int
    var headers: [(String, String)] = []
  }

  private static func posts(_ time: String) -> [Post] {
    let json = "application/json"
    return [
      Post(
        path: "/api/v2/write?org=o&bucket=b&precision=ms", type: "text/plain", body: "cpu,host=influx-2 idle=1",
        status: 204),
      Post(path: "/write?db=d", type: "text/plain", body: "cpu,host=influx-1 idle=2,busy=3", status: 204),
      Post(path: "/boxes/\(box)/data", type: json, body: #"{"\#(sensor)":"4"}"#, status: 201),
      Post(path: "/boxes/\(box)/\(sensor)", type: json, body: #"{"value":5}"#, status: 201),
      Post(
        path: "/data.php", type: json, body: #"{"sensordatavalues":[{"value_type":"SDS_P1","value":"6"}]}"#,
        status: 202,
        headers: [("X-Sensor", "esp8266-1")]),
      Post(
        path: "/v1/push-sensor-data/", type: json, body: #"{"sensordatavalues":[{"value_type":"P2","value":"7"}]}"#,
        status: 202, headers: [("X-Sensor", "esp8266-1"), ("X-Pin", "1")]),
      Post(path: "/v1.1/Observations", type: json, body: #"{"result":8,"Datastream":{"@iot.id":1}}"#, status: 201),
      Post(path: "/v1.1/Datastreams(2)/Observations", type: json, body: #"{"result":9}"#, status: 201),
      Post(
        path: "/v1/ttn", type: json,
        body:
          #"{"end_device_ids":{"device_id":"ttn-1"},"uplink_message":{"decoded_payload":{"t":10},"received_at":"\#(time)"}}"#,
        status: 202),
      Post(path: "/v1/readings", type: "text/csv", body: "device,t,h\ncsv-1,11,12\n", status: 202),
      Post(
        path: "/v1/readings", type: "application/senml+json", body: #"[{"bn":"senml-1/","n":"t","v":13}]"#, status: 202),
    ]
  }

  private static func messages(_ time: String) -> [(topic: String, payload: String)] {
    [
      ("sensors/own-1/t", "14"),
      ("tele/kitchen/SENSOR", #"{"Time":"2020-01-01T00:00:00","BME280":{"Temperature":15}}"#),
      ("z2m/living room", #"{"temperature":16,"last_seen":"\#(time)"}"#),
      (
        "v3/app@ttn/devices/ttn-2/up",
        #"{"end_device_ids":{"device_id":"ttn-2"},"uplink_message":{"decoded_payload":{"t":17}}}"#
      ),
      // Nothing to store, and nothing wrong with it.
      ("z2m/bridge/logging", #"{"level":"info"}"#), ("z2m/living room/availability", #"{"state":"online"}"#),
      ("v3/app@ttn/devices/ttn-2/up", #"{"end_device_ids":{"device_id":"ttn-2"}}"#), ("tele/kitchen/STATE", "{}"),
    ]
  }

  private static let expected = [
    "influx-2 cpu.idle 1", "influx-1 cpu.idle 2", "influx-1 cpu.busy 3", "Garden Temperatur 4", "Garden Temperatur 5",
    "esp8266-1 SDS_P1 6", "esp8266-1 PM_P2 7", "datastream-1 result 8", "datastream-2 result 9", "ttn-1 t 10",
    "csv-1 t 11", "csv-1 h 12", "senml-1 t 13", "own-1 t 14", "kitchen BME280.Temperature 15",
    "living_room temperature 16", "ttn-2 t 17",
  ]

  @Test func eachIsStoredOnce() throws {
    let mosquitto = try MosquittoServer()
    let boxes = "\(TestServers.temporaryFolder("boxes"))/boxes.json"
    try #"{"_id":"\#(Self.box)","name":"Garden","sensors":[{"_id":"\#(Self.sensor)","title":"Temperatur"}]}"#
      .write(toFile: boxes, atomically: true, encoding: .utf8)
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri, mqtt: mosquitto.port,
      settings: [
        "SLUICE_MQTT_DIALECTS": "sluice,tasmota,zigbee2mqtt,ttn", "SLUICE_MQTT_ZIGBEE2MQTT_BASE": "z2m",
        "SLUICE_BOXES_FILE": boxes,
      ])
    let http = TestServers.freePort()
    try roles.start("ingest", ["--http-listen", "127.0.0.1:\(http)"])
    let bridge = try roles.start("bridge")
    try roles.start("sink")
    let time = Date.now.ISO8601Format()
    let client = try HTTPClient()
    for post in Self.posts(time) {
      let answer = try client.send(
        "POST", "http://127.0.0.1:\(http)\(post.path)", headers: [("Content-Type", post.type)] + post.headers,
        body: Array(post.body.utf8), timeout: .seconds(30))
      #expect(answer.status == post.status, "\(post.path): \(answer.text)")
    }
    let messages = Self.messages(time)
    let publisher = try MQTTPublisher(
      MQTTConfiguration(
        address: MQTTAddress(host: "127.0.0.1", port: mosquitto.port), clientID: "publisher", keepAlive: .seconds(60)))
    try publisher.connect(timeout: .seconds(10))
    defer { publisher.disconnect() }
    for message in messages {
      _ = try Array(message.payload.utf8).withUnsafeBytes {
        try publisher.publish(message.topic, payload: $0, qos: 1, retain: false)
      }
    }
    var acknowledged: [Int] = []
    try eventually("the bridge is done with them all") {
      try publisher.step(timeout: .milliseconds(50), acknowledged: &acknowledged)
      return try roles.metric("sluice_mqtt_acknowledged_total", at: bridge.management) == messages.count
    }
    #expect(try roles.metric("sluice_mqtt_empty_total", at: bridge.management) == 4)
    try roles.awaitCommitted(Self.expected.count)
    #expect(try documents(roles).sorted() == Self.expected.sorted())
  }

  /// `device sensor value` of all readings.
  private func documents(_ roles: Roles) throws -> [String] {
    let pool = try MongoPool(uri: roles.mongo, applicationName: "tests", maximumSize: 1, timeout: .seconds(60))
    defer { pool.close() }
    var found: [String] = []
    try pool.withClient { (client) throws(MongoError) in
      try client.find(roles.database, "readings", filter: [:], options: [:]) { document in
        let meta = document["meta"]?.document
        let value = document["value"]?.double ?? .nan
        found.append(
          "\(meta?["device"]?.string ?? "-") \(meta?["sensor"]?.string ?? "-") "
            + (Int(exactly: value).map { "\($0)" } ?? "\(value)"))
      }
    }
    return found
  }
}
