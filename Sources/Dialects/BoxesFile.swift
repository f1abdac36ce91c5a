package import JSON
package import Readings

/// The boxes of openSenseMap whose ids are to become names: one box, or an array of them, as that API's `GET /boxes/{id}`
/// writes it.
///
/// ```json
/// [{"_id":"…","name":"Garden","access_token":"…","currentLocation":{"coordinates":[7.68,51.97,66]},
///   "sensors":[{"_id":"…","title":"Temperatur","unit":"°C","sensorType":"HDC1080"}]}]
/// ```
package struct BoxesFile: Sendable {
  package struct Sensor: Sendable, Equatable {
    package var id: [UInt8]
    /// The sensor of its readings: the title; with the type behind it, if another sensor of the box has that title; or else
    /// the id.
    package var name: [UInt8]
    package var unit: [UInt8]
    var title: String
    var type: String
  }

  package struct Box: Sendable, Equatable {
    package var id: [UInt8]
    /// The device of its readings.
    package var name: [UInt8]
    /// What the header `Authorization` has to be, if the file says so.
    package var accessToken: String?
    /// Whether it is asked for also beside hackAIR's form.
    package var usesToken = true
    package var location: Reading.Location?
    package var sensors: [Sensor]

    func sensor(_ id: UnsafeRawBufferPointer) -> Sensor? { sensors.first { id.elementsEqual($0.id) } }
  }

  /// What is wrong with a file, with the box at fault.
  package struct Failure: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  package private(set) var boxes: [Box] = []

  /// No boxes: all ids stay as they are.
  package init() {}

  /// Reads a file.
  package init(_ json: UnsafeRawBufferPointer, parser: JSONParser) throws(Failure) {
    do {
      boxes = try parser.parse(copying: json.withoutByteOrderMark()) { (root) throws(Failure) in
        switch root.kind {
        case .object: return [try Self.box(root)]
        case .array:
          var boxes: [Box] = []
          for element in root.elements { boxes.append(try Self.box(element)) }
          return boxes
        default: throw Failure(description: "must be a box or an array of boxes")
        }
      }
    } catch {
      switch error {
      case .malformed(let error): throw Failure(description: "is not JSON: \(error)")
      case .refused(let error): throw error
      }
    }
    var names: Set<[UInt8]> = []
    for box in boxes where !names.insert(box.name).inserted {
      throw Failure(description: "two boxes are named \(String(decoding: box.name, as: UTF8.self))")
    }
  }

  /// The box with that id.
  package func box(_ id: UnsafeRawBufferPointer) -> Box? { boxes.first { id.elementsEqual($0.id) } }

  package func box(_ id: [UInt8]) -> Box? { boxes.first { $0.id == id } }

  private static func box(_ value: JSONValue) throws(Failure) -> Box {
    guard let id = value["_id"]?.string, OpenSenseMap.isID(id) else {
      throw Failure(description: "a box has no _id of 24 letters and digits")
    }
    guard let name = value["name"]?.string, fits(name) else {
      throw Failure(description: "box \(id.excerpt) has no name that fits a device")
    }
    var box = Box(id: Array(id), name: Array(name), sensors: [])
    if let token = value["access_token"]?.string { box.accessToken = String(decoding: token, as: UTF8.self) }
    box.usesToken = value["useAuth"]?.boolean ?? true
    if let coordinates = value["currentLocation"]?["coordinates"] {
      let numbers = coordinates.elements.map { $0.number }
      guard let location = Reading.Location(numbers) else {
        throw Failure(description: "box \(id.excerpt) has a currentLocation that is none")
      }
      box.location = location
    }
    for sensor in value["sensors"].map({ Array($0.elements) }) ?? [] {
      guard let sensorID = sensor["_id"]?.string, OpenSenseMap.isID(sensorID) else {
        throw Failure(description: "a sensor of box \(id.excerpt) has no _id of 24 letters and digits")
      }
      let title = sensor["title"]?.string.map { Array($0) } ?? []
      let unit = sensor["unit"]?.string ?? UnsafeRawBufferPointer(start: nil, count: 0)
      box.sensors.append(
        Sensor(
          id: Array(sensorID), name: title,
          unit: ReadingRules.isPlain(unit, limit: ReadingRules.unitLimit) ? Array(unit) : [],
          title: String(decoding: title, as: UTF8.self).lowercased(),
          type: String(decoding: sensor["sensorType"]?.string.map { Array($0) } ?? [], as: UTF8.self).lowercased()))
    }
    nameApart(&box.sensors)
    return box
  }

  /// Gives sensors of one title names that differ.
  private static func nameApart(_ sensors: inout [Sensor]) {
    let titles = counts(sensors)
    for index in sensors.indices where titles[sensors[index].name, default: 0] > 1 && !sensors[index].type.isEmpty {
      sensors[index].name += Array(".\(sensors[index].type)".utf8)
    }
    let names = counts(sensors)
    for index in sensors.indices {
      let name = sensors[index].name
      if names[name, default: 0] > 1 || !name.withUnsafeBytes({ fits($0) }) { sensors[index].name = sensors[index].id }
    }
  }

  private static func counts(_ sensors: [Sensor]) -> [[UInt8]: Int] {
    sensors.reduce(into: [:]) { counts, sensor in counts[sensor.name, default: 0] += 1 }
  }

  /// Whether something is left of a name when only the characters of a reading's names are.
  private static func fits(_ name: UnsafeRawBufferPointer) -> Bool {
    name.count <= ReadingRules.identifierLimit
      && name.indices.contains { ReadingRules.isIdentifier(name.part($0..<($0 + 1))) }
  }
}

extension Reading.Location {
  /// Longitude, latitude and maybe height; nil when they are not numbers within the globe.
  init?(_ numbers: [Double?]) {
    guard (2...3).contains(numbers.count), let longitude = numbers[0], let latitude = numbers[1],
      longitude.magnitude <= 180, latitude.magnitude <= 90, numbers.allSatisfy({ $0?.isFinite == true })
    else { return nil }
    self.init(longitude: longitude, latitude: latitude, height: numbers.count == 3 ? numbers[2] : nil)
  }
}
