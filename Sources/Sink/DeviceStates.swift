import MongoDB
import Readings

/// The newest reading of each sensor, by event time, until it is written to the collection `devices`.
struct DeviceStates: ~Copyable {
  /// A statement that is longer gets no more series: a message to the database has 16 MiB at most.
  private static let statementBytes = 4 << 20

  private struct Series {
    /// The next of the same device; -1: none.
    let next: Int
    var ts: Int64
    /// The newest reading among those that are being noted, not encoded yet; -1: none.
    var newest: Int
    /// The fields of the newest reading, encoded.
    var latest: [UInt8] = []
  }

  private struct Device {
    var first: Int64
    var last: Int64
    /// The hour since 1970 in which the newest noted of its readings was measured; -1: not noted. And those before it.
    var hour: Int64 = -1
    var hours: Set<Int64> = []
    /// The tags of the newest reading that has any, each name and value behind its length; and when it was measured.
    var tags: [UInt8] = []
    var tagged = Int64.min
    /// The first of its series.
    var series = -1
  }

  private var deviceNames = Interner()
  /// Of each series the number of its device, four bytes, and the sensor.
  private var seriesNames = Interner()
  private var devices: [Device] = []
  private var series: [Series] = []
  private var key = ByteBuffer()
  private var encoded = BSONBatch()
  /// Series with a newest reading that is not encoded yet.
  private var touched: [Int] = []
  /// Whether the hours that changed are noted for the summaries.
  private let marksHours: Bool

  init(marksHours: Bool = false) { self.marksHours = marksHours }

  /// Devices and series that wait to be written.
  var deviceCount: Int { devices.count }
  var seriesCount: Int { series.count }

  /// Notes all readings of a batch.
  mutating func note(_ batch: ReadingBatch) {
    for (index, reading) in batch.readings.enumerated() { note(reading, index, of: batch) }
    for number in touched {
      encode(batch.readings[series[number].newest], of: batch)
      series[number].newest = -1
      series[number].latest.removeAll(keepingCapacity: true)
      encoded.withBytes { series[number].latest.append(contentsOf: $0) }
    }
    touched.removeAll(keepingCapacity: true)
  }

