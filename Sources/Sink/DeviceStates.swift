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
    /// The hours since 1970 in which its readings were measured, each once; and the newest noted.
    var hours: Set<Int64> = []
    var hour: Int64 = -1
    /// The tags of the newest reading that has any, each name and value behind its length; and when it was measured.
    var tags: [UInt8] = []
    var tagged = Int64.min
    var series: [Int] = []
  }

  private var deviceNames = Interner()
  private var seriesNames = Interner()
  private var devices: [Device] = []
  private var series: [Series] = []
  private var key = ByteBuffer()
  /// Whether the hours that changed are noted for the summaries.
  private let marksHours: Bool

  init(marksHours: Bool = false) { self.marksHours = marksHours }

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
    if reading.tagCount > 0, reading.ts >= devices[device].tagged {
      devices[device].tagged = reading.ts
      key.truncate(to: 0)
      for tag in batch.tags(of: reading) {
        append(tag.name, of: batch)
        append(tag.value, of: batch)
      }
      // Mostly they are what they were.
      if !devices[device].tags.elementsEqual(key.bytes) { devices[device].tags = Array(key.bytes) }
    }
    if marksHours {
      let hour = reading.ts / SummaryPlan.hour
      if hour != devices[device].hour {
        devices[device].hour = hour
        devices[device].hours.insert(hour)
      }
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
    // Another at each change, so that who summarises an hour sees whether it changed since.
    let mark = marksHours ? Int64.random(in: 1...Int64.max) : 0
    for (number, device) in devices.enumerated() {
      let name = BSONValue.string(String(decoding: deviceNames[number], as: UTF8.self))
      var set: [(String, BSONValue)] = [
        ("firstSeen", ["$min": ["$firstSeen", .date(device.first)]]),
        ("lastSeen", ["$max": ["$lastSeen", .date(device.last)]]),
      ]
      if !device.tags.isEmpty {
        let isNewer: BSONValue = ["$gte": [.date(device.tagged), "$tagged"]]
        set.append(("tags", ["$cond": [isNewer, ["$literal": .document(Self.tags(device.tags))], "$tags"]]))
        set.append(("tagged", ["$max": ["$tagged", .date(device.tagged)]]))
      }
      // What is not noted while summaries are off has to be looked for when they are on again.
      if !marksHours { set.append(("summarized", false)) }
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
      for hour in device.hours { set.append(("due.h\(hour)", .int64(mark))) }
      updates.append(["q": ["_id": name], "u": [["$set": .document(BSONDocument(set))]], "upsert": true])
    }
    return updates
  }

  private mutating func append(_ text: ByteRange, of batch: ReadingBatch) {
    withUnsafeBytes(of: UInt16(text.count).littleEndian) { key.append($0) }
    key.append(batch[text])
  }

  private static func tags(_ bytes: [UInt8]) -> BSONDocument {
    var texts: [String] = []
    var start = 0
    while start < bytes.count {
      let end = start + 2 + (Int(bytes[start]) | Int(bytes[start + 1]) << 8)
      texts.append(String(decoding: bytes[start + 2..<end], as: UTF8.self))
      start = end
    }
    return BSONDocument(stride(from: 0, to: texts.count, by: 2).map { (texts[$0], BSONValue.string(texts[$0 + 1])) })
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
