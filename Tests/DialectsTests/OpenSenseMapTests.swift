import DialectExercise
import Dialects
import JSON
import Readings
import Testing

@Suite struct OpenSenseMapTests {
  private static let garden = "5386e5fca0a2a8a0163c8ea1"
  private static let roof = "5386e5fca0a2a8a0163c8eb1"
  private static let unknown = "5386e5fca0a2a8a0163c8ec1"
  private static let t = "5386e5fca0a2a8a0163c8ea2"
  private static let h = "5386e5fca0a2a8a0163c8ea3"

  private static func boxes(_ json: String) throws(BoxesFile.Failure) -> BoxesFile {
    let result = Array(json.utf8).withUnsafeBytes { bytes -> Result<BoxesFile, BoxesFile.Failure> in
      do throws(BoxesFile.Failure) { return .success(try BoxesFile(bytes, parser: JSONParser())) } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func measurements(
    _ body: [UInt8], _ format: OpenSenseMap.Format = .json, box: String = garden, sensor: String? = nil,
    limit: Int = 100
  ) -> [String] {
    outcome(body, limit: limit) { body, context, batch, _ in
      do {
        let boxes = try Self.boxes(DialectExercise.boxesJSON)
        try Array(box.utf8).withUnsafeBytes { id in
          if let sensor {
            try Array(sensor.utf8).withUnsafeBytes {
              try OpenSenseMap.decodeSingle(
                padded: body, box: id, sensor: $0, boxes: boxes, now: arrival, context: context, into: batch)
            }
          } else {
            try OpenSenseMap.decode(
              padded: body, format: format, box: id, boxes: boxes, now: arrival, context: context, into: batch)
          }
        }
      } catch let refusal as OpenSenseMap.Refusal {
        throw Refused(description: "\(refusal.status) \(refusal.code): \(refusal.message)")
      }
    }
  }

  private struct Refused: Error, CustomStringConvertible { let description: String }

  private func measurements(
    _ body: String, _ format: OpenSenseMap.Format = .json, box: String = garden, sensor: String? = nil, limit: Int = 100
  ) -> [String] {
    measurements(Array(body.utf8), format, box: box, sensor: sensor, limit: limit)
  }

  private static let place = #","location":[7.68,51.97,66]"#
  private static let celsius = #","unit":"°C""#
  private static let then = #","ts":"2026-01-01T00:00:00.000Z""#

  @Test func takesAnArray() {
    #expect(
      measurements(
        #"[{"sensor":"\#(Self.t)","value":21.4,"createdAt":"2026-01-01T00:00:00.000Z","location":[8,52]},{"sensor_id":" \#(Self.h)","value":" 40 ","location":{"lat":1,"lng":"2","height":3}},{"sensor":"\#(Self.t)","value":"-1e1"}]"#
      ) == [
        reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.then + #","location":[8,52]"#),
        reading("Garden_1", "rel._Luftfeuchte", "40", #","unit":"%","location":[2,1,3]"#),
        reading("Garden_1", "Temperatur", "-10", Self.celsius + Self.place),
      ])
  }

  @Test func takesAnObject() {
    #expect(
      measurements(
        #"{"\#(Self.t)":21.4,"\#(Self.h)":["40","2026-01-01T00:00:00Z",[8,52]],"5386e5fca0a2a8a0163c8ea4":[1]}"#) == [
          reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.place),
          reading("Garden_1", "rel._Luftfeuchte", "40", #","unit":"%""# + Self.then + #","location":[8,52]"#),
          reading("Garden_1", "PM10", "1", #","unit":"µg/m³""# + Self.place),
        ])
  }

  /// A parameter of the query may be in the body.
  @Test func takesTheFormThatTheBodyNames() {
    let values = #""sensordatavalues":[{"value_type":"SDS_P1","value":"5.38"}]"#
    let taken = [reading("Garden_1", "PM10", "5.38", #","unit":"µg/m³""# + Self.place)]
    #expect(measurements(#"{"luftdaten":"1",\#(values)}"#) == taken)
    #expect(measurements(#"{"luftdaten":true,"hackair":"",\#(values)}"#) == taken)
    #expect(measurements(#"{"hackair":1,"reading":{"PM10_AirPollutantValue":"5.38"},"luftdaten":1}"#) == taken)
    #expect(measurements(#"{"luftdaten":"",\#(values)}"#).first?.hasPrefix("422 ") == true)
  }

  @Test(arguments: ["[8,52,null]", "[8,52,\"high\",4]", "[8,52]"])
  func takesAPlaceWhoseHeightIsNone(_ place: String) {
    #expect(
      measurements(#"[{"sensor":"\#(Self.t)","value":1,"location":\#(place)}]"#)
        == [reading("Garden_1", "Temperatur", "1", Self.celsius + #","location":[8,52]"#)])
  }

  @Test func takesASingleValue() {
    #expect(
      measurements(#"{"value":"21.4","createdAt":"2026-01-01T00:00:00Z"}"#, sensor: Self.t)
        == [reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.then + Self.place)])
    #expect(
      measurements(#"{"createdAt":"2026-01-01T00:00:00Z"}"#, sensor: Self.t)
        == ["400 BadRequest: missing required parameter value"])
    #expect(
      measurements(#"{"value":"x"}"#, sensor: Self.t) == ["422 UnprocessableEntity: Invalid value in measurement 0"])
  }

  @Test func takesCSV() {
    #expect(
      measurements("\(Self.t), 21.4\r\n\n \(Self.h),40,2026-01-01T00:00:00Z,8,52\r\n\(Self.t),1,,8,52,3", .csv) == [
        reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.place),
        reading("Garden_1", "rel._Luftfeuchte", "40", #","unit":"%""# + Self.then + #","location":[8,52]"#),
        reading("Garden_1", "Temperatur", "1", Self.celsius + #","location":[8,52,3]"#),
      ])
    #expect(
      measurements("\(Self.t),1\n\(Self.t)", .csv)
        == ["422 UnprocessableEntity: illegal line '\(Self.t)' in measurement 1"])
    #expect(measurements("\(Self.t),1,2,3,4,5,6", .csv).first?.contains("illegal line") == true)
    #expect(measurements("", .csv) == ["422 UnprocessableEntity: Cannot save empty or invalid measurements."])
  }

  @Test func takesRecords() {
    let id: [UInt8] = [0x53, 0x86, 0xe5, 0xfc, 0xa0, 0xa2, 0xa8, 0xa0, 0x16, 0x3c, 0x8e, 0xa2]
    let value = withUnsafeBytes(of: Float(21.437).bitPattern.littleEndian) { Array($0) }
    let time = withUnsafeBytes(of: UInt32(1_767_225_600).littleEndian) { Array($0) }
    let one = reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.place)
    #expect(measurements(id + value + id + value, .sbxBytes) == [one, one])
    #expect(
      measurements(id + value + time, .sbxBytesWithTimes)
        == [reading("Garden_1", "Temperatur", "21.4", Self.celsius + Self.then + Self.place)])
    #expect(
      measurements(id + value + time, .sbxBytes)
        == ["422 UnprocessableEntity: Cannot decode message: its length must be a multiple of 16, and is 20"])
    #expect(
      measurements(id + [0, 0, 0xc0, 0x7f], .sbxBytes) == ["422 UnprocessableEntity: Invalid value in measurement 0"])
  }

  @Test func takesLuftdatenAndHackAIR() {
    let luftdaten =
      #"{"software_version":"NRZ","sensordatavalues":[{"value_type":"SDS_P1","value":"5.38"},{"value_type":"SDS_P2","value":"4.98"},{"value_type":"temperature","value":"21.5"},{"value_type":"BME280_humidity","value":"1"},{"value_type":"samples","value":"316274"},{"value_type":"signal","value":"-59 dBm"}]}"#
    #expect(
      measurements(luftdaten, .luftdaten) == [
        reading("Garden_1", "PM10", "5.38", #","unit":"µg/m³""# + Self.place),
        reading("Garden_1", "PM2.5", "4.98", #","unit":"µg/m³""# + Self.place),
        reading("Garden_1", "Temperatur", "21.5", Self.celsius + Self.place),
      ])
    let hackAIR =
      #"{"reading":{"PM2.5_AirPollutantValue":"7.93","PM10_AirPollutantValue":"32.63"},"battery":"5.99"}"#
    #expect(
      measurements(hackAIR, .hackAIR) == [
        reading("Garden_1", "PM2.5", "7.93", #","unit":"µg/m³""# + Self.place),
        reading("Garden_1", "PM10", "32.63", #","unit":"µg/m³""# + Self.place),
      ])
    // A box that is not in the file keeps the names of the firmware.
    #expect(
      measurements(hackAIR, .hackAIR, box: Self.unknown).first
        == reading(Self.unknown, "PM2.5_AirPollutantValue", "7.93"))
    let none = ["422 UnprocessableEntity: No applicable values found"]
    #expect(measurements(hackAIR, .hackAIR, box: Self.roof) == none)
    #expect(measurements(#"{"sensordatavalues":[]}"#, .luftdaten) == none)
    #expect(
      measurements("{}", .luftdaten)
        == ["422 UnprocessableEntity: Invalid luftdaten json. Missing `sensordatavalues`"])
    #expect(measurements("{}", .hackAIR) == ["422 UnprocessableEntity: Invalid hackair json. Missing `readings`"])
  }

  @Test func namesWhatIsInTheFileAndKeepsTheIDsOfTheRest() {
    #expect(
      measurements(#"{"5386e5fca0a2a8a0163c8eb2":1,"5386e5fca0a2a8a0163c8eb3":2,"\#(Self.t)":3}"#, box: Self.roof) == [
        reading("Roof", "Temperatur.hdc1080", "1", Self.celsius),
        reading("Roof", "Temperatur.bme280", "2", Self.celsius),
        reading("Roof", Self.t, "3"),
      ])
    #expect(measurements(#"{"\#(Self.t)":3}"#, box: Self.unknown) == [reading(Self.unknown, Self.t, "3")])
  }

  private static let cannot = "422 UnprocessableEntity: Cannot save empty or invalid measurements."

  @Test(arguments: [
    ("[]", cannot), ("{}", cannot), ("7", "422 UnprocessableEntity: Cannot decode empty message (json decoder)"),
    (#"[{"value":1}]"#, "422 UnprocessableEntity: Missing sensor id in measurement 0"),
    (#"[{"sensor":"x","value":1}]"#, "422 UnprocessableEntity: Invalid sensor id in measurement 0"),
    (#"{"00112233445566778899aabb":1}"#, "422 UnprocessableEntity: Invalid sensor id in measurement 0"),
    (#"{"\#(t)":1,"\#(h)":null}"#, "422 UnprocessableEntity: Missing value in measurement 1"),
    (#"{"\#(t)":""}"#, "422 UnprocessableEntity: Missing value in measurement 0"),
    (#"[{"sensor":"\#(t)"}]"#, "422 UnprocessableEntity: Missing value in measurement 0"),
    (#"{"\#(t)":"21,5"}"#, "422 UnprocessableEntity: Invalid value in measurement 0"),
    (#"{"\#(t)":"NaN"}"#, "422 UnprocessableEntity: Invalid value in measurement 0"),
    (#"{"\#(t)":"1e999"}"#, "422 UnprocessableEntity: Invalid value in measurement 0"),
    (#"{"\#(t)":true}"#, "422 UnprocessableEntity: Invalid value in measurement 0"),
    (#"{"\#(t)":[]}"#, "422 UnprocessableEntity: Array for sensorID '\(t)' has an illegal length in measurement 0"),
    (
      #"{"\#(t)":[1,2,3,4]}"#,
      "422 UnprocessableEntity: Array for sensorID '\(t)' has an illegal length in measurement 0"
    ),
    (
      #"{"\#(t)":[1,"today"]}"#,
      "422 UnprocessableEntity: Invalid timestamp: it must be like 2026-11-21T02:15:18.070Z in measurement 0"
    ),
    (
      #"[{"sensor":"\#(t)","value":1,"location":[181,0]}]"#,
      "422 UnprocessableEntity: latitude or longitude is missing or out of bounds in measurement 0"
    ),
    (
      #"{"\#(t)":[1,"2026-11-21T02:30:00Z"]}"#,
      "422 UnprocessableEntity: is more than 300 s in the future: it says 2026-11-21T02:30:00.000Z, and now is 2026-11-21T02:15:18.070Z in measurement 0"
    ),
  ])
  func refusesABodyWhole(_ body: String, _ refusal: String) { #expect(measurements(body) == [refusal]) }

  @Test func refusesWhatIsNoJSONAndWhatIsTooMuch() {
    #expect(measurements("{").first?.hasPrefix("400 InvalidContent: the body is not JSON") == true)
    #expect(measurements(#"{"\#(Self.t)":1}"#, box: "x") == ["404 NotFound: Box not found"])
    #expect(
      measurements("\(Self.t),1\n\(Self.t),1\n\(Self.t),1", .csv, limit: 2) == [
        "422 UnprocessableEntity: Too many measurements. Please submit at most 2 measurements at once."
      ])
  }

  @Test func choosesTheFormat() {
    let formats: [(String?, OpenSenseMap.Format?)] = [
      ("application/json", .json), ("Application/JSON; charset=utf-8", .json), ("json", .json), ("text/csv", .csv),
      ("csv", .csv), ("application/sbx-bytes", .sbxBytes), ("sbx-bytes", .sbxBytes),
      ("application/sbx-bytes-ts", .sbxBytesWithTimes), ("sbx-bytes-ts", .sbxBytesWithTimes), ("luftdaten", .luftdaten),
      ("hackair", .hackAIR), (nil, nil), ("", nil), ("text/plain", nil), ("application/jsonx", nil),
    ]
    for (type, format) in formats { #expect(OpenSenseMap.Format(contentType: type) == format) }
    #expect(OpenSenseMap.Format(contentType: "text/csv", luftdaten: true) == .luftdaten)
    #expect(OpenSenseMap.Format(contentType: nil, luftdaten: true, hackAIR: true) == .hackAIR)
  }

  @Test(arguments: [
    ("{", "is not JSON"), ("7", "must be a box or an array of boxes"), ("{}", "a box has no _id"),
    (#"{"_id":"\#(garden)"}"#, "has no name"), (#"{"_id":"\#(garden)","name":"°"}"#, "has no name"),
    (#"[{"_id":"\#(garden)","name":"a"},{"_id":"\#(roof)","name":"a"}]"#, "two boxes are named a"),
    (#"{"_id":"\#(garden)","name":"a","currentLocation":{"coordinates":[1]}}"#, "has a currentLocation that is none"),
    (#"{"_id":"\#(garden)","name":"a","sensors":[{"_id":"1"}]}"#, "a sensor of box \(garden) has no _id"),
  ])
  func refusesABoxesFile(_ json: String, _ reason: String) {
    do {
      _ = try Self.boxes(json)
      Issue.record("accepted")
    } catch {
      #expect(error.description.contains(reason))
    }
  }

  @Test func readsABoxesFile() throws {
    let file = try Self.boxes(DialectExercise.boxesJSON)
    #expect(file.boxes.count == 2 && file.boxes[0].sensors.count == 4)
    #expect(file.boxes[1].accessToken == "abc" && file.boxes[0].accessToken == nil)
  }
}
