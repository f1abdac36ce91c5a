import JSON
package import Readings

/// Sluice's own MQTT topics.
///
/// - `sensors/{device}/{sensor}`: a bare JSON value (`21.5`, `true`, `"open"`), or an object with the members of a
///   reading, of which only `value` is required (`{"value":21.5,"unit":"Cel","ts":"…","id":"…"}`).
/// - `sensors/{device}`: an object with a value per sensor (`{"temperature":21.5,"humidity":40,"ts":"…"}`), or one
///   reading that names its sensor (`{"sensor":"temperature","value":21.5}`).
///
/// Device and sensor are one level each, so the names of own topics have no `/`.
///
/// A payload is JSON. A word without quotes (`ON`, `open`) is refused rather than taken for a text: it might as well be
/// half a message, or a number in a form that JSON does not have (`21,5`, `+3`, `0x1f`), which would then be stored as a
/// text, and nobody would know. A `nan` of a broken sensor is refused by name.
package enum SensorTopic {
  /// What to subscribe to.
  package static let filters = ["sensors/+/+", "sensors/+"]

  /// Decodes a message into a batch.
  ///
  /// - Parameters:
  ///   - now: the time of arrival, in milliseconds; that of a reading without `ts`.
  ///   - context: its limit of readings holds for the members of one object.
  /// - Throws: the first thing wrong; the batch is then as it was.
  package static func decode(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, now: Int64, context: DecodingContext,
    into batch: ReadingBatch
  ) throws(ReadingError) {
    guard let levels = Levels(topic) else {
      throw ReadingError(.invalid, field: "topic", "must be sensors/{device}/{sensor} or sensors/{device}")
    }
    try check(levels.device, "device")
    if let sensor = levels.sensor { try check(sensor, "sensor") }
    guard !payload.isEmpty else { throw ReadingError(.malformed, field: "", "the payload is empty") }
    var implied = ReadingDecoder.Implied(now: now)
    implied.device = levels.device
    if let sensor = levels.sensor { implied.sensor = sensor }
    let decoder = ReadingDecoder(unknownMembers: .refuse, bounds: context.bounds)
    do {
      try context.parser.parse(copying: payload) { (root) throws(ReadingError) in
        switch (root.kind, levels.sensor != nil) {
        case (.object, true):
          try decoder.decode(root, implied: implied, into: batch)
        case (.object, false) where root["sensor"] != nil && root["value"] != nil:
          try decoder.decode(root, implied: implied, into: batch)
        case (.object, false):
          // Names are compared with one another: without a limit an object could take minutes.
          guard root.members.count(where: { _ in true }) <= context.readingsLimit else {
            throw ReadingError(
              .invalid, field: "", "must have at most \(context.readingsLimit) members; send several messages")
          }
          try decoder.decodeSeveral(root, implied: implied, into: batch)
        case (.array, _):
          throw ReadingError(.shape, field: "", "must be one value or one object, not an array")
        case (_, true):
          try decoder.decodeBare(root, implied: implied, into: batch)
        case (_, false):
          throw ReadingError(.shape, field: "", "a bare value needs its sensor in the topic: sensors/{device}/{sensor}")
        }
      }
    } catch {
      switch error {
      case .refused(let error): throw error
      case .malformed(let error): throw refusal(of: payload, "\(error)")
      }
    }
  }

  /// The device that a topic names, whatever its payload; nil when it names none or none that could be.
  package static func device(of topic: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard let device = Levels(topic)?.device, ReadingRules.isIdentifier(device) else { return nil }
    return device
  }

  /// The levels behind `sensors`.
  private struct Levels {
    let device: UnsafeRawBufferPointer
    let sensor: UnsafeRawBufferPointer?

    init?(_ topic: UnsafeRawBufferPointer) {
      guard topic.begins(with: "sensors/") else { return nil }
      let rest = UnsafeRawBufferPointer(rebasing: topic[8...])
      guard let slash = rest.firstIndex(of: UInt8(ascii: "/")) else {
        device = rest
        sensor = nil
        return
      }
      device = UnsafeRawBufferPointer(rebasing: rest[..<slash])
      let last = UnsafeRawBufferPointer(rebasing: rest[(slash + 1)...])
      guard !last.contains(UInt8(ascii: "/")) else { return nil }
      sensor = last
    }
  }

  /// Before anything else: an empty level would count as absent, and a member of the payload could take its place.
  private static func check(_ name: UnsafeRawBufferPointer, _ field: String) throws(ReadingError) {
    guard ReadingRules.isIdentifier(name) else {
      throw ReadingError(
        .invalid, field: field,
        "in the topic must be 1 to \(ReadingRules.identifierLimit) characters of A-Z a-z 0-9 . _ : - "
          + "and begin with a letter or digit")
    }
  }

  private static func refusal(of payload: UnsafeRawBufferPointer, _ reason: String) -> ReadingError {
    let isSpace = { (byte: UInt8) in byte <= 0x20 }
    let start = payload.firstIndex { !isSpace($0) } ?? payload.endIndex
    let end = (payload.lastIndex { !isSpace($0) }).map { $0 + 1 } ?? start
    let word = UnsafeRawBufferPointer(rebasing: payload[start..<max(start, end)])
    if ReadingRules.spellsNonFinite(word) {
      return ReadingError(.invalid, field: "value", "must be finite; leave a reading out that has no value")
    }
    let hint = word.first == UInt8(ascii: "{") ? "" : "; a bare value is a number, true, false or a text in quotes"
    return ReadingError(.malformed, field: "", "the payload is not JSON: \(reason)\(hint)")
  }
}
