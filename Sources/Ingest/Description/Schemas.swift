import Readings

/// What bodies look like, as JSON Schema (2020-12), and the other parts that operations refer to.
///
/// Lengths are in characters there and in bytes here, so a text beyond ASCII may be refused although it fits its schema; and
/// no schema knows what time it is.
enum Schemas {
  static func text(_ limits: IngestLimits) -> String {
    "{\(readings(limits)),\(boxes(limits)),\(others(limits)),\(answers)}"
  }

  /// As `ReadingRules.isIdentifier` and `ReadingDecoder` have it.
  private static func readings(_ limits: IngestLimits) -> String {
    ##"""
    "Name":{"type":"string","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,\##(ReadingRules.identifierLimit - 1)}$"},
    "Value":{"description":"A finite number, true or false, or a text that spells no number that is not finite",
      "anyOf":[{"type":"number"},{"type":"boolean"},
        {"type":"string","maxLength":\##(ReadingRules.textLimit),
          "pattern":"^(?![+-]?([nN][aA][nN]|[iI][nN][fF]([iI][nN][iI][tT][yY])?)$)"}]},
    "Reading":{"type":"object","required":["device","sensor","value"],"additionalProperties":false,"properties":{
      "device":{"$ref":"#/components/schemas/Name"},"sensor":{"$ref":"#/components/schemas/Name"},
      "value":{"$ref":"#/components/schemas/Value"},
      "unit":{"type":"string","minLength":1,"maxLength":\##(ReadingRules.unitLimit),"pattern":"^[^\\u0000-\\u001f\\u007f]+$"},
      "ts":{"type":"string","format":"date-time",
        "description":"Absent: the time of arrival. At most \##(limits.bounds.futureTolerance / 1_000) s ahead, and not older than \##(limits.bounds.retention / 1_000) s"},
      "location":{"type":"array","minItems":2,"maxItems":3,"items":{"type":"number"},
        "prefixItems":[{"type":"number","minimum":-180,"maximum":180},{"type":"number","minimum":-90,"maximum":90}],
        "description":"Longitude and latitude in degrees, maybe height in metres"},
      "id":{"type":"string","minLength":1,"maxLength":\##(ReadingRules.idLimit),"pattern":"^[^\\u0000-\\u001f\\u007f]+$",
        "description":"The sender's own identity for the reading: a repeat with the same is stored once"},
      "tags":{"type":"object","maxProperties":\##(ReadingRules.tagLimit),
        "propertyNames":{"pattern":"^[A-Za-z0-9_][A-Za-z0-9_:-]{0,\##(ReadingRules.tagNameLimit - 1)}$"},
        "additionalProperties":{"type":"string","maxLength":\##(ReadingRules.tagValueLimit)}}}},
    "Readings":{"anyOf":[{"$ref":"#/components/schemas/Reading"},
      {"type":"array","minItems":1,"maxItems":\##(limits.readings),"items":{"$ref":"#/components/schemas/Reading"}}]},
    "Lines":{"type":"string","minLength":1,"description":"A Reading on each line, at most \##(limits.readings)"},
    "CSV":{"type":"string","minLength":1,
      "description":"A line of names, then a line for each reading, or for the readings of one time"}
    """##
  }

  private static func boxes(_ limits: IngestLimits) -> String {
    ##"""
    "BoxSensor":{"type":"string","pattern":"^[0-9A-Za-z]{24}$","not":{"const":"00112233445566778899aabb"}},
    "BoxValue":{"anyOf":[{"type":"number"},{"type":"string","pattern":"^[+-]?[0-9]{1,15}([.][0-9]{1,15})?$"}]},
    "BoxLocation":{"anyOf":[{"type":"null"},
      {"type":"array","minItems":2,"items":{"description":"The height, a number; anything else is as none"},
        "prefixItems":[{"type":"number","minimum":-180,"maximum":180},{"type":"number","minimum":-90,"maximum":90}]},
      {"type":"object","required":["lng","lat"],"properties":{"lng":{"type":"number","minimum":-180,"maximum":180},
        "lat":{"type":"number","minimum":-90,"maximum":90},
        "height":{"description":"A number; anything else is as none"}}}]},
    "BoxMeasurement":{"type":"object","required":["value"],"properties":{
      "value":{"$ref":"#/components/schemas/BoxValue"},"createdAt":{"type":"string","format":"date-time"},
      "location":{"$ref":"#/components/schemas/BoxLocation"}}},
    "BoxMeasurements":{"anyOf":[
      {"type":"array","minItems":1,"maxItems":\##(limits.readings),"items":{"allOf":[{"$ref":"#/components/schemas/BoxMeasurement"},
        {"anyOf":[
          {"required":["sensor"],"properties":{"sensor":{"$ref":"#/components/schemas/BoxSensor"},"sensor_id":false}},
          {"required":["sensor_id"],"properties":{"sensor_id":{"$ref":"#/components/schemas/BoxSensor"}}}]}]}},
      {"type":"object","minProperties":1,"propertyNames":{"$ref":"#/components/schemas/BoxSensor"},
        "additionalProperties":{"anyOf":[{"$ref":"#/components/schemas/BoxValue"},
          {"type":"array","minItems":1,"maxItems":3,"items":true,"prefixItems":[{"$ref":"#/components/schemas/BoxValue"},
            {"type":"string","format":"date-time"},{"$ref":"#/components/schemas/BoxLocation"}]}]}},
      {"type":"object","description":"With luftdaten in the query","required":["sensordatavalues"],
        "properties":{"sensordatavalues":{"type":"array"}}},
      {"type":"object","description":"With hackair in the query","required":["reading"],
        "properties":{"reading":{"type":"object"}}}]},
    "BoxRecords":{"type":"string","contentMediaType":"application/octet-stream"}
    """##
  }

  private static func others(_ limits: IngestLimits) -> String {
    ##"""
    "AirRohr":{"type":"object","required":["sensordatavalues"],
      "description":"The device is the header X-Sensor, or esp8266- and this id",
      "properties":{"esp8266id":{"description":"A text"},"software_version":{"description":"A text of at most \##(ReadingRules.tagValueLimit) bytes"},
        "sensordatavalues":{"type":"array","minItems":1,"maxItems":\##(limits.readings),
          "items":{"type":"object","required":["value_type","value"],"properties":{
            "value_type":{"type":"string","pattern":"^[^A-Za-z0-9]*[A-Za-z0-9][\\s\\S]{0,63}$"},
            "value":{"anyOf":[{"type":"number"},{"type":"string","pattern":"^[+-]?[0-9]{1,15}([.][0-9]{1,15})?$"}]}}}}}},
    "Observation":{"type":"object","required":["result"],"properties":{
      "result":{"$ref":"#/components/schemas/Value"},
      "phenomenonTime":{"anyOf":[{"type":"null"},{"type":"string","format":"date-time"},
        {"type":"string","pattern":"/","description":"An interval, of which the end counts"}]}}},
    "NamedObservation":{"allOf":[{"$ref":"#/components/schemas/Observation"},{"type":"object","required":["Datastream"],
      "properties":{"Datastream":{"type":"object","required":["@iot.id"],"properties":{"@iot.id":{"anyOf":[{"type":"integer"},
        {"type":"string","minLength":1,"maxLength":\##(ReadingRules.identifierLimit - 11)}]}}}}}]},
    "Uplink":{"type":"object","required":["end_device_ids"],
      "description":"A message of The Things Stack, version 3; one that is no uplink is answered 200",
      "properties":{"end_device_ids":{"type":"object","required":["device_id"],
        "properties":{"device_id":{"type":"string","maxLength":\##(ReadingRules.identifierLimit),"pattern":"[0-9A-Za-z]"}}},
        "uplink_message":{"description":"An object with f_port, f_cnt, frm_payload, decoded_payload and received_at"}}},
    "SenMLPack":{"type":"array","minItems":1,"maxItems":\##(limits.readings),"items":{"type":"object","properties":{
      "bn":{"type":"string"},"bt":{"type":"number"},"bu":{"type":"string"},"bv":{"type":"number"},"bs":{"type":"number"},
      "bver":{"type":"number","maximum":10},"n":{"type":"string"},"u":{"type":"string"},"v":{"type":"number"},
      "vs":{"type":"string"},"vb":{"type":"boolean"},"vd":{"type":"string"},"s":{"type":"number"},
      "t":{"type":"number"},"ut":{"type":"number"}}}},
    "JobFetch":{"type":"object","required":["url","format"],"additionalProperties":false,"properties":{
      "url":{"type":"string","maxLength":2048,"pattern":"^[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9._-]{1,253}|\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\\])(:[0-9]{1,5})?([/?][A-Za-z0-9._~%:/?\\[\\]!$&'()*+,;=-]*)?$"},
      "format":{"enum":["ndjson","csv"]},"gzip":{"type":"boolean"}}},
    "LineProtocol":{"type":"string","description":"A point on each line; an empty body is a question whether one may write"}
    """##
  }

  private static let answers = ##"""
    "Accepted":{"type":"object","required":["accepted"],"additionalProperties":false,
      "properties":{"accepted":{"type":"integer","minimum":0}}},
    "Rejection":{"type":"object","required":["index","field","reason"],"additionalProperties":false,"properties":{
      "index":{"type":"integer","minimum":0,"description":"The place of the item in the body, from 0"},
      "field":{"type":"string"},"reason":{"type":"string"}}},
    "Problem":{"type":"object","required":["code","message"],"additionalProperties":false,"properties":{
      "code":{"type":"string","description":"For programs"},"message":{"type":"string","description":"For people"}}},
    "Error":{"type":"object","required":["error"],"additionalProperties":false,
      "properties":{"error":{"$ref":"#/components/schemas/Problem"}}},
    "Partial":{"type":"object","required":["accepted","rejected","errors"],"additionalProperties":false,"properties":{
      "accepted":{"type":"integer","minimum":1},"rejected":{"type":"integer","minimum":1},
      "errors":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/Rejection"}}}},
    "Rejected":{"type":"object","required":["accepted","rejected","errors","error"],"additionalProperties":false,
      "properties":{"accepted":{"const":0},"rejected":{"type":"integer","minimum":1},
      "errors":{"type":"array","minItems":1,"items":{"$ref":"#/components/schemas/Rejection"}},
      "error":{"$ref":"#/components/schemas/Problem"}}},
    "Job":{"type":"object","required":["id","state","created","format","bytes","lines","accepted","rejected","in_doubt"],
      "additionalProperties":false,"properties":{
      "id":{"type":"string"},"state":{"enum":["running","done","failed","cancelled"]},
      "reason":{"type":"string","description":"Why it failed"},
      "created":{"type":"string","format":"date-time"},"ended":{"type":"string","format":"date-time"},
      "format":{"enum":["ndjson","csv"]},"url":{"type":"string","description":"Where it is fetched from"},
      "bytes":{"type":"integer","minimum":0,"description":"That were read, as they came"},
      "lines":{"type":"integer","minimum":0,"description":"Up to which all are accounted for"},
      "accepted":{"type":"integer","minimum":0},"rejected":{"type":"integer","minimum":0},
      "in_doubt":{"type":"integer","minimum":0,"description":"Not acknowledged in time, and maybe stored all the same"},
      "errors":{"type":"array","maxItems":100,"items":{"type":"object","required":["line","reason"],
        "properties":{"line":{"type":"integer","minimum":1},"reason":{"type":"string"}}}}}},
    "JobList":{"type":"object","required":["jobs"],"additionalProperties":false,
      "properties":{"jobs":{"type":"array","items":{"$ref":"#/components/schemas/Job"}}}},
    "InfluxError":{"type":"object","required":["code","message"],"additionalProperties":false,
      "properties":{"code":{"type":"string"},"message":{"type":"string"}}},
    "InfluxError1":{"type":"object","required":["error"],"additionalProperties":false,
      "properties":{"error":{"type":"string"}}},
    "InfluxHealth":{"type":"object","required":["name","message","status","version"],"additionalProperties":false,
      "properties":{"name":{"const":"influxdb"},"message":{"type":"string"},"status":{"enum":["pass","fail"]},
      "version":{"type":"string"}}},
    "BoxSaved":{"enum":["Measurement saved in box","Measurements saved in box"]},
    "BoxError":{"type":"object","required":["code","message"],"additionalProperties":false,
      "properties":{"code":{"type":"string"},"message":{"type":"string"}}},
    "ObservationError":{"type":"object","required":["code","type","message"],"additionalProperties":false,
      "properties":{"code":{"type":"integer"},"type":{"const":"error"},"message":{"type":"string"}}},
    "Anything":{"type":"object"},
    "Text":{"type":"string"}
    """##

  static let headers = ##"""
    {"Retry-After":{"required":true,"description":"Seconds to wait","schema":{"type":"integer","minimum":1}},
    "RateLimit":{"required":true,"description":"draft-ietf-httpapi-ratelimit-headers-10","schema":{"type":"string"}},
    "RateLimit-Policy":{"required":true,"description":"draft-ietf-httpapi-ratelimit-headers-10","schema":{"type":"string"}},
    "WWW-Authenticate":{"required":true,"schema":{"type":"string"}},
    "Allow":{"required":true,"description":"The methods of the path","schema":{"type":"string"}},
    "Upgrade":{"required":true,"schema":{"const":"websocket"}},
    "Location":{"required":true,"description":"Where the job is; where an observation would be, and nothing is","schema":{"type":"string"}},
    "X-Influxdb-Version":{"required":true,"schema":{"type":"string"}}}
    """##

  static let credentials = ##"""
    {"bearer":{"type":"http","scheme":"bearer"},
    "apiKey":{"type":"apiKey","in":"header","name":"X-API-Key"},
    "basic":{"type":"http","scheme":"basic","description":"The key is the password, of any user"},
    "authorization":{"type":"apiKey","in":"header","name":"Authorization",
      "description":"The key alone, as clients of openSenseMap send it, or Token and the key, as those of InfluxDB"},
    "certificate":{"type":"mutualTLS","description":"A certificate that stands for a key"},
    "password":{"type":"apiKey","in":"query","name":"p"},
    "keyQuery":{"type":"apiKey","in":"query","name":"key"}}
    """##
}
