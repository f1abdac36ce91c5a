import Dialects
import Readings
import Testing

@Suite struct SenMLTests {
  private func pack(_ body: String, device: String? = nil, limit: Int = 100, bounds: TimeBounds = wideBounds)
    -> [String]
  {
    outcome(body, limit: limit, bounds: bounds, hasRelativeTimes: true) { body, context, batch, errors in
      try SenML.decode(
        padded: body, device: device, now: arrival, context: context, into: batch, errors: &errors)
    }
  }

  // MARK: The examples of RFC 8428, section 5.1

  @Test func takesASingleDatapoint() {
    #expect(
      pack(#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#)
        == [reading("urn:dev:ow:10e2073a01080063", "Cel", "23.1", #","unit":"Cel""#)])
  }

  @Test func takesMultipleDatapoints() {
    #expect(
      pack(
        #"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]"#)
        == [
          reading("urn:dev:ow:10e2073a01080063", "voltage", "120.1", #","unit":"V""#),
          reading("urn:dev:ow:10e2073a01080063", "current", "1.2", #","unit":"A""#),
        ])
    let device = "urn:dev:ow:10e2073a0108006"
    func ampere(_ value: String, _ ts: String) -> String {
      reading(device, "current", value, #","unit":"A","ts":"2010-06-08T18:01:\#(ts).001Z""#)
    }
    let resolved = [
      reading(device, "voltage", "120.1", #","unit":"V","ts":"2010-06-08T18:01:16.001Z""#), ampere("1.2", "11"),
      ampere("1.3", "12"), ampere("1.4", "13"), ampere("1.5", "14"), ampere("1.6", "15"), ampere("1.7", "16"),
    ]
    #expect(
      pack(
        #"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},{"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","t":-3,"v":1.4},{"n":"current","t":-2,"v":1.5},{"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]"#
      ) == resolved)
    // Section 5.1.4: the same, resolved.
    #expect(
      pack(
        #"[{"n":"urn:dev:ow:10e2073a0108006:voltage","u":"V","t":1.276020076001e+09,"v":120.1},{"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1.276020071001e+09,"v":1.2}]"#
      ) == Array(resolved.prefix(2)))
  }

  @Test func takesMultipleMeasurements() {
    // A sensor that moves: the unit is what tells its parameters apart.
    let device = "urn:dev:ow:10e2073a01080063"
    #expect(
      pack(
        #"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},{"u":"lon","v":24.30621},{"u":"lat","v":60.07965},{"t":60,"v":20.3},{"u":"lon","t":60,"v":24.30622},{"u":"%EL","t":150,"v":98}]"#
      ) == [
        reading(device, "RH", "20", #","unit":"%RH","ts":"2011-10-31T13:24:24.000Z""#),
        reading(device, "lon", "24.30621", #","unit":"lon","ts":"2011-10-31T13:24:24.000Z""#),
        reading(device, "lat", "60.07965", #","unit":"lat","ts":"2011-10-31T13:24:24.000Z""#),
        reading(device, "RH", "20.3", #","unit":"%RH","ts":"2011-10-31T13:25:24.000Z""#),
        reading(device, "lon", "24.30622", #","unit":"lon","ts":"2011-10-31T13:25:24.000Z""#),
        reading(device, "EL", "98", #","unit":"%EL","ts":"2011-10-31T13:26:54.000Z""#),
      ])
  }

  @Test func takesMultipleDataTypes() {
    let device = "urn:dev:ow:10e2073a01080063"
    #expect(
      pack(
        #"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]"#
      ) == [
        reading(device, "temp", "23.1", #","unit":"Cel""#), reading(device, "label", #""Machine Room""#),
        reading(device, "open", "false"), reading(device, "nfc-reader", #""aGkgCg""#),
      ])
  }

  @Test func takesACollection() {
    #expect(
      pack(
        #"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":27.2},{"n":"humidity","u":"%RH","v":80},{"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},{"n":"humidity","u":"%RH","v":67}]"#
      )
        == [
          ("2001:db8::2", "temperature", "27.2", "Cel"), ("2001:db8::2", "humidity", "80", "%RH"),
          ("2001:db8::1", "temperature", "12.3", "Cel"), ("2001:db8::1", "humidity", "67", "%RH"),
        ].map { reading($0.0, $0.1, $0.2, #","unit":"\#($0.3)","ts":"2011-10-31T16:27:09.000Z""#) })
  }

  @Test func takesActuators() {
    #expect(
      pack(#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1,"ut":10}]"#)
        == [reading("urn:dev:ow:10e2073a01080063", "temp", "23.1", #","unit":"Cel""#)])
    // Section 7 and 6 have the same pack; this is that of section 5.1.8 on setting a light.
    #expect(
      pack(#"[{"bt":1.320067464e+09,"bu":"/","bn":"urn:dev:mac:0024befffe804ff1/","n":"r","v":0.5},{"n":"g","v":1}]"#)
        == [
          reading("urn:dev:mac:0024befffe804ff1", "r", "0.5", #","unit":"/","ts":"2011-10-31T13:24:24.000Z""#),
          reading("urn:dev:mac:0024befffe804ff1", "g", "1", #","unit":"/","ts":"2011-10-31T13:24:24.000Z""#),
        ])
  }

  // MARK: Resolution

  @Test func addsBaseValuesAndSums() {
    #expect(
      pack(#"[{"bn":"d/","bv":10,"bs":100,"n":"a","v":1.5,"s":2},{"n":"b","v":2},{"n":"c","s":1}]"#) == [
        reading("d", "a", "11.5"), reading("d", "a.sum", "102"), reading("d", "b", "12"), reading("d", "b.sum", "100"),
        reading("d", "c.sum", "101"),
      ])
    #expect(pack(#"[{"bn":"d/","bv":10,"n":"a"}]"#) == [reading("d", "a", "10")])
  }

  @Test func readsRelativeTimes() {
    let ts = #","ts":"2026-11-21T02:15:13.070Z""#
    #expect(pack(#"[{"n":"d/a","t":-5,"v":1}]"#) == [reading("d", "a", "1", ts)])
    #expect(pack(#"[{"bt":-4.5,"n":"d/a","t":-0.5,"v":1}]"#) == [reading("d", "a", "1", ts)])
    #expect(
      pack(#"[{"n":"d/a","t":268435456,"v":1}]"#, bounds: .init(futureTolerance: 0, retention: 1 << 60)).count == 1)
    #expect(pack(#"[{"n":"d/a","t":268435456,"v":1}]"#).first?.contains("1978-07-04T21:24:16.000Z") == true)
    #expect(pack(#"[{"n":"d/a","t":268435455,"v":1}]"#).first?.hasPrefix("0 future") == true)
    #expect(pack(#"[{"n":"d/a","t":1e300,"v":1}]"#) == ["0 invalid t: is no time in seconds"])
  }

  @Test(arguments: [
    (#"[{"bn":"dev1","n":"temp","v":1}]"#, "dev1", "temp"), (#"[{"bn":"dev1:","n":"a/b","v":1}]"#, "dev1", "a/b"),
    (#"[{"n":"room/dev1/temp","v":1}]"#, "room/dev1", "temp"), (#"[{"n":"dev1:temp","v":1}]"#, "dev1", "temp"),
    (#"[{"n":"urn:dev:mac:0024befffe804ff1_temp","v":1}]"#, "urn:dev:mac:0024befffe804ff1", "temp"),
    (#"[{"n":"urn:dev:mac:0024befffe804ff1","v":1}]"#, "urn:dev:mac:0024befffe804ff1", "value"),
    (#"[{"n":"temp","v":1}]"#, "implied", "temp"), (#"[{"bn":"temp","v":1}]"#, "implied", "temp"),
  ])
  func findsDeviceAndSensor(_ body: String, _ device: String, _ sensor: String) {
    #expect(pack(body, device: "implied") == [reading(device, sensor, "1")])
  }

  @Test(arguments: [
    (#"[{"v":1}]"#, "0 missing n: is required, or a base name bn"),
    (
      #"[{"n":"temp","v":1}]"#,
      "0 missing n: has no device in it: put the device before the sensor, as in urn:dev:mac:0024befffe804ff1:temperature"
    ),
    (
      #"[{"n":"-d/a","v":1}]"#,
      "0 invalid n: must be of A-Z a-z 0-9 - : . / _ with its base, and begin with a letter or digit"
    ),
    (
      #"[{"n":"d/ä","v":1}]"#,
      "0 invalid n: must be of A-Z a-z 0-9 - : . / _ with its base, and begin with a letter or digit"
    ),
    (#"[{"n":"d/a"}]"#, "0 missing v: is required: one of v, vs, vb, vd and s"),
    (#"[{"n":"d/a","v":1,"vs":"x"}]"#, "0 shape must have only one of v, vs, vb and vd"),
    (#"[{"n":"d/a","v":"1"}]"#, "0 shape v: must be a number"),
    (#"[{"n":"d/a","v":null}]"#, "0 shape v: must be a number"),
    (#"[{"n":"d/a","vb":1}]"#, "0 shape vb: must be true or false"),
    (#"[{"n":"d/a","vs":1}]"#, "0 shape vs: must be a string"), (#"[{"n":7,"v":1}]"#, "0 shape n: must be a string"),
    (#"[{"n":"d/a","t":"now","v":1}]"#, "0 shape t: must be a number"),
    (#"[{"n":"d/a","bv":1.7e308,"v":1.7e308}]"#, "0 invalid v: is beyond the largest number, 1.8e308, with its base"),
    ("[7]", "0 shape a record must be a JSON object"),
  ])
  func refusesARecord(_ body: String, _ refusal: String) { #expect(pack(body) == [refusal]) }

  @Test(arguments: [
    ("{}", "a SenML pack must be a JSON array of records"),
    (#"[{"n":"d/a","v":1},{"bn":7}]"#, "record 1: bn must be a string"),
    (#"[{"bt":"1","n":"d/a","v":1}]"#, "record 0: bt must be a number"),
    (#"[{"bver":11,"n":"d/a","v":1}]"#, "record 0: bver is above 10, the version that is understood here"),
    (#"[{"bver":5,"n":"d/a","v":1},{"bver":10,"n":"d/a","v":1}]"#, "record 1: bver must be the same in the whole pack"),
    (#"[{"n":"d/a","v":1,"foo_":1}]"#, "record 0: the field foo_ must be understood, and is not"),
  ])
  func refusesAPack(_ body: String, _ reason: String) { #expect(pack(body) == ["malformed(\"\(reason)\")"]) }

  @Test func ignoresUnknownFieldsAndKeepsLimits() {
    #expect(pack(#"[{"n":"d/a","v":1,"foo":{"x":1},"_x":2}]"#) == [reading("d", "a", "1")])
    #expect(pack("[]") == ["empty"])
    #expect(pack(#"[{"n":"d/a","v":1},{"n":"d/b","s":1,"v":2}]"#, limit: 2) == ["tooManyReadings(limit: 2)"])
  }
}
