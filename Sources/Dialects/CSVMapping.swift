import Readings

/// Which column of a CSV file is which part of a reading.
package struct CSVMapping: Sendable {
  /// What the cells of a column are.
  enum Column: Hashable, Sendable {
    case device, sensor, value, unit, longitude, latitude, height, id, tags
    /// RFC 3339, or a whole number of these.
    case time(LineProtocol.Precision?)
    case tag([UInt8])
    /// The values of the sensor of that name.
    case measured([UInt8])
    case ignored
  }

  /// What is wrong with a mapping.
  package struct Failure: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  /// Columns by their lower-case names.
  private var columns: [String: Column] = [:]
  /// The device of a file without such a column.
  package var device: String?

  /// Only the columns that are named as they are here.
  package init(device: String? = nil) { self.device = device }

  /// - Parameter pairs: `column=field` each. Fields are `device`, `sensor`, `value`, `unit`, `ts` (RFC 3339; or `ts:s`,
  ///   `ts:ms`, `ts:us`, `ts:ns` for whole numbers since 1970), `lon`, `lat`, `height`, `id`, `tags` (`a=1;b=2`), `tag:NAME`,
  ///   `sensor:NAME` for a column that holds the values of one sensor, and `-` for one to leave out.
  package init(_ pairs: [String], device: String? = nil) throws(Failure) {
    self.device = device
    for pair in pairs {
      guard let equals = pair.lastIndex(of: "="), equals > pair.startIndex else {
        throw Failure(description: "\(pair): must be column=field")
      }
      let field = pair[pair.index(after: equals)...]
      guard let column = Self.column(field) else {
        throw Failure(
          description:
            "\(pair): the field must be device, sensor, value, unit, ts, ts:s, ts:ms, ts:us, ts:ns, lon, lat, height, "
            + "id, tags, tag:NAME, sensor:NAME or -")
      }
      guard columns.updateValue(column, forKey: pair[..<equals].lowercased()) == nil else {
        throw Failure(description: "\(pair): the column is mapped twice")
      }
    }
  }

  /// What a column of that name is; nil when neither the mapping nor the usual names say.
  func column(named name: String) -> Column? {
    let name = name.lowercased()
    if let column = columns[name] { return column }
    switch name {
    case "time", "timestamp": return .time(nil)
    case "longitude", "lng": return .longitude
    case "latitude": return .latitude
    case "-", "": return nil
    default: return Self.column(name[...])
    }
  }

  private static func column(_ field: Substring) -> Column? {
    switch field {
    case "device": return .device
    case "sensor": return .sensor
    case "value": return .value
    case "unit": return .unit
    case "ts": return .time(nil)
    case "lon": return .longitude
    case "lat": return .latitude
    case "height": return .height
    case "id": return .id
    case "tags": return .tags
    case "-": return .ignored
    default: break
    }
    guard let colon = field.firstIndex(of: ":") else { return nil }
    let name = field[field.index(after: colon)...]
    guard !name.isEmpty else { return nil }
    switch field[..<colon] {
    case "ts": return LineProtocol.Precision(rawValue: String(name)).map { .time($0) }
    case "tag": return .tag(Array(name.utf8))
    case "sensor": return .measured(Array(name.utf8))
    default: return nil
    }
  }
}
