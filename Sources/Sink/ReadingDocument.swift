package import MongoDB
import Publishing
package import Readings

/// How readings lie in the database.
package enum Layout: String, Sendable, CaseIterable {
  /// A native time-series collection.
  case timeseries
  /// A plain collection whose `_id` is the message's own number or where it came from, so that a repeat is refused.
  case documents
}

/// Writes a reading as a document of the collection `readings`.
package struct ReadingDocument {
  let layout: Layout
  /// The topic, as part of `_id`.
  let topic: String

  package init(layout: Layout, topic: String) {
    self.layout = layout
    self.topic = topic
  }

  /// Appends one document; its fields are always in this order, which time-series collections store best.
  package func append(
    _ reading: Reading, of batch: ReadingBatch, from origin: Origin, epoch: Int32,
    to documents: inout BSONBatch
  ) {
    documents.append { document in
      switch layout {
      case .timeseries:
        // Time-series collections do not keep `_id` unique; this one saves making a random one.
        document.appendObjectID(
          "_id",
          ObjectID(
            high: UInt64(UInt32(bitPattern: origin.partition)) << 32 | UInt64(origin.offset) >> 32,
            low: UInt32(truncatingIfNeeded: origin.offset)))
      case .documents:
        if let sequence = origin.sequence {
          sequence.withBytes { document.appendBinary("_id", $0) }
        } else {
          document.appendString("_id", "\(topic):\(origin.partition):\(origin.offset)")
        }
      }
      document.appendDate("ts", milliseconds: reading.ts)
      document.beginDocument("meta")
      document.appendString("device", utf8: batch[reading.device])
      document.appendString("sensor", utf8: batch[reading.sensor])
      if !reading.unit.isEmpty { document.appendString("unit", utf8: batch[reading.unit]) }
      document.endDocument()
      Self.append(reading.value, of: batch, to: &document)
      if let location = reading.location {
        document.beginDocument("location")
        document.appendString("type", "Point")
        document.beginArray("coordinates")
        document.appendElement(location.longitude)
        document.appendElement(location.latitude)
        if let height = location.height { document.appendElement(height) }
        document.endArray()
        document.endDocument()
      }
      if reading.tagCount > 0 {
        document.beginDocument("tags")
        for tag in batch.tags(of: reading) { document.appendString(utf8Key: batch[tag.name], utf8: batch[tag.value]) }
        document.endDocument()
      }
      document.appendDate("received", milliseconds: origin.received)
      document.beginDocument("k")
      document.append("p", origin.partition)
      document.append("o", origin.offset)
      document.append("e", epoch)
      document.endDocument()
    }
  }

  /// Appends `value`, with `boolean: true` where it was true or false, or `text`.
  static func append(_ value: Reading.Value, of batch: ReadingBatch, to document: inout BSONWriter) {
    switch value {
    case .number(let number): document.append("value", number)
    case .boolean(let boolean):
      document.append("value", boolean ? 1.0 : 0.0)
      document.append("boolean", true)
    case .text(let text): document.appendString("text", utf8: batch[text])
    }
  }
}
