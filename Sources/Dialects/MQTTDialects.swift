import JSON
package import Readings

/// What MQTT messages are written in, by their topics: the one rule for the bridge and for what it once put aside.
package struct MQTTDialects: Sendable {
  package enum Dialect: String, CaseIterable, Sendable {
    /// `SensorTopic`
    case sluice
    case tasmota, zigbee2mqtt, ttn
  }

  /// A bit for each of those that are read: a set would hash names for every message.
  private let bits: UInt8
  private let zigbeeBase: String

  /// - Parameters:
  ///   - dialects: those that are read.
  ///   - zigbeeBase: the base topic of Zigbee2MQTT.
  package init(_ dialects: some Sequence<Dialect> = [.sluice], zigbeeBase: String = Zigbee2MQTT.defaultBase) {
    bits = dialects.reduce(0) { $0 | Self.bit($1) }
    self.zigbeeBase = zigbeeBase
  }

  private static func bit(_ dialect: Dialect) -> UInt8 {
    switch dialect {
    case .sluice: 1
    case .tasmota: 2
    case .zigbee2mqtt: 4
    case .ttn: 8
    }
  }

  private func reads(_ dialect: Dialect) -> Bool { bits & Self.bit(dialect) != 0 }

  /// What to subscribe to.
  package var filters: [String] {
    Dialect.allCases.filter(reads).flatMap { dialect in
      switch dialect {
      case .sluice: SensorTopic.filters
      case .tasmota: Tasmota.filters
      case .zigbee2mqtt: [Zigbee2MQTT.filter(base: zigbeeBase)]
      case .ttn: [TheThingsNetwork.filter]
      }
    }
  }

  /// What the messages of a topic are written in, if it is among those that are read.
  package func dialect(of topic: UnsafeRawBufferPointer) -> Dialect? {
    let dialect: Dialect? =
      if reads(.zigbee2mqtt), Zigbee2MQTT.isBelow(base: zigbeeBase, topic) {
        .zigbee2mqtt
      } else if topic.begins(with: "sensors/") {
        .sluice
      } else if topic.begins(with: "tele/") {
        .tasmota
      } else if topic.begins(with: "v3/") {
        .ttn
      } else {
        nil
      }
    return dialect.flatMap { reads($0) ? $0 : nil }
  }

  /// Whether a message is none that could hold readings, so that it need not be looked into: Zigbee2MQTT publishes much
  /// about itself beside its devices' states.
  package func isBeside(topic: UnsafeRawBufferPointer) -> Bool {
    dialect(of: topic) == .zigbee2mqtt && !Zigbee2MQTT.isState(topic: topic, base: zigbeeBase)
  }

  /// Decodes a message into a batch, whole or not at all: what is not stored whole is put aside whole, and can then be put
  /// back without anything of it being there twice.
  ///
  /// - Parameter now: the time of arrival, in milliseconds; that of a reading without one.
  /// - Throws: the first thing wrong; the batch is then as it was.
  /// - Returns: false when there is nothing to store, and nothing wrong with it.
  package func decode(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, now: Int64, context: DecodingContext,
    into batch: ReadingBatch
  ) throws(ReadingError) -> Bool {
    let dialect = dialect(of: topic)
    if dialect == .sluice || dialect == nil {
      try SensorTopic.decode(topic: topic, payload: payload, now: now, context: context, into: batch)
      return true
    }
    let mark = batch.mark
    var errors: [ItemError] = []
    do throws(BodyError) {
      switch dialect {
      case .tasmota:
        try Tasmota.decode(topic: topic, payload: payload, now: now, context: context, into: batch, errors: &errors)
      case .zigbee2mqtt:
        try Zigbee2MQTT.decode(
          topic: topic, payload: payload, base: zigbeeBase, now: now, context: context, into: batch, errors: &errors)
      case .ttn:
        try TheThingsNetwork.decode(
          topic: topic, payload: payload, now: now, context: context, into: batch, errors: &errors)
      case .sluice, nil: break
      }
    } catch {
      switch error {
      case .empty: return false
      case .malformed(let message): throw ReadingError(.malformed, field: "", message)
      case .tooManyReadings(let limit):
        throw ReadingError(.invalid, field: "", "must have at most \(limit) values; send several messages")
      }
    }
    guard let first = errors.first else { return true }
    batch.roll(back: mark)
    throw first.error
  }
}
