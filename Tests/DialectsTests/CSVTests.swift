import Dialects
import Readings
import Testing

@Suite struct CSVTests {
  private func rows(_ body: String, _ mapping: [String] = [], device: String? = nil, limit: Int = 100) -> [String] {
    outcome(body, limit: limit) { body, context, batch, errors in
      try CSVFormat.decode(
        body: body, mapping: try CSVMapping(mapping, device: device), now: arrival, context: context, into: batch,
        errors: &errors)
    }
  }

  private static let then = #","ts":"2026-01-01T00:00:00.000Z""#

  @Test func takesRowsOfOneReading() {
    #expect(
      rows(
        "device,sensor,value,unit,ts,lon,lat,height,id,tags\r\nd,t,21.5,Cel,2026-01-01T00:00:00Z,7.5,52,66,a1,\"a=1;b=x y\"\r\n\r\nd,door,true,,,,,,,\nd,text,\"a \"\"q\"\",\nb\",,,,,,,\n d , t , -1e1 ,,,,,,,"
      ) == [
        reading(
          "d", "t", "21.5",
          #","unit":"Cel""# + Self.then + #","location":[7.5,52,66],"id":"a1","tags":{"a":"1","b":"x y"}"#),
        reading("d", "door", "true"), reading("d", "text", #""a \"q\",\nb""#), reading("d", "t", "-10"),
      ])
    #expect(rows("\u{feff}Device,SENSOR,Value\nKüche,t 1,\"5\"") == [reading("K_che", "t_1", "5")])
    #expect(rows("sensor,value\nt,1", device: "d") == [reading("d", "t", "1")])
  }

  @Test func takesRowsOfSeveralReadings() {
    #expect(
      rows("ts,device,temperature,humidity,open\n2026-01-01T00:00:00Z,d,21.5,,FALSE\n,d,,40,\n,d,,,\n") == [
        reading("d", "temperature", "21.5", Self.then), reading("d", "open", "false", Self.then),
        reading("d", "humidity", "40"),
      ])
    #expect(
      rows("time;temperature\n2026-01-01T00:00:00Z;21,5\n", device: "d") == [
        reading("d", "temperature", "21.5", Self.then)
      ])
    #expect(rows("\r\n\ndevice;temperature\nd;1,5\n") == [reading("d", "temperature", "1.5")])
    #expect(rows("device\ttemperature\nd\t1.5\n") == [reading("d", "temperature", "1.5")])
    #expect(
      rows("id,device,a,b\nx,d,1,2") == [
        reading("d", "a", "1", #","id":"x/a""#), reading("d", "b", "2", #","id":"x/b""#),
      ])
  }

  @Test func mapsColumns() {
    #expect(
      rows(
        "Zeit,Knoten,Raum,T,x\n1767225600000,d,Küche,21.5,9\n",
        ["zeit=ts:ms", "Knoten=device", "Raum=tag:room", "T=sensor:temperature", "x=-"])
        == [reading("d", "temperature", "21.5", Self.then + #","tags":{"room":"Küche"}"#)])
    func reason(_ pairs: [String]) -> String {
      do {
        _ = try CSVMapping(pairs)
        return "accepted"
      } catch {
        return error.description
      }
    }
    #expect(reason(["a"]) == "a: must be column=field")
    #expect(reason(["=ts"]) == "=ts: must be column=field")
    #expect(reason(["a=b"]).hasPrefix("a=b: the field must be device"))
    #expect(reason(["a=ts:d"]).hasPrefix("a=ts:d: the field must be"))
    #expect(reason(["a=tag:"]).hasPrefix("a=tag:: the field must be"))
    #expect(reason(["a=id", "A=ts"]) == "A=ts: the column is mapped twice")
  }

  @Test(arguments: [
    ("d,t", "1 malformed has 2 fields, and the header 3"), ("d,t,1,2", "1 malformed has 4 fields, and the header 3"),
    (",t,1", "1 missing device: is required"), ("d,,1", "1 missing sensor: is required"),
    ("d,t,", "1 missing value: is required"), ("d,t,\"\"", "1 missing value: is required"),
    ("d,t,nan", "1 invalid value: must be finite; leave a reading out that has no value"),
    ("d,t,1e309", "1 invalid value: is beyond the largest number, 1.8e308"),
    ("°,t,1", "1 invalid device: must have a letter or a digit"),
    ("d,t\",1", "1 malformed has a quote inside a field without quotes, in column 2"),
    ("d,\"t\"x,1", "1 malformed has something behind quotes, in column 2"),
    ("d,\"t,1", "1 malformed has quotes that do not end, in column 2"),
    ("d,t,\(String(repeating: "x", count: 1_025))", "1 invalid value: must be at most 1024 bytes of text"),
    ("   ", "1 malformed has 1 fields, and the header 3"),
  ])
  func refusesARow(_ row: String, _ refusal: String) {
    #expect(rows("device,sensor,value\n\(row)\nd,t,1\n") == [reading("d", "t", "1"), refusal])
  }

  @Test func refusesCells() {
    let header = "device,a,ts,lon,lat,id,tags\n"
    func refusal(_ cells: String, _ mapping: [String] = []) -> [String] { rows(header + "d,1," + cells, mapping) }
    #expect(
      refusal("2026-01-01T00:00:00,,,,") == [
        "1 invalid ts: has no zone: end it with Z or an offset such as +01:00 (RFC 3339)"
      ])
    #expect(
      refusal("1767225600,,,,") == [
        "1 invalid ts: must be a time such as 2026-11-21T02:15:18.070Z (RFC 3339); map the column to ts:s or ts:ms for numbers"
      ])
    #expect(refusal("1.5,,,,", ["ts=ts:s"]) == ["1 invalid ts: must be a whole number of s since 1970"])
    #expect(refusal("9223372036854775807,,,,", ["ts=ts:s"]) == ["1 invalid ts: must be a whole number of s since 1970"])
    #expect(refusal("2026-11-21T02:30:00Z,,,,").first?.hasPrefix("1 future ts") == true)
    #expect(refusal(",7,,,") == ["1 invalid location: must be a longitude and a latitude within ±180° and ±90°"])
    #expect(refusal(",7,91,,") == ["1 invalid location: must be a longitude and a latitude within ±180° and ±90°"])
    #expect(refusal(",x,1,,") == ["1 invalid lon: must be a number"])
    #expect(
      refusal(",,,\(String(repeating: "i", count: 129)),") == [
        "1 invalid id: must be 1 to 128 bytes without control characters"
      ])
    #expect(
      refusal(",,,\(String(repeating: "i", count: 127)),") == [
        "1 invalid id: must be at most 128 bytes with / and the sensor behind"
      ])
    #expect(refusal(",,,,a") == ["1 invalid tags: must be like a=1;b=2"])
    #expect(refusal(",,,,a=1;a=2") == ["1 repeated tags: has a name twice"])
  }

  @Test func findsTheNextRowBehindOneThatIsNone() {
    #expect(
      rows("device,sensor,value\nd,\"t\nd,t,1\nd,\"a\nb\",x\"\nd,t,2\nd,\"multi\nline\",3\nd,t\n") == [
        reading("d", "t", "1"), reading("d", "t", "2"), reading("d", "multi_line", "3"),
        "1 malformed has something behind quotes, in column 2",
        "3 malformed has a quote inside a field without quotes, in column 3",
        "4 malformed has a quote inside a field without quotes, in column 1",
        "8 malformed has 2 fields, and the header 3",
      ])
  }

  @Test(arguments: [
    ("", "empty"), ("\n\r\n", "empty"), ("device,sensor,value", "empty"), ("device,sensor,value\n\n", "empty"),
    ("sensor,value\n", #"malformed("a column device is required")"#),
    ("device,value\n", #"malformed("a column sensor is required beside value")"#),
    ("device,sensor\n", #"malformed("a column value is required beside sensor or unit")"#),
    ("device,sensor,value,x\n", #"malformed("column \'x\' is not known: map it to a field, or to - to leave it out")"#),
    ("device,t,t\n", #"malformed("column \'t\': another column is the same")"#),
    ("device,ts,time,t\n", #"malformed("column \'time\': another column is the same")"#),
    ("device,\n", #"malformed("column \'\' is not known: map it to a field, or to - to leave it out")"#),
    ("device,sensor,value\rd,s,1\r", #"malformed("the header has a CR without a LF: lines end with LF, or both")"#),
    ("device,\"a", #"malformed("the header has quotes that do not end, in column 2")"#),
    (String(repeating: ",", count: 1_000), #"malformed("must have at most 1000 columns")"#),
    ("device,t 1,t_1\nd,1,2", #"malformed("column \'t_1\': another column is the same sensor")"#),
  ])
  func refusesAFile(_ body: String, _ refusal: String) { #expect(rows(body) == [refusal]) }

  @Test func keepsTheLimit() {
    #expect(rows("device,a,b\nd,1,2\nd,3,4", limit: 4).count == 4)
    #expect(rows("device,a,b\nd,1,2\nd,3,4", limit: 3) == ["tooManyReadings(limit: 3)"])
    #expect(rows("device,a\nd\nd\nd", limit: 2) == ["tooManyReadings(limit: 2)"])
  }
}
