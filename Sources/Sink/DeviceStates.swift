import MongoDB
import Readings

/// The newest reading of each sensor, by event time, until it is written to the collection `devices`.
struct DeviceStates: ~Copyable {
  /// A statement that is longer gets no more series: a message to the database has 16 MiB at most.
  private static let statementBytes = 4 << 20
  /// Above so many bytes in use, memory is given back.
  private static let keptBytes = 12 << 20

  // Without references, of which copies would be counted.
  private struct Series {
    /// The next of the same device; -1: none.
    let next: Int32
    /// The newest reading among those that are being noted, not encoded yet; -1: none.
    var newest: Int32 = -1
    var ts: Int64
    /// The fields of the newest reading, encoded.
    var latest = TextArena.Place()
  }

  private struct Device {
    var first: Int64
    var last: Int64
    /// The hour since 1970 in which the newest noted of its readings was measured; -1: not noted.
    var hour: Int64 = -1
    /// When the newest reading was measured that has tags.
    var tagged = Int64.min
    /// Its tags, each name and value behind its length.
    var tags = TextArena.Place()
    /// The first of its series.
    var series: Int32 = -1
  }

  private var deviceNames = Interner()
  /// Of each series the number of its device, four bytes, and the sensor.
  private var seriesNames = Interner()
  private var devices: [Device] = []
  private var series: [Series] = []
  private var texts = TextArena()
  /// By device, the hours of its readings before the newest noted; few have any.
  private var earlierHours: [Int: Set<Int64>] = [:]
  private var earlierHourCount = 0
  private var key = ByteBuffer()
  private var encoded = BSONBatch()
  /// Series with a newest reading that is not encoded yet.
  private var touched: [Int] = []
  /// Whether the hours that changed are noted for the summaries.
  private let marksHours: Bool

  init(marksHours: Bool = false) { self.marksHours = marksHours }

  /// Devices that wait to be written.
  var deviceCount: Int { devices.count }

  /// Bytes of memory that are in use.
  var byteCount: Int {
    // A set of its own for each device, and a place in it for each hour.
    let hours = earlierHours.count * 128 + earlierHourCount * 16
    return deviceNames.byteCount + seriesNames.byteCount + devices.count * MemoryLayout<Device>.stride
      + series.count * MemoryLayout<Series>.stride + texts.byteCount + hours
  }

  /// Notes all readings of a batch.
  mutating func note(_ batch: ReadingBatch) {
    for (index, reading) in batch.readings.enumerated() { note(reading, index, of: batch) }
    for number in touched {
      encode(batch.readings[Int(series[number].newest)], of: batch)
      series[number].newest = -1
      encoded.withBytes { texts.replace(&series[number].latest, with: $0) }
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
      texts.replace(&devices[device].tags, with: key.bytes)
    }
    if marksHours {
      let hour = reading.ts / SummaryPlan.hour
      if hour != devices[device].hour {
        if devices[device].hour >= 0,
          earlierHours[device, default: []].insert(devices[device].hour).inserted
        {
          earlierHourCount += 1
        }
        devices[device].hour = hour
      }
    }
    key.truncate(to: 0)
    withUnsafeBytes(of: UInt32(device)) { key.append($0) }
    key.append(batch[reading.sensor])
    let number = seriesNames.number(of: key.bytes)
    if number == series.count {
      series.append(Series(next: devices[device].series, ts: reading.ts))
      devices[device].series = Int32(number)
    } else if reading.ts < series[number].ts {
      return
    }
    if series[number].newest < 0 { touched.append(number) }
    series[number].ts = reading.ts
    series[number].newest = Int32(index)
  }

  /// Forgets all, and keeps the memory unless it is unusually much.
  mutating func removeAll() {
    if byteCount > Self.keptBytes {
      self = DeviceStates(marksHours: marksHours)
      return
    }
    deviceNames.removeAll()
    seriesNames.removeAll()
    devices.removeAll(keepingCapacity: true)
    series.removeAll(keepingCapacity: true)
    texts.removeAll()
    earlierHours.removeAll()
    earlierHourCount = 0
  }

  /// Appends the updates of some devices, numbered from 0: one for each, or several where its series are too long for one. An
  /// older reading that comes late never replaces a newer one, also not one that another sink wrote, for the database compares.
  /// - Parameter bytes: with how many it ends, though there be more devices.
  /// - Returns: those that are among them.
  func append(_ numbers: Range<Int>, to updates: inout BSONBatch, upTo bytes: Int = .max) -> Range<Int> {
    var path = ByteBuffer()
    // Another at each change, so that who summarises an hour sees whether it changed since.
    let mark = Int64.random(in: 1...Int64.max)
    for number in numbers {
      if updates.byteCount >= bytes { return numbers.lowerBound..<number }
      let device = devices[number]
      var next = Int(device.series)
      repeat {
        updates.append { update in
          let start = update.count
          update.beginDocument("q")
          update.appendString("_id", utf8: deviceNames[number])
          update.endDocument()
          update.beginArray("u")
          update.beginElementDocument()
          update.beginDocument("$set")
          if next == device.series { append(number, mark, &path, to: &update) }
          while next >= 0, update.count - start < Self.statementBytes {
            Self.setPath(&path, ofSensor: seriesNames[next].dropFirst(4))
            Self.append(texts[series[next].latest], series[next].ts, path, to: &update)
            next = Int(series[next].next)
          }
          update.endDocument()
          update.endDocument()
          update.endArray()
          update.append("upsert", true)
        }
      } while next >= 0
    }
    return numbers
  }

  /// Appends what is of the device and not of one of its series.
  private func append(_ number: Int, _ mark: Int64, _ path: inout ByteBuffer, to update: inout BSONWriter) {
    let device = devices[number]
    Self.append("firstSeen", "$min", "$firstSeen", device.first, to: &update)
    Self.append("lastSeen", "$max", "$lastSeen", device.last, to: &update)
    if !device.tags.isEmpty { Self.append(tags: texts[device.tags], device.tagged, to: &update) }
    // What is not noted while summaries are off has to be looked for when they are on again.
    if !marksHours { update.append("summarized", false) }
    if device.hour < 0 { return }
    for hour in (earlierHours[number] ?? []).union([device.hour]) {
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

  private static func append(tags: UnsafeRawBufferPointer, _ date: Int64, to update: inout BSONWriter) {
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
    var rest = tags[...]
    func text() -> UnsafeRawBufferPointer {
      let count = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
      defer { rest = rest.dropFirst(2 + count) }
      return UnsafeRawBufferPointer(rebasing: rest.dropFirst(2).prefix(count))
    }
    while !rest.isEmpty {
      let name = text()
      update.appendString(utf8Key: name, utf8: text())
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
    _ latest: UnsafeRawBufferPointer, _ date: Int64, _ path: borrowing ByteBuffer, to update: inout BSONWriter
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
    update.appendDocument("$literal", encoded: latest)
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
