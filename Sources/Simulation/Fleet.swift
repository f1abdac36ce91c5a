/// A kind of fleet: what its devices measure.
package enum Fleet: String, Sendable, CaseIterable {
  /// Weather stations and rooms: temperature, humidity, pressure, light, doors and batteries.
  case climate

  func device(_ index: Int, seed: UInt64) -> ClimateDevice {
    switch self {
    case .climate: ClimateDevice(index, seed: seed)
    }
  }
}
