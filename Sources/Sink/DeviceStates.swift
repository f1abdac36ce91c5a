import MongoDB
import Readings

/// The newest reading of each sensor, by event time, until it is written to the collection `devices`.
struct DeviceStates: ~Copyable {
  private struct Series {
    let device: Int
    let sensor: [UInt8]
    var ts: Int64
    /// The fields of the newest reading, encoded.
    var latest: BSONDocument
  }

  private struct Device {
    var first: Int64
    var last: Int64
    var series: [Int] = []
  }

  private var deviceNames = Interner()
  private var seriesNames = Interner()
  private var devices: [Device] = []
  private var series: [Series] = []
  private var key = ByteBuffer()

  init() {}

  /// Series that wait to be written.
  var count: Int { series.count }
  var isEmpty: Bool { series.isEmpty }

  /// Notes a reading.
  mutating func note(_ reading: Reading, of batch: ReadingBatch) {
    let device = deviceNames.number(of: batch[reading.device])
    if device == devices.count {
      devices.append(Device(first: reading.ts, last: reading.ts))
    } else {
      devices[device].first = min(devices[device].first, reading.ts)
      devices[device].last = max(devices[device].last, reading.ts)
    }
    key.truncate(to: 0)
    withUnsafeBytes(of: UInt32(device)) { key.append($0) }
    key.append(batch[reading.sensor])
    let number = seriesNames.number(of: key.bytes)
    if number == series.count {
      series.append(
        Series(
          device: device, sensor: Array(batch[reading.sensor]), ts: reading.ts, latest: Self.latest(reading, of: batch))
      )
      devices[device].series.append(number)
    } else if reading.ts >= series[number].ts {
      series[number].ts = reading.ts
      series[number].latest = Self.latest(reading, of: batch)
    }
  }

  mutating func removeAll() {
    deviceNames.removeAll()
    seriesNames.removeAll()
    devices.removeAll(keepingCapacity: true)
    series.removeAll(keepingCapacity: true)
  }

  /// One update per device: an older reading that comes late never replaces a newer one, also not one that another sink
  /// wrote, for the database compares.
  func updates() -> BSONBatch {
    var updates = BSONBatch()
    for (number, device) in devices.enumerated() {
      let name = BSONValue.string(String(decoding: deviceNames[number], as: UTF8.self))
      var set: [(String, BSONValue)] = [
        ("firstSeen", ["$min": ["$firstSeen", .date(device.first)]]),
        ("lastSeen", ["$max": ["$lastSeen", .date(device.last)]]),
      ]
      for index in device.series {
        let series = series[index]
        // A point would make a path of the name.
        let sensor = String(decoding: series.sensor, as: UTF8.self).map { $0 == "." ? "．" : String($0) }.joined()
        let path = "sensors.\(sensor)"
        set.append(
          (
            path,
            [
              "$cond": [
                ["$gte": [.date(series.ts), .string("$\(path).ts")]], ["$literal": .document(series.latest)],
                .string("$\(path)"),
              ]
            ]
          ))
      }
      updates.append(["q": ["_id": name], "u": [["$set": .document(BSONDocument(set))]], "upsert": true])
    }
    return updates
  }

  private static func latest(_ reading: Reading, of batch: ReadingBatch) -> BSONDocument {
    BSONDocument { document in
      document.appendString("sensor", utf8: batch[reading.sensor])
      document.appendDate("ts", milliseconds: reading.ts)
      ReadingDocument.append(reading.value, of: batch, to: &document)
      if !reading.unit.isEmpty { document.appendString("unit", utf8: batch[reading.unit]) }
      if let location = reading.location {
        document.beginArray("location")
        document.appendElement(location.longitude)
        document.appendElement(location.latitude)
        document.endArray()
      }
    }
  }
}
