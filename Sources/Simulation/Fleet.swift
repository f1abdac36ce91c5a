/// A kind of fleet: what its devices measure.
package enum Fleet: String, Sendable, CaseIterable {
  /// Weather stations and rooms: temperature, humidity, pressure, light, doors and batteries.
  case climate
  /// Ultrasonic motion detectors, as `firmware/pico` makes them of a Pico: they send when something comes near.
  case motion

  func device(_ index: Int, seed: UInt64) -> FleetDevice {
    switch self {
    case .climate: .climate(ClimateDevice(index, seed: seed))
    case .motion: .motion(MotionDevice(index, seed: seed))
    }
  }
}
