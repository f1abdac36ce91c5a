import Dialects
import Readings
import Testing

@Suite struct SensorCommunityTests {
  private func values(
    _ body: String, sensor: String? = "esp8266-12345678", pin: String? = nil, limit: Int = 100
  ) -> [String] {
    outcome(body, limit: limit) { body, context, batch, errors in
      try SensorCommunity.decode(
        padded: body, sensor: sensor, pin: pin, now: arrival, context: context, into: batch, errors: &errors)
    }
  }

  private static let firmware = #","tags":{"software_version":"NRZ-2024-135"}"#
  private static func body(_ values: String) -> String {
    #"{"esp8266id":"12345678","software_version":"NRZ-2024-135","sensordatavalues":[\#(values)]}"#
  }
  private static func value(_ type: String, _ value: String) -> String {
    #"{"value_type":"\#(type)","value":"\#(value)"}"#
  }

  @Test func takesTheCustomAPI() {
    let values = [
      ("SDS_P1", "5.38"), ("SDS_P2", "4.98"), ("BME280_temperature", "24.98"), ("BME280_humidity", "39.60"),
      ("BME280_pressure", "100520.25"), ("samples", "580590"), ("min_micro", "216"), ("signal", "-59 dBm"),
      ("signal", "-38"),
    ].map(Self.value).joined(separator: ",")
    let device = "esp8266-12345678"
    #expect(
      self.values(Self.body(values)) == [
        reading(device, "SDS_P1", "5.38", #","unit":"ug/m3""# + Self.firmware),
        reading(device, "SDS_P2", "4.98", #","unit":"ug/m3""# + Self.firmware),
        reading(device, "BME280_temperature", "24.98", #","unit":"Cel""# + Self.firmware),
        reading(device, "BME280_humidity", "39.6", #","unit":"%RH""# + Self.firmware),
        reading(device, "BME280_pressure", "100520.25", #","unit":"Pa""# + Self.firmware),
        reading(device, "samples", "580590", Self.firmware), reading(device, "min_micro", "216", Self.firmware),
        reading(device, "signal", "-59", #","unit":"dBm""# + Self.firmware),
        reading(device, "signal", "-38", #","unit":"dBm""# + Self.firmware),
      ])
  }

  @Test func namesTheDeviceAndTheSensorsOfOnePin() {
    let body = #"{"sensordatavalues":[\#(Self.value("temperature", "1"))]}"#
    let celsius = #","unit":"Cel""#
    #expect(values(body, pin: "11") == [reading("esp8266-12345678", "BME280_temperature", "1", celsius)])
    #expect(values(body, pin: "99") == [reading("esp8266-12345678", "pin99_temperature", "1", celsius)])
    #expect(values(Self.body(Self.value("a", "1")), sensor: nil).first?.contains("esp8266-12345678") == true)
    #expect(
      values(body, sensor: nil)
        == [#"malformed("the header X-Sensor or the member esp8266id must name the device")"#])
  }

  @Test func takesPositions() {
    let gps = [
      ("GPS_lat", "51.97"), ("GPS_lon", "7.68"), ("GPS_height", "66"), ("GPS_timestamp", "2026-01-01T00:00:00"),
    ]
    let body = #"{"sensordatavalues":[\#(gps.map(Self.value).joined(separator: ","))]}"#
    let place = #","location":[7.68,51.97,66]"#
    #expect(
      values(body) == [
        reading("esp8266-12345678", "GPS_lat", "51.97", place), reading("esp8266-12345678", "GPS_lon", "7.68", place),
        reading("esp8266-12345678", "GPS_height", "66", place),
        reading("esp8266-12345678", "GPS_timestamp", #""2026-01-01T00:00:00""#, place),
      ])
    let none = #"{"sensordatavalues":[\#(Self.value("GPS_lat", "-200")),\#(Self.value("GPS_lon", "-200"))]}"#
    #expect(values(none).allSatisfy { !$0.contains("location") })
  }

  @Test func refusesValues() {
    let body =
      #"{"sensordatavalues":[{"value_type":"a","value":"nan"},{"value":"1"},{"value_type":"b"},{"value_type":"c","value":"x"},{"value_type":"d","value":null},{"value_type":"e","value":2},7,{"value_type":"f","value":""}]}"#
    #expect(
      values(body) == [
        reading("esp8266-12345678", "e", "2"),
        "0 invalid a: must be finite; leave a reading out that has no value", "1 missing value_type: is required",
        "2 missing b: is required", "3 invalid c: must be a number, and is 'x'",
        "4 shape d: must be a string with a number", "6 missing value_type: is required",
        "7 invalid f: must be a number, and is ''",
      ])
    #expect(values(#"{"sensordatavalues":[]}"#) == ["empty"])
    for body in ["{}", "[]", "7", #"{"sensordatavalues":{}}"#] {
      #expect(values(body) == [#"malformed("the body must be a JSON object with an array sensordatavalues")"#])
    }
    #expect(values("").first?.hasPrefix("malformed") == true)
    #expect(values(body, limit: 2) == ["tooManyReadings(limit: 2)"])
  }
}

@Suite struct SensorThingsTests {
  private func observations(_ body: String, path: String = "/v1.1/Observations", limit: Int = 100) -> [String] {
    outcome(body, limit: limit) { body, context, batch, errors in
      try SensorThings.decode(
        padded: body, stream: SensorThings.stream(inPath: path),
        streams: ["7": .init(device: "Garden 1", sensor: "temperature", unit: "Cel")], now: arrival, context: context,
        into: batch, errors: &errors)
    }
  }

  @Test func takesObservations() {
    // From the standard's examples (18-088, section 10).
    #expect(
      observations(#"{"phenomenonTime":"2017-02-07T18:02:00.000Z","result":21.6,"Datastream":{"@iot.id":8}}"#)
        == [reading("datastream-8", "result", "21.6", #","ts":"2017-02-07T18:02:00.000Z""#)])
    #expect(
      observations(
        #"{"result":true,"resultTime":null,"phenomenonTime":null}"#, path: "/v1.1/Datastreams(7)/Observations")
        == [reading("Garden_1", "temperature", "true", #","unit":"Cel""#)])
    #expect(
      observations(
        #"{"result":"on","phenomenonTime":"2026-01-01T00:00:00Z/2026-01-01T02:00:00+01:00","FeatureOfInterest":{"feature":{"type":"Point","coordinates":[-117.123,54.123]}}}"#,
        path: "/v1.1/Datastreams('a b')/Observations") == [
          reading(
            "datastream-a_b", "result", #""on""#, #","ts":"2026-01-01T01:00:00.000Z","location":[-117.123,54.123]"#)
        ])
  }

  @Test func refusesObservations() {
    let body =
      #"[{"result":1},{"Datastream":{"@iot.id":1}},{"Datastream":{"@iot.id":1.5},"result":1},{"Datastream":{"@iot.id":1},"result":[1]},{"Datastream":{"@iot.id":1},"result":1,"phenomenonTime":"now"},{"Datastream":{"@iot.id":1},"result":1,"phenomenonTime":7},8]"#
    #expect(
      observations(body) == [
        #"0 missing Datastream: is required: {"@iot.id":…}, or Datastreams(…) in the path"#,
        "1 missing result: is required", "2 shape Datastream: @iot.id must be a whole number or a text",
        "3 shape result: must be a number, true, false or a string",
        "4 invalid phenomenonTime: must be a time such as 2026-11-21T02:15:18.070Z, or two with / between them",
        "5 shape phenomenonTime: must be a string such as 2026-11-21T02:15:18.070Z",
        "6 shape an observation must be a JSON object",
      ])
    #expect(observations("7") == [#"malformed("must be an observation, a JSON object")"#])
    #expect(observations("[]") == ["empty"])
    #expect(observations(body, limit: 3) == ["tooManyReadings(limit: 3)"])
  }

  @Test func findsTheStreamInAPath() {
    #expect(SensorThings.stream(inPath: "/v1.1/Datastreams(1)/Observations") == "1")
    #expect(SensorThings.stream(inPath: "/FROST-Server/v1.1/Datastreams('a')/Observations") == "a")
    for path in ["/v1.1/Observations", "/v1.1/Datastreams()/Observations", "/v1.1/Datastreams(1", ""] {
      #expect(SensorThings.stream(inPath: path) == nil)
    }
  }
}

@Suite struct TheThingsNetworkTests {
  private func uplink(_ body: String, topic: String? = nil, limit: Int = 100) -> [String] {
    outcome(body, limit: limit) { body, context, batch, errors in
      guard let topic else {
        return try TheThingsNetwork.decode(padded: body, now: arrival, context: context, into: batch, errors: &errors)
      }
      try Array(topic.utf8).withUnsafeBytes {
        try TheThingsNetwork.decode(
          topic: $0, payload: body, now: arrival, context: context, into: batch, errors: &errors)
      }
    }
  }

  private static let body =
    #"{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"00BCB929"},"correlation_ids":["as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"],"received_at":"2026-02-12T15:15:45.787Z","uplink_message":{"session_key_id":"AXA50tHUQUucNzHRFQ==","f_port":2,"f_cnt":15,"frm_payload":"AQ==","decoded_payload":{"temperature":21.5,"door":true,"gps":{"lat":51.9,"sats":[1,null,"a"]}},"rx_metadata":[{"rssi":-35,"snr":5.2}],"locations":{"user":{"latitude":51.9,"longitude":7.6,"altitude":60,"source":"SOURCE_REGISTRY"}},"received_at":"2026-02-12T15:15:45.700123456Z"}}"#

  private static func expected(_ sensor: String, _ value: String) -> String {
    reading(
      "dev1", sensor, value,
      #","ts":"2026-02-12T15:15:45.700Z","location":[7.6,51.9,60],"id":"0004A30B001C0530:AXA50tHUQUucNzHRFQ==:15/\#(sensor)","tags":{"application_id":"app1","f_port":"2"}"#
    )
  }

  @Test func takesTheWebhookAndMQTT() {
    let readings = [
      Self.expected("temperature", "21.5"), Self.expected("door", "true"), Self.expected("gps.lat", "51.9"),
      Self.expected("gps.sats.1", "1"), Self.expected("gps.sats.3", #""a""#),
    ]
    #expect(uplink(Self.body) == readings)
    #expect(uplink(Self.body, topic: "v3/app1@ttn/devices/dev1/up") == readings)
  }

  /// One id for two readings would make a repeat of the second.
  @Test func namesThatBecomeOneHaveIdsThatDiffer() {
    func body(_ payload: String) -> String {
      #"{"end_device_ids":{"device_id":"d","dev_eui":"00"},"uplink_message":{"session_key_id":"k","decoded_payload":\#(payload)}}"#
    }
    func expected(_ sensor: String, _ value: String, _ id: String) -> String {
      reading("d", sensor, value, #","id":"00:k:0/\#(id)","tags":{"f_port":"0"}"#)
    }
    #expect(
      uplink(body(#"{"temp 1":1,"temp_1":2,"a":[3],"a.1":4,"temp°1":5}"#)) == [
        expected("temp_1", "1", "temp_1"), expected("temp_1", "2", "temp_1#2"), expected("a.1", "3", "a.1"),
        expected("a.1", "4", "a.1#2"), expected("temp_1", "5", "temp_1#3"),
      ])
    // Where there is no room for the number, there is no id.
    let long = String(repeating: "x", count: 121)
    #expect(
      uplink(body(#"{"\#(long)":1,"\#(long)":2}"#)) == [
        expected(long, "1", long), reading("d", long, "2", #","tags":{"f_port":"0"}"#),
      ])
  }

  @Test func takesWhatIsLeftOutAsZero() {
    #expect(
      uplink(
        #"{"end_device_ids":{"device_id":"dev1","dev_eui":"00"},"received_at":"2026-02-12T15:15:45Z","uplink_message":{"session_key_id":"k","frm_payload":"AQ==","locations":{"user":{"latitude":51.9}}}}"#
      ) == [
        reading(
          "dev1", "frm_payload", #""AQ==""#,
          #","ts":"2026-02-12T15:15:45.000Z","location":[0,51.9],"id":"00:k:0/frm_payload","tags":{"f_port":"0"}"#)
      ])
    #expect(
      uplink(#"{"end_device_ids":{"device_id":"dev1"},"uplink_message":{"decoded_payload":{"a":1}}}"#)
        == [reading("dev1", "a", "1", #","tags":{"f_port":"0"}"#)])
  }

  @Test func takesOtherMessagesAsNothing() {
    #expect(uplink(#"{"end_device_ids":{"device_id":"dev1"},"join_accept":{"session_key_id":"x"}}"#) == ["empty"])
    #expect(uplink(#"{"end_device_ids":{"device_id":"dev1"},"uplink_message":{"f_port":1}}"#) == ["empty"])
  }

  @Test func refusesUplinks() {
    let many = #"{"end_device_ids":{"device_id":"dev1"},"uplink_message":{"decoded_payload":{"a":1,"b":"nan","°":3}}}"#
    #expect(
      uplink(many) == [
        reading("dev1", "a", "1", #","tags":{"f_port":"0"}"#),
        "1 invalid b: must be finite; leave a reading out that has no value",
        "2 invalid °: must have a letter or a digit",
      ])
    #expect(uplink(many, limit: 2) == ["tooManyReadings(limit: 2)"])
    #expect(uplink("{}") == [#"malformed("must be a JSON object with end_device_ids")"#])
    #expect(uplink(#"{"end_device_ids":{}}"#) == [#"malformed("end_device_ids must have a device_id")"#])
    #expect(
      uplink(Self.body, topic: "v3/app1@ttn/devices/dev2/up")
        == [#"malformed("end_device_ids.device_id differs from the device in the topic")"#])
    for topic in [
      "v3/app1@ttn/devices/dev1/join", "v3/app1@ttn/devices//up", "v2/a/devices/d/up", "v3/a/devices/d/up/x",
    ] {
      #expect(
        uplink(Self.body, topic: topic)
          == [#"malformed("the topic must be v3/{application}@{tenant}/devices/{device}/up")"#])
    }
    let deep = String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40)
    #expect(
      uplink(#"{"end_device_ids":{"device_id":"dev1"},"uplink_message":{"decoded_payload":\#(deep)}}"#).first?
        .hasPrefix("malformed") == true)
  }
}

@Suite struct TasmotaTests {
  private func telemetry(_ payload: String, topic: String = "tele/tasmota_1/SENSOR", limit: Int = 100) -> [String] {
    outcome(payload, limit: limit) { payload, context, batch, errors in
      try Array(topic.utf8).withUnsafeBytes {
        try Tasmota.decode(topic: $0, payload: payload, now: arrival, context: context, into: batch, errors: &errors)
      }
    }
  }

  @Test func takesSensors() {
    #expect(
      telemetry(
        #"{"Time":"2020-01-01T00:00:00","BME280":{"Temperature":21.5,"Humidity":40,"DewPoint":null,"Pressure":1013.2},"DS18B20-1":{"Id":"01144A0CB2AA","Temperature":22.63},"ENERGY":{"TotalStartTime":"2019-01-01T00:00:00","Power":[1,2],"Today":0.1},"Switch1":"ON","Door":"","PressureUnit":"hPa","TempUnit":"C"}"#
      ) == [
        reading("tasmota_1", "BME280.Temperature", "21.5", #","unit":"Cel""#),
        reading("tasmota_1", "BME280.Humidity", "40", #","unit":"%RH""#),
        reading("tasmota_1", "BME280.Pressure", "1013.2", #","unit":"hPa""#),
        reading("tasmota_1", "DS18B20-1.Temperature", "22.63", #","unit":"Cel","tags":{"id":"01144A0CB2AA"}"#),
        reading("tasmota_1", "ENERGY.Power.1", "1", #","unit":"W""#),
        reading("tasmota_1", "ENERGY.Power.2", "2", #","unit":"W""#),
        reading("tasmota_1", "ENERGY.Today", "0.1", #","unit":"kWh""#), reading("tasmota_1", "Switch1", "true"),
      ])
    #expect(
      telemetry(
        #"{"Time":"2026-01-01T00:00:00+01:00","AM2301":{"Temperature":70},"TempUnit":"F"}"#, topic: "tele/a/b c/SENSOR")
        == [
          reading("a/b_c", "AM2301.Temperature", "70", #","unit":"degF","ts":"2025-12-31T23:00:00.000Z""#)
        ])
  }

  @Test func takesTheState() {
    #expect(
      telemetry(
        #"{"Time":"2020-01-01T00:00:00","Uptime":"0T00:00:10","UptimeSec":10,"SleepMode":"Dynamic","POWER":"OFF","Wifi":{"AP":1,"SSId":"x","Signal":-56}}"#,
        topic: "tele/tasmota_1/STATE") == [
          reading("tasmota_1", "UptimeSec", "10"), reading("tasmota_1", "POWER", "false"),
          reading("tasmota_1", "Wifi.AP", "1"), reading("tasmota_1", "Wifi.Signal", "-56", #","unit":"dBm""#),
        ])
  }

  @Test func refusesMessages() {
    for topic in ["tele/x/LWT", "tele//SENSOR", "tele/SENSOR", "stat/x/SENSOR", "tele/xSENSOR", "", "tele/STATE"] {
      #expect(
        telemetry("{}", topic: topic)
          == [#"malformed("the topic must be tele/{device}/SENSOR or tele/{device}/STATE")"#])
    }
    #expect(telemetry("Online").first?.hasPrefix("malformed") == true)
    #expect(telemetry("[1]") == [#"malformed("must be a JSON object")"#])
    #expect(telemetry(#"{"Time":"2020-01-01T00:00:00"}"#) == ["empty"])
    #expect(
      telemetry(#"{"A":{"B":"nan"}}"#) == ["0 invalid A.B: must be finite; leave a reading out that has no value"])
    #expect(telemetry(#"{"A":1}"#, topic: "tele/°/SENSOR") == ["0 invalid topic: must have a letter or a digit"])
    #expect(telemetry(#"{"A":1,"B":2,"C":3}"#, limit: 2) == ["tooManyReadings(limit: 2)"])
  }
}

@Suite struct NamesOfOtherScriptsTests {
  private func device(_ name: String) -> String? {
    let lines = outcome(#"{"a":1}"#) { payload, context, batch, errors in
      try Array("zigbee2mqtt/\(name)".utf8).withUnsafeBytes {
        try Zigbee2MQTT.decode(
          topic: $0, payload: payload, now: arrival, context: context, into: batch, errors: &errors)
      }
    }
    return lines.first?.split(separator: "\"").dropFirst(3).first.map(String.init)
  }

  /// So little is left of them that they would be one device.
  @Test func stayApart() throws {
    let names = ["Кухня 1", "Спальня 1", "温度1", "水", "Спальня", "Кухня", "κουζίνα", "a Кухня", "a Ванна", "🏠", "1"]
    let devices = try names.map { try #require(device($0)) }
    #expect(Set(devices).count == names.count, "\(devices)")
    // For ever, or a device would be another after an update.
    #expect(devices[0] == "1-2f715234")
    #expect(devices[4] == "x-a590c6c2")
  }

  @Test(arguments: [
    ("Küche", "K_che"), ("Ölofen", "lofen"), ("°C", "C"), ("μg/m³", "g/m_"), ("CO₂ – Büro", "CO____B_ro"),
  ])
  func otherNamesStayAsTheyAre(_ name: String, _ expected: String) { #expect(device(name) == expected) }
}

@Suite struct Zigbee2MQTTTests {
  private func state(_ payload: String, topic: String = "zigbee2mqtt/lamp", limit: Int = 100) -> [String] {
    outcome(payload, limit: limit) { payload, context, batch, errors in
      try Array(topic.utf8).withUnsafeBytes {
        try Zigbee2MQTT.decode(
          topic: $0, payload: payload, now: arrival, context: context, into: batch, errors: &errors)
      }
    }
  }

  @Test func takesStates() {
    #expect(
      state(
        #"{"temperature":27.34,"humidity":44.72,"battery":100,"linkquality":120,"action":"","mode":"auto","state":"ON","contact":false,"update":{"state":"idle"},"voltage":null,"color":{"x":0.1},"last_seen":"2026-01-01T00:00:00+01:00"}"#,
        topic: "zigbee2mqtt/living room/0x00158d0001")
        == [
          ("temperature", "27.34", #","unit":"Cel""#), ("humidity", "44.72", #","unit":"%RH""#),
          ("battery", "100", #","unit":"%""#), ("linkquality", "120", ""), ("mode", #""auto""#, ""),
          ("state", "true", ""),
          ("contact", "false", ""), ("color.x", "0.1", ""),
        ].map { reading("living_room/0x00158d0001", $0.0, $0.1, $0.2 + #","ts":"2025-12-31T23:00:00.000Z""#) })
    #expect(
      state(#"{"state":"OFF","last_seen":1767225600000}"#)
        == [reading("lamp", "state", "false", #","ts":"2026-01-01T00:00:00.000Z""#)])
    #expect(state(#"{"a":1,"last_seen":"N/A"}"#) == [reading("lamp", "a", "1")])
  }

  @Test(arguments: [
    "zigbee2mqtt/bridge/state", "zigbee2mqtt/bridge/devices", "zigbee2mqtt/lamp/availability", "zigbee2mqtt/lamp/set",
    "zigbee2mqtt/lamp/set/state", "zigbee2mqtt/lamp/get", "zigbee2mqtt/a/b/get/x", "zigbee2mqtt/", "zigbee2mqtt",
    "zigbee2mqttx/lamp", "other/lamp", "", "zigbee2mqtt/bridge",
  ])
  func leavesOutWhatIsNoState(_ topic: String) { #expect(state(#"{"state":"ON"}"#, topic: topic) == ["empty"]) }

  @Test func refusesPayloads() {
    #expect(state("") == ["empty"])
    #expect(state("{}") == ["empty"])
    #expect(state("online").first?.hasPrefix("malformed") == true)
    #expect(state("7") == [#"malformed("must be a JSON object")"#])
    #expect(
      state(#"{"a":"inf","b":1}"#)
        == [reading("lamp", "b", "1"), "0 invalid a: must be finite; leave a reading out that has no value"])
    #expect(state(#"{"a":1}"#, topic: "zigbee2mqtt/°") == ["0 invalid topic: must have a letter or a digit"])
    #expect(state(#"{"a":1,"b":2,"c":3}"#, limit: 2) == ["tooManyReadings(limit: 2)"])
    #expect(state(#"{"a":1,"last_seen":1}"#).first?.hasPrefix("0 expired") == true)
  }
}