  private mutating func note(_ reading: Reading, _ index: Int, of batch: ReadingBatch) {
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
        if devices[device].hour >= 0 { devices[device].hours.insert(devices[device].hour) }
        devices[device].hour = hour
      }
    }
    key.truncate(to: 0)
    withUnsafeBytes(of: UInt32(device)) { key.append($0) }
    key.append(batch[reading.sensor])
    let number = seriesNames.number(of: key.bytes)
    if number == series.count {
      series.append(Series(next: devices[device].series, ts: reading.ts, newest: -1))
      devices[device].series = number
    } else if reading.ts < series[number].ts {
      return
    }
    if series[number].newest < 0 { touched.append(number) }
    series[number].ts = reading.ts
    series[number].newest = index
  }

  mutating func removeAll() {
    deviceNames.removeAll()
    seriesNames.removeAll()
    devices.removeAll(keepingCapacity: true)
    series.removeAll(keepingCapacity: true)
  }

  /// The updates of some devices, numbered from 0: one for each, or several where its series are too long for one. An older
  /// reading that comes late never replaces a newer one, also not one that another sink wrote, for the database compares.
  func updates(of numbers: Range<Int>) -> BSONBatch {
    var updates = BSONBatch()
    var path = ByteBuffer()
    // Another at each change, so that who summarises an hour sees whether it changed since.
    let mark = Int64.random(in: 1...Int64.max)
    for number in numbers {
      let device = devices[number]
      var next = device.series
      repeat {
        updates.append { update in
          let start = update.count
          update.beginDocument("q")
          update.appendString("_id", utf8: deviceNames[number])
          update.endDocument()
          update.beginArray("u")
          update.beginElementDocument()
          update.beginDocument("$set")
          if next == device.series { append(device, mark, &path, to: &update) }
          while next >= 0, update.count - start < Self.statementBytes {
            Self.setPath(&path, ofSensor: seriesNames[next].dropFirst(4))
            Self.append(series[next].latest, series[next].ts, path, to: &update)
            next = series[next].next
          }
          update.endDocument()
          update.endDocument()
          update.endArray()
          update.append("upsert", true)
        }
      } while next >= 0
    }
    return updates
  }

  /// Appends what is of the device and not of one of its series.
  private func append(_ device: Device, _ mark: Int64, _ path: inout ByteBuffer, to update: inout BSONWriter) {
    Self.append("firstSeen", "$min", "$firstSeen", device.first, to: &update)
    Self.append("lastSeen", "$max", "$lastSeen", device.last, to: &update)
    if !device.tags.isEmpty { Self.append(tags: device.tags, device.tagged, to: &update) }
    // What is not noted while summaries are off has to be looked for when they are on again.
    if !marksHours { update.append("summarized", false) }
    if device.hour < 0 { return }
    for hour in device.hours.union([device.hour]) {
      path.truncate(to: 0)
      path.append("due.h")
      ReadingEncoder.append(hour, to: &path)
      update.append(utf8Key: path.bytes, mark)
    }
  }

  /// Appends `name: {function: [field, date]}`.
  private static func append(
    _ name: StaticString, _ function: StaticString, _ field: String, _ date: Int64, to update: inout BSONWriter
  ) {
    update.beginDocument(name)
    update.beginArray(function)
    update.appendElementString(field)
    update.appendElementDate(milliseconds: date)
    update.endArray()
    update.endDocument()
  }

  private static func append(tags: [UInt8], _ date: Int64, to update: inout BSONWriter) {
    update.beginDocument("tags")
    update.beginArray("$cond")
    update.beginElementDocument()
    update.beginArray("$gte")
    update.appendElementDate(milliseconds: date)
    update.appendElementString("$tagged")
    update.endArray()
    update.endDocument()
    update.beginElementDocument()
    update.beginDocument("$literal")
    tags.withUnsafeBytes { bytes in
      var rest = bytes[...]
      func text() -> UnsafeRawBufferPointer {
        let count = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
        defer { rest = rest.dropFirst(2 + count) }
        return UnsafeRawBufferPointer(rebasing: rest.dropFirst(2).prefix(count))
      }
      while !rest.isEmpty {
        let name = text()
        update.appendString(utf8Key: name, utf8: text())
      }
    }
    update.endDocument()
    update.endDocument()
    update.appendElementString("$tags")
    update.endArray()
    update.endDocument()
    append("tagged", "$max", "$tagged", date, to: &update)
  }

  /// Where a sensor is in a device's document. A point in its name would make a path of that.
  private static func setPath(_ path: inout ByteBuffer, ofSensor sensor: Slice<UnsafeRawBufferPointer>) {
    path.truncate(to: 0)
    path.append("$sensors.")
    for byte in sensor {
      if byte == UInt8(ascii: ".") { path.append("．") } else { path.append(byte) }
    }
  }

  /// Appends a sensor's newest reading, to stay if the one that is there is older.
  /// - Parameter path: of the sensor, behind a `$`.
  private static func append(
    _ latest: [UInt8], _ date: Int64, _ path: borrowing ByteBuffer, to update: inout BSONWriter
  ) {
    update.beginDocument(utf8Key: UnsafeRawBufferPointer(rebasing: path.bytes.dropFirst()))
    update.beginArray("$cond")
    update.beginElementDocument()
    update.beginArray("$gte")
    update.appendElementDate(milliseconds: date)
    withUnsafeTemporaryAllocation(byteCount: path.count + 3, alignment: 1) { text in
      text.copyMemory(from: path.bytes)
      for (offset, byte) in ".ts".utf8.enumerated() { text[path.count + offset] = byte }
      update.appendElementString(utf8: UnsafeRawBufferPointer(text))
    }
    update.endArray()
    update.endDocument()
    update.beginElementDocument()
    latest.withUnsafeBytes { update.appendDocument("$literal", encoded: $0) }
    update.endDocument()
    update.appendElementString(utf8: path.bytes)
    update.endArray()
    update.endDocument()
  }

  private mutating func append(_ text: ByteRange, of batch: ReadingBatch) {
    withUnsafeBytes(of: UInt16(text.count).littleEndian) { key.append($0) }
    key.append(batch[text])
  }

  private mutating func encode(_ reading: Reading, of batch: ReadingBatch) {
    encoded.removeAll()
    encoded.append { document in
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
