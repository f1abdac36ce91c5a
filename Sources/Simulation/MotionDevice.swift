import Readings

/// An ultrasonic motion detector. Each turn is a trigger: the distance that was there before, and the one that triggered.
struct MotionDevice: Sendable {
  static let steps = 2
  static let sensor: StaticString = "distance"
  /// What the detector's debouncing takes: three measurements.
  static let debounce: Int64 = 300

  let location: Reading.Location
  /// How far away the wall is, in centimetres.
  private let background: Double
  /// How near people usually come.
  private let path: Double
  private var generator: SeededGenerator

  init(_ index: Int, seed: UInt64) {
    var generator = SeededGenerator(seed: seed, stream: UInt64(index) + 1)
    // Of one site.
    location = Reading.Location(
      longitude: (generator.number(7.62...7.64) * 100_000).rounded() / 100_000,
      latitude: (generator.number(51.95...51.97) * 100_000).rounded() / 100_000, height: nil)
    background = generator.number(200...380)
    path = generator.number(50...110)
    self.generator = generator
  }

  mutating func measure(_ step: Int, at now: Int64) -> FleetDevice.Measurement {
    let isTrigger = step > 0
    let centimetres = isTrigger ? path + generator.noise(10) : background + generator.noise(1)
    return FleetDevice.Measurement(
      value: .number((centimetres * 10).rounded() / 10), unit: "cm", ts: isTrigger ? now : now - Self.debounce)
  }
}
