import MongoDB
import Readings

/// The newest reading of each sensor, by event time, until it is written to the collection `devices`.
///
/// Hundreds of thousands may wait while a backlog is read, so what waits is a few flat arrays: no device or series has memory of
/// its own.
struct DeviceStates: ~Copyable {
  /// A text of varying length among `texts`, with room to be replaced.
  private struct Slot {
    var offset: UInt32 = 0
    var count: UInt32 = 0
    var room: UInt32 = 0
  }

  private struct Series {
    /// The next of the same device; -1: none.
    let next: Int32
    /// The newest reading among those that are being noted, not encoded yet; -1: none.
    var newest: Int32 = -1
    var ts: Int64
    /// The fields of the newest reading, encoded.
    var latest = Slot()
  }

  private struct Device {
    var first: Int64
    var last: Int64
    /// When the newest reading was measured that has tags.
    var tagged = Int64.min
    /// Its tags, each name and value behind its length.
    var tags = Slot()
    /// The first of its series; -1: none.
    var series: Int32 = -1
    /// The last noted of the hours in which its readings were measured; -1: none is noted.
    var hour: Int32 = -1
  }

  private struct Hour {
    /// The one noted before of the same device; -1: none.
    let previous: Int32
    /// Since 1970.
    let number: Int32
  }

  private var deviceNames = Interner()
  /// Of each series the number of its device, four bytes, and the sensor.
  private var seriesNames = Interner()
  private var devices: [Device] = []
  private var series: [Series] = []
  /// An hour is here again when another came between: they are told apart when they are written.
  private var hours: [Hour] = []
  private var texts = ByteBuffer(capacity: 4096)
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
  /// Readings noted since they were written last.
  private(set) var readingCount = 0

  /// What all that waits takes.
  var byteCount: Int {
    deviceNames.byteCount + seriesNames.byteCount + devices.count * MemoryLayout<Device>.stride
      + series.count * MemoryLayout<Series>.stride + hours.count * MemoryLayout<Hour>.stride + texts.count
  }

