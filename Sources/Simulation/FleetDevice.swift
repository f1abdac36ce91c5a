import Readings

/// A device of a fleet. When it is its turn it sends one reading or several: the steps of the turn.
enum FleetDevice: Sendable {
  case climate(ClimateDevice)
  case motion(MotionDevice)

  /// One reading, but for its device.
  struct Measurement {
    var value: Reading.Value
    /// By the names of SenML; empty: none.
    var unit: StaticString
    /// Milliseconds since 1970.
    var ts: Int64
  }

  var location: Reading.Location {
    switch self {
    case .climate(let device): device.location
    case .motion(let device): device.location
    }
  }

  /// The next step of a turn.
  /// - Parameter step: the first that it may be; a turn begins with 0.
  /// - Returns: nil when the turn is over.
  func step(from step: Int) -> Int? {
    switch self {
    case .climate(let device):
      var step = step
      while let sensor = ClimateSensor(rawValue: UInt8(step)) {
        if device.has(sensor) { return step }
        step += 1
      }
      return nil
    case .motion: return step < MotionDevice.steps ? step : nil
    }
  }

  /// The name of the sensor that a step, one of `step(from:)`, is about.
  func sensor(_ step: Int) -> StaticString {
    switch self {
    case .climate: ClimateSensor(rawValue: UInt8(step))?.name ?? ""
    case .motion: MotionDevice.sensor
    }
  }

  /// - Parameter now: when it is measured, in milliseconds since 1970.
  mutating func measure(_ step: Int, at now: Int64) -> Measurement {
    switch self {
    case .climate(var device):
      let sensor = ClimateSensor(rawValue: UInt8(step)) ?? .temperature
      let value = device.measure(sensor, at: now)
      self = .climate(device)
      return Measurement(value: value, unit: sensor.unit, ts: now)
    case .motion(var device):
      let measurement = device.measure(step, at: now)
      self = .motion(device)
      return measurement
    }
  }
}