  /// Notes all readings of a batch.
  /// - Parameter origins: of each.
  mutating func note(_ batch: ReadingBatch, from origins: [Origin]) {
    for (index, reading) in batch.readings.enumerated() { note(reading, index, of: batch) }
    readingCount += batch.count
    for number in touched {
      let newest = Int(series[number].newest)
      encode(batch.readings[newest], of: batch, from: origins[newest])
      series[number].newest = -1
      encoded.withBytes { Self.keep($0, in: &series[number].latest, of: &texts) }
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
      Self.keep(key.bytes, in: &devices[device].tags, of: &texts)
    }
    if marksHours {
      let hour = Int32(truncatingIfNeeded: reading.ts / SummaryPlan.hour)
      let noted = devices[device].hour
      if noted < 0 || hours[Int(noted)].number != hour {
        devices[device].hour = Int32(hours.count)
        hours.append(Hour(previous: noted, number: hour))
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

  /// Forgets all, and gives the memory back: of a backlog it was much, and is not needed again soon.
  mutating func removeAll() { self = DeviceStates(marksHours: marksHours) }

  /// Appends an update for each of some devices, numbered from 0: an older reading that comes late never replaces a newer one,
  /// also not one that another sink wrote, for the database compares.
  func append(updatesOf numbers: Range<Int>, to updates: inout BSONBatch) {
    var path = ByteBuffer()
    // Another at each change, so that who summarises an hour sees whether it changed since.
    let mark = Int64.random(in: 1...Int64.max)
    for number in numbers {
      let device = devices[number]
      updates.append { update in
        update.beginDocument("q")
        update.appendString("_id", utf8: deviceNames[number])
        update.endDocument()
        if device.tags.count == 0 {
          update.beginDocument("u")
          appendOperators(device, mark, &path, to: &update)
          update.endDocument()
        } else {
          update.beginArray("u")
          update.beginElementDocument()
          appendStage(device, mark, &path, to: &update)
          update.endDocument()
          update.endArray()
        }
        update.append("upsert", true)
      }
    }
  }

  /// What brings a device up to date whose tags stay as they are: operators, which cost both sides much less than a stage.
  private func appendOperators(
    _ device: Device, _ mark: Int64, _ path: inout ByteBuffer, to update: inout BSONWriter
  ) {
    update.beginDocument("$min")
    update.appendDate("firstSeen", milliseconds: device.first)
    update.endDocument()
    update.beginDocument("$max")
    update.appendDate("lastSeen", milliseconds: device.last)
    forEachSeries(of: device) { sensor, latest in
      Self.setPath(&path, ofSensor: sensor)
      update.appendDocument(utf8Key: Self.key(path), encoded: latest)
    }
    update.endDocument()
    update.beginDocument("$set")
    appendMarks(device, mark, &path, to: &update)
    update.endDocument()
  }

  /// The same as a stage of a pipeline, and the tags, if they are newer than those that are there.
  private func appendStage(
    _ device: Device, _ mark: Int64, _ path: inout ByteBuffer, to update: inout BSONWriter
  ) {
    update.beginDocument("$set")
    Self.append("firstSeen", "$min", "$firstSeen", device.first, to: &update)
    Self.append("lastSeen", "$max", "$lastSeen", device.last, to: &update)
    append(tagsOf: device, to: &update)
    forEachSeries(of: device) { sensor, latest in
      Self.setPath(&path, ofSensor: sensor)
      update.beginDocument(utf8Key: Self.key(path))
      update.beginArray("$max")
      update.appendElementString(utf8: path.bytes)
      update.beginElementDocument()
      update.appendDocument("$literal", encoded: latest)
      update.endDocument()
      update.endArray()
      update.endDocument()
    }
    appendMarks(device, mark, &path, to: &update)
    update.endDocument()
  }

  private func appendMarks(
    _ device: Device, _ mark: Int64, _ path: inout ByteBuffer, to update: inout BSONWriter
  ) {
    // What is not noted while summaries are off has to be looked for when they are on again.
    if !marksHours { update.append("summarized", false) }
    var hour = device.hour
    var marked: Set<Int32> = []
    while hour >= 0 {
      let noted = hours[Int(hour)]
      hour = noted.previous
      // The set is for those with several; nearly all have one.
      guard hour < 0 && marked.isEmpty || marked.insert(noted.number).inserted else { continue }
      path.truncate(to: 0)
      path.append("due.h")
      ReadingEncoder.append(Int64(noted.number), to: &path)
      update.append(utf8Key: path.bytes, mark)
    }
  }

  private func forEachSeries(
    of device: Device, _ body: (_ sensor: UnsafeRawBufferPointer, _ latest: UnsafeRawBufferPointer) -> Void
  ) {
    var next = Int(device.series)
    while next >= 0 {
      body(UnsafeRawBufferPointer(rebasing: seriesNames[next].dropFirst(4)), text(series[next].latest))
      next = Int(series[next].next)
    }
  }

  private func text(_ slot: Slot) -> UnsafeRawBufferPointer {
    texts.bytes(ByteRange(offset: slot.offset, count: slot.count))
  }

  /// Puts a text in the place of the one that is there. Where that is too small, it is left behind: it counts, and so the
  /// states are written before it is much.
  private static func keep(_ text: UnsafeRawBufferPointer, in slot: inout Slot, of texts: inout ByteBuffer) {
    if text.count <= slot.room {
      texts.overwrite(at: Int(slot.offset), with: text)
    } else {
      slot.offset = UInt32(texts.count)
      slot.room = UInt32(text.count)
      texts.append(text)
    }
    slot.count = UInt32(text.count)
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

  private func append(tagsOf device: Device, to update: inout BSONWriter) {
    update.beginDocument("tags")
    update.beginArray("$cond")
    update.beginElementDocument()
    update.beginArray("$gte")
    update.appendElementDate(milliseconds: device.tagged)
    update.appendElementString("$tagged")
    update.endArray()
    update.endDocument()
    update.beginElementDocument()
    update.beginDocument("$literal")
    var rest = text(device.tags)[...]
    func next() -> UnsafeRawBufferPointer {
      let count = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
      defer { rest = rest.dropFirst(2 + count) }
      return UnsafeRawBufferPointer(rebasing: rest.dropFirst(2).prefix(count))
    }
    while !rest.isEmpty {
      let name = next()
      update.appendString(utf8Key: name, utf8: next())
    }
    update.endDocument()
    update.endDocument()
    update.appendElementString("$tags")
    update.endArray()
    update.endDocument()
    Self.append("tagged", "$max", "$tagged", device.tagged, to: &update)
  }

  /// Where a sensor is in a device's document, behind a `$`. A point in its name would make a path of that.
  private static func setPath(_ path: inout ByteBuffer, ofSensor sensor: UnsafeRawBufferPointer) {
    path.truncate(to: 0)
    path.append("$sensors.")
    for byte in sensor {
      if byte == UInt8(ascii: ".") { path.append("．") } else { path.append(byte) }
    }
  }

  private static func key(_ path: borrowing ByteBuffer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: path.bytes.dropFirst())
  }

  private mutating func append(_ text: ByteRange, of batch: ReadingBatch) {
    withUnsafeBytes(of: UInt16(text.count).littleEndian) { key.append($0) }
    key.append(batch[text])
  }

  /// What is stored of a sensor. The order of the fields is what makes one newer than another: of two of one sensor the database
  /// compares the times, and of two of one time the offsets, so that the one sent last stays whichever is written last.
  private mutating func encode(_ reading: Reading, of batch: ReadingBatch, from origin: Origin) {
    encoded.removeAll()
    encoded.append { document in
      document.appendString("sensor", utf8: batch[reading.sensor])
      document.appendDate("ts", milliseconds: reading.ts)
      document.append("offset", origin.offset)
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
